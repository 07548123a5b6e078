"""What is known of a grid's pictures in numbers, as ``scores.json`` of its folder tells it. Knows no torch, no model.

A *choice* is one state of the LoRA files: a checkpoint at a strength. The same prompts and seeds are drawn with each,
so that choices are compared picture by picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from lora_tui.jobs.events import as_count, as_number
from lora_tui.runs.folder import read_json
from lora_tui.text.translate import N_

FILE = "scores.json"
FORMAT = 1
DIGITS = 6

Along = Literal["step", "strength"]
One = TypeVar("One")

MEASURES: Mapping[str, str] = {
    "likeness": N_("likeness"),
    "held_out": N_("likeness to held-out images"),
    "prompt": N_("prompt"),
    "prompt_plain": N_("prompt without trigger"),
    "variety": N_("variety over seeds"),
    "variety_prompts": N_("variety over prompts"),
    "bleed": N_("bleed"),
    "leak": N_("likeness without trigger"),
    "score": N_("score"),
}
"""Attributes of :class:`Choice` that are numbers of a picture's kind, and what a person calls them."""


@dataclass(frozen=True)
class CellScores:
    """One picture. None is what was not measured; all are cosines (-1 to 1) unless something else is said.

    Attributes:
        likeness: its mean cosine to the training images that show what is learned.
        held_out: the same to images that were held out of training.
        prompt: to its prompt, and ``prompt_plain`` to the prompt with the trigger word left out.
        change: 1 less its cosine to the picture of the same prompt and seed without any LoRA.
        nearest: its cosine to the training image that is most like it, which is ``nearest_image`` (a path).
        copied: it is much closer to that image than any two training images are to each other.
        blank: it is of one colour, as where numbers ran over.
    """

    likeness: float | None = None
    held_out: float | None = None
    prompt: float | None = None
    prompt_plain: float | None = None
    change: float | None = None
    nearest: float | None = None
    nearest_image: str = ""
    copied: bool = False
    blank: bool = False


@dataclass(frozen=True)
class Choice:
    """A checkpoint at a strength: means over its pictures.

    Attributes:
        checkpoint, strength: as a person reads them on the axes; ``base`` tells that no LoRA is at work.
        step: of the checkpoint, 0 where it is not known; ``weight`` is the strength as a number.
        cells: keys of its pictures.
        likeness, held_out, copies: of pictures whose prompt has the trigger word (all where there is none).
        prompt, prompt_plain, blanks: of all its pictures.
        variety: mean of 1 less the cosine of two pictures of one prompt with different seeds; ``variety_prompts`` of
            different prompts with one seed.
        bleed: mean change of pictures whose prompt lacks the trigger word, and ``leak`` what their likeness gained.
        score: what choices are ordered by, with the interval in which it lies 19 times of 20.
        behind: how far it is behind the best one, and the interval of that difference; picture by picture.
        tied: whether it cannot be told apart from the best one.
    """

    checkpoint: str = ""
    strength: str = ""
    base: bool = False
    step: int = 0
    weight: float | None = None
    cells: tuple[str, ...] = ()
    likeness: float | None = None
    held_out: float | None = None
    prompt: float | None = None
    prompt_plain: float | None = None
    variety: float | None = None
    variety_prompts: float | None = None
    bleed: float | None = None
    leak: float | None = None
    copies: int = 0
    blanks: int = 0
    score: float | None = None
    low: float | None = None
    high: float | None = None
    behind: float | None = None
    behind_low: float | None = None
    behind_high: float | None = None
    tied: bool = False


@dataclass(frozen=True)
class Recommendation:
    """What to take, and why.

    Attributes:
        by: ``scores``, or ``validation`` where no model looked at the pictures.
        cells: keys of the pictures that show it.
        low, high: where its score lies 19 times of 20; none where nothing tells.
        close: others cannot be told apart from it: :attr:`Scores.tied`, whose keys are ``tied_cells``.
        reasons: sentences.
    """

    checkpoint: str = ""
    strength: str = ""
    by: str = "scores"
    cells: tuple[str, ...] = ()
    score: float | None = None
    low: float | None = None
    high: float | None = None
    close: bool = False
    tied_cells: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class References:
    """What pictures are compared with.

    Attributes:
        training, held_out: how many images.
        among: mean cosine of training images to each other: a picture of the same is about as like them.
        base: mean likeness of pictures without any LoRA.
        closest: cosine of the two training images that are most alike (those that are copies of each other apart).
        alarm: from this cosine on a picture counts as a copy of its nearest image.
        own_prompt, other_prompts: mean fit of pictures without any LoRA to their own prompts, to the others'.
    """

    training: int = 0
    held_out: int = 0
    among: float | None = None
    base: float | None = None
    closest: float | None = None
    alarm: float | None = None
    own_prompt: float | None = None
    other_prompts: float | None = None


@dataclass(frozen=True)
class Model:
    """A model that looked: its name, its kind (``clip``, ``siglip``, ``dinov2``, ``micro``), and what it was asked:
    ``images`` (likeness, variety, bleed) and ``prompts``."""

    name: str = ""
    kind: str = ""
    asked: tuple[str, ...] = ()


