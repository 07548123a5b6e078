"""The rows of the tuning of a tagging: its thresholds and choices, and what a key does to them. Knows no widget."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from lora_tui.tagging.kept import Kept
from lora_tui.tagging.request import EXISTING, Request
from lora_tui.tagging.tuning import LEAST
from lora_tui.tagging.vocabulary import CHARACTER, GENERAL, RATING
from lora_tui.text import N_, _, plain
from lora_tui.tui.tagging_form import EXISTING_WORDS

MOST = 1.01
"""One step above 1: the category is left out."""

_PLACES = {"off": N_("off"), "first": N_("in front"), "last": N_("at the end")}
_CHANGING = tuple(one for one in EXISTING if one != "skip")


@dataclass(frozen=True)
class Slider:
    """One row: a threshold (``general``, ``character``, ``other``, or ``own`` of a model), or a choice.

    Attributes:
        model: of ``own``, its number in the request.
        title: safe to show.
    """

    kind: Literal["general", "character", "other", "own", "rating", "mcut", "existing"]
    title: str
    model: int = -1

    @property
    def is_threshold(self) -> bool:
        return self.kind in ("general", "character", "other", "own")


def sliders_of(kept: Kept) -> list[Slider]:
    """What can be tuned for these answers."""
    request, found = kept.request, []
    categories = {one for vocabulary in kept.vocabularies for one in vocabulary.categories}
    own = [number for number, one in enumerate(request.models) if one.threshold is not None]
    scored = [number for number, one in enumerate(kept.said) if one.model.vocabulary is not None]
    for number in own:
        if number in scored:
            name = plain(kept.said[number].model.name, limit=24)
            found.append(Slider("own", _("general of {model}").format(model=name), number))
    if set(scored) - set(own):
        found.insert(0, Slider("general", _("general tags")))
    if CHARACTER in categories:
        found.append(Slider("character", _("names of characters")))
    if categories - {GENERAL, CHARACTER, RATING} and set(scored) - set(own):
        found.append(Slider("other", _("other categories")))
    if RATING in categories:
        found.append(Slider("rating", _("rating")))
    if scored:
        found.append(Slider("mcut", _("greatest gap (MCut)")))
    if request.existing != "skip":
        found.append(Slider("existing", _("existing captions")))
    return found


def value_of(slider: Slider, request: Request) -> float | None:
    """The threshold of a row; none where that of general tags holds, or where it is no threshold."""
    limits = request.rules.thresholds
    if slider.kind == "own":
        return request.models[slider.model].threshold
    values = {"general": limits.general, "character": limits.character, "other": limits.other}
    return values.get(slider.kind)


def words_of(slider: Slider, request: Request) -> str:
    """The value of a row for a person."""
    if slider.is_threshold:
        value = value_of(slider, request)
        if value is None:
            return _("as general")
        return _("none") if value > 1 else f"{value:.2f}"
    if slider.kind == "rating":
        return _(_PLACES[request.rules.rating])
    if slider.kind == "mcut":
        return _("on") if request.rules.mcut else _("off")
    return _(EXISTING_WORDS[request.existing][0])


def has_effect(slider: Slider, request: Request) -> bool:
    """Whether a row does anything now: the greatest gap takes the place of two thresholds."""
    return not (request.rules.mcut and slider.kind in ("general", "character", "own"))


def moved(slider: Slider, request: Request, steps: int) -> Request:
    """The request with a row moved by hundredths, or to the next of its values."""
    rules = request.rules
    if slider.is_threshold:
        value = value_of(slider, request)
        start = rules.thresholds.general if value is None else value
        return _with(slider, request, min(max(round(start + steps / 100, 2), LEAST), MOST))
    by = 1 if steps > 0 else -1
    if slider.kind == "mcut":
        return replace(request, rules=replace(rules, mcut=not rules.mcut))
    if slider.kind == "rating":
        return replace(request, rules=replace(rules, rating=_next(tuple(_PLACES), rules.rating, by)))
    return replace(request, existing=_next(_CHANGING, request.existing, by))


def _with(slider: Slider, request: Request, value: float) -> Request:
    if slider.kind == "own":
        models = list(request.models)
        models[slider.model] = replace(models[slider.model], threshold=value)
        return replace(request, models=tuple(models))
    limits = replace(request.rules.thresholds, **{slider.kind: value})
    return replace(request, rules=replace(request.rules, thresholds=limits))


def _next(values: tuple[Any, ...], value: Any, by: int) -> Any:
    return values[(values.index(value) + by) % len(values)]


def without_tag(request: Request, tag: str) -> Request:
    """The request with a tag that is never written, or is again."""
    rules = request.rules
    rest = tuple(one for one in rules.undesired if one != tag)
    undesired = rest if len(rest) < len(rules.undesired) else (*rules.undesired, tag)
    return replace(request, rules=replace(rules, undesired=undesired))