@dataclass(frozen=True)
class Curve:
    """One measure over steps or strengths, the other held; ``points`` are in order and finite."""

    label: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Scores:
    """Everything that was measured. ``notes`` are sentences on what could not be, and why; ``made`` is unix seconds;
    ``on_sheet`` tells whether numbers stand below the pictures of sheets."""

    models: tuple[Model, ...] = ()
    trigger: str = ""
    references: References = field(default_factory=References)
    cells: Mapping[str, CellScores] = field(default_factory=dict)
    choices: tuple[Choice, ...] = ()
    recommendation: Recommendation | None = None
    notes: tuple[str, ...] = ()
    made: float = 0.0
    on_sheet: bool = True

    def choice_of(self, key: str) -> Choice | None:
        """The choice that the picture ``key`` belongs to."""
        return next((one for one in self.choices if key in one.cells), None)

    @property
    def tied(self) -> tuple[Choice, ...]:
        """The choices that cannot be told apart from the recommended one, without that itself."""
        best = self.recommendation
        if best is None:
            return ()
        return tuple(
            one
            for one in self.choices
            if one.tied and (one.checkpoint, one.strength) != (best.checkpoint, best.strength)
        )

    def curves(self, measure: str, along: Along) -> tuple[Curve, ...]:
        """A measure (of :data:`MEASURES`) over steps, a curve for each strength; or over strengths, one a checkpoint.

        Along strengths each checkpoint begins with the pictures without any LoRA, where there are any.
        """
        found: dict[str, dict[float, float]] = {}
        base = next((one for one in self.choices if one.base), None)
        start = getattr(base, measure) if base is not None else None
        for one in self.choices:
            value = getattr(one, measure)
            at = (one.step or None) if along == "step" else one.weight
            if one.base or value is None or at is None:
                continue
            label = one.strength if along == "step" else one.checkpoint
            own = found.setdefault(label, {0.0: start} if along == "strength" and start is not None else {})
            own[float(at)] = value
        return tuple(Curve(label, tuple(sorted(points.items()))) for label, points in found.items())

    def as_json(self) -> dict[str, Any]:
        """As JSON can hold it; :func:`scores_of` reads it."""
        told: dict[str, Any] = _rounded(asdict(self))
        return {"format": FORMAT, **told}


def read_scores(folder: Path) -> Scores | None:
    """The scores of the grid in ``folder``; none where there are none, or none that this version can read.

    Never raises: what is damaged in the file is left out.
    """
    return scores_of(read_json(folder / FILE))


def scores_of(told: Mapping[str, Any]) -> Scores | None:
    """What :meth:`Scores.as_json` made; none where it is something else."""
    if told.get("format") != FORMAT:
        return None
    recommended = told.get("recommendation")
    cells = told.get("cells")
    return Scores(
        models=_each(
            told.get("models"), lambda one: Model(_text(one, "name"), _text(one, "kind"), _texts(one, "asked"))
        ),
        trigger=_text(told, "trigger"),
        references=_references(_table(told.get("references"))),
        cells={str(key): _cell(one) for key, one in _table(cells).items() if isinstance(one, dict)},
        choices=_each(told.get("choices"), _choice),
        recommendation=_recommendation(recommended) if isinstance(recommended, dict) else None,
        notes=_texts(told, "notes"),
        made=_number(told, "made") or 0.0,
        on_sheet=told.get("on_sheet") is not False,
    )


def _cell(told: Mapping[str, Any]) -> CellScores:
    numbers = _numbers(told, "likeness", "held_out", "prompt", "prompt_plain", "change", "nearest")
    return CellScores(
        **numbers,
        nearest_image=_text(told, "nearest_image"),
        copied=told.get("copied") is True,
        blank=told.get("blank") is True,
    )


def _choice(told: Mapping[str, Any]) -> Choice:
    numbers = _numbers(told, *MEASURES, "weight", "low", "high", "behind", "behind_low", "behind_high")
    return Choice(
        **numbers,
        checkpoint=_text(told, "checkpoint"),
        strength=_text(told, "strength"),
        base=told.get("base") is True,
        step=as_count(told.get("step")),
        cells=_texts(told, "cells"),
        copies=as_count(told.get("copies")),
        blanks=as_count(told.get("blanks")),
        tied=told.get("tied") is True,
    )


def _recommendation(told: Mapping[str, Any]) -> Recommendation:
    return Recommendation(
        checkpoint=_text(told, "checkpoint"),
        strength=_text(told, "strength"),
        by=_text(told, "by"),
        cells=_texts(told, "cells"),
        **_numbers(told, "score", "low", "high"),
        close=told.get("close") is True,
        tied_cells=_texts(told, "tied_cells"),
        reasons=_texts(told, "reasons"),
    )


def _references(told: Mapping[str, Any]) -> References:
    numbers = _numbers(told, "among", "base", "closest", "alarm", "own_prompt", "other_prompts")
    return References(as_count(told.get("training")), as_count(told.get("held_out")), **numbers)


def _each(told: object, read: Callable[[Mapping[str, Any]], One]) -> tuple[One, ...]:
    return tuple(read(one) for one in told if isinstance(one, dict)) if isinstance(told, list) else ()


def _table(told: object) -> Mapping[str, Any]:
    return told if isinstance(told, dict) else {}


def _numbers(told: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: _number(told, name) for name in names}


def _number(told: Mapping[str, Any], name: str) -> float | None:
    value = as_number(told.get(name))
    return value if value is not None and math.isfinite(value) else None


def _text(told: Mapping[str, Any], name: str) -> str:
    value = told.get(name)
    return value if isinstance(value, str) else ""


def _texts(told: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = told.get(name)
    found: Iterable[object] = value if isinstance(value, list) else ()
    return tuple(one for one in found if isinstance(one, str))


def _rounded(told: Any) -> Any:
    """Numbers with as many digits as mean something."""
    if isinstance(told, float):
        return round(told, DIGITS) if math.isfinite(told) else None
    if isinstance(told, Mapping):
        return {key: _rounded(value) for key, value in told.items()}
    return [_rounded(one) for one in told] if isinstance(told, tuple | list) else told
