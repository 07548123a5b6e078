"""From vectors to numbers of pictures and of choices. Needs numpy; all likeness is a cosine of unit vectors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lora_tui.captions.trigger import has_word
from lora_tui.grids.cell import Cell
from lora_tui.scores.material import Reference, Worn, words_of
from lora_tui.scores.told import CellScores, Choice, References

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Looked:
    """What models made of pictures, images and texts: unit vectors.

    Attributes:
        pictures: by the picture's key, from the model that is asked for images; ``blank`` are of one colour.
        references: training images with their vectors, in one order.
        readings, texts: from the model that reads prompts: pictures by key, texts by what they say.
    """

    pictures: Mapping[str, Array]
    blank: frozenset[str] = frozenset()
    references: Sequence[tuple[Reference, Array]] = ()
    readings: Mapping[str, Array] = field(default_factory=dict)
    texts: Mapping[str, Array] = field(default_factory=dict)

    def stack(self, wanted: Callable[[Reference], bool]) -> Array:
        """The vectors of the references that are ``wanted``, (n, width)."""
        found = [vector for one, vector in self.references if wanted(one)]
        return np.stack(found) if found else np.zeros((0, 1))


def references_told(looked: Looked) -> References:
    """How alike the training images are; the basis of what counts as like them, and as a copy."""
    learned = looked.stack(lambda one: one.learned and not one.held_out)
    held = looked.stack(lambda one: one.learned and one.held_out)
    closest = _closest(looked)
    return References(
        training=len(learned), held_out=len(held), among=_among(learned), closest=closest, alarm=_alarm(closest)
    )


def _among(vectors: Array) -> float | None:
    """The mean cosine of each to each other."""
    count = len(vectors)
    if count < 2:
        return None
    cosines = vectors @ vectors.T
    return float((cosines.sum() - np.trace(cosines)) / (count * (count - 1)))


def _closest(looked: Looked) -> float | None:
    """The largest cosine of two trained images that are no near-duplicates of each other."""
    trained = [(one.group, vector) for one, vector in looked.references if not one.held_out]
    if len({group for group, _vector in trained}) < 2:
        return None
    groups = np.array([group for group, _vector in trained])
    vectors = np.stack([vector for _group, vector in trained])
    cosines = np.where(groups[:, None] == groups[None], -1.0, vectors @ vectors.T)
    return float(cosines.max())


def _alarm(closest: float | None) -> float | None:
    """Half the way from the two training images that are most alike to the same image twice.

    Of many pictures some are by chance a little closer to a training image than two training images are to each other,
    without being copies; a copy is not a little closer.
    """
    return None if closest is None else (closest + 1) / 2


def cell_scores(worn: Sequence[Worn], looked: Looked, told: References, trigger: str) -> dict[str, CellScores]:
    """The numbers of every picture that is there, by key."""
    learned = looked.stack(lambda one: one.learned and not one.held_out)
    held = looked.stack(lambda one: one.learned and one.held_out)
    trained = [(one, vector) for one, vector in looked.references if not one.held_out]
    all_trained = np.stack([vector for _one, vector in trained]) if trained else np.zeros((0, 1))
    plain = {drawn.condition: drawn.key for one in worn if one.base for drawn in one.pictures.values()}
    found: dict[str, CellScores] = {}
    for drawn in (drawn for one in worn for drawn in one.pictures.values()):
        vector = looked.pictures.get(drawn.key)
        if vector is None:
            continue
        before = looked.pictures.get(plain.get(drawn.condition, ""))
        scores = CellScores(
            likeness=_mean(learned @ vector) if len(learned) else None,
            held_out=_mean(held @ vector) if len(held) else None,
            change=max(1 - float(before @ vector), 0.0) if before is not None else None,
            blank=drawn.key in looked.blank,
        )
        if trained:
            cosines = all_trained @ vector
            at = int(np.argmax(cosines))
            alarm = told.alarm is not None and float(cosines[at]) >= told.alarm
            scores = replace(scores, nearest=float(cosines[at]), nearest_image=str(trained[at][0].path), copied=alarm)
        found[drawn.key] = replace(scores, **_fit(drawn.key, drawn.condition, looked, trigger))
    return found


def _fit(key: str, condition: Cell, looked: Looked, trigger: str) -> dict[str, Any]:
    reading = looked.readings.get(key)
    if reading is None:
        return {}
    texts = {"prompt": words_of(condition.prompt), "prompt_plain": words_of(condition.prompt, trigger)}
    return {name: float(reading @ looked.texts[text]) for name, text in texts.items() if text in looked.texts}


# -- choices ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Compared:
    """The conditions that all choices have in common: ``called`` those whose prompt has the trigger word (all where
    none has), ``uncalled`` the others."""

    worn: tuple[Worn, ...]
    called: tuple[Cell, ...]
    uncalled: tuple[Cell, ...]
    left_out: int = 0

    @property
    def conditions(self) -> tuple[Cell, ...]:
        return (*self.called, *self.uncalled)

    @property
    def seeds(self) -> int:
        return len({one.seed for one in self.conditions})

    @property
    def prompts(self) -> int:
        return len({one.prompt for one in self.conditions})


def compared(worn: Sequence[Worn], scored: Mapping[str, CellScores], trigger: str) -> Compared:
    """The choices that can be compared, with the pictures that were measured and that all of them have.

    A choice with less than half as many pictures as the one that has most is left out, so that it does not take the
    others' pictures away.
    """
    measured = [
        replace(one, pictures={at: drawn for at, drawn in one.pictures.items() if drawn.key in scored})
        for one in worn
    ]  # fmt: skip
    most = max((len(one.pictures) for one in measured), default=0)
    kept = [one for one in measured if one.pictures and 2 * len(one.pictures) >= most]
    common = [at for at in (kept[0].pictures if kept else ()) if all(at in one.pictures for one in kept)]
    called = [at for at in common if trigger and has_word(at.prompt, trigger)]
    if not called:
        return Compared(tuple(kept), tuple(common), (), len(measured) - len(kept))
    uncalled = [at for at in common if at not in set(called)]
    return Compared(tuple(kept), tuple(called), tuple(uncalled), len(measured) - len(kept))


def choices_of(there: Compared, scored: Mapping[str, CellScores], looked: Looked) -> list[Choice]:
    """The means of each choice, over the pictures that all have in common."""
    base = next((one for one in there.worn if one.base), None)
    found = []
    for one in there.worn:
        cells = {at: scored[one.pictures[at].key] for at in there.conditions}
        called = [cells[at] for at in there.called]
        uncalled = [cells[at] for at in there.uncalled]
        vectors = {at: looked.pictures[one.pictures[at].key] for at in there.conditions}
        leaks = [
            _less(cells[at].likeness, scored[base.pictures[at].key].likeness) for at in there.uncalled
        ] if base is not None else []  # fmt: skip
        found.append(Choice(
            checkpoint=one.checkpoint, strength=one.strength, base=one.base, step=one.step, weight=one.weight,
            cells=tuple(drawn.key for drawn in one.pictures.values()),
            likeness=_average(cell.likeness for cell in called),
            held_out=_average(cell.held_out for cell in called),
            prompt=_average(cell.prompt for cell in cells.values()),
            prompt_plain=_average(cell.prompt_plain for cell in cells.values()),
            variety=_variety(vectors, lambda at: replace(at, seed=0)),
            variety_prompts=_variety(vectors, lambda at: replace(at, prompt="", negative="")),
            bleed=_average(cell.change for cell in uncalled),
            leak=_average(leaks),
            copies=sum(cell.copied for cell in called),
            blanks=sum(cell.blank for cell in cells.values()),
        ))  # fmt: skip
    return found


def with_base(told: References, there: Compared, choices: Sequence[Choice], looked: Looked, trigger: str) -> References:
    """What pictures without any LoRA come to, where there are any."""
    base = next((one for one in there.worn if one.base), None)
    if base is None:
        return told
    texts = {at: words_of(at.prompt, trigger) for at in there.conditions}
    others = [
        float(looked.readings[base.pictures[at].key] @ looked.texts[text])
        for at in there.conditions
        for text in sorted(set(texts.values()) - {texts[at]})
        if base.pictures[at].key in looked.readings and text in looked.texts
    ]
    own = next(one for one in choices if one.base)
    return replace(told, base=own.likeness, own_prompt=own.prompt_plain, other_prompts=_average(others))


def _variety(vectors: Mapping[Cell, Array], same: Callable[[Cell], Hashable]) -> float | None:
    """The mean of 1 less the cosine over all pairs of pictures that are the ``same`` but for one thing."""
    groups: dict[Hashable, list[Array]] = defaultdict(list)
    for at, vector in vectors.items():
        groups[same(at)].append(vector)
    pairs, total = 0, 0.0
    for group in groups.values():
        count = len(group)
        among = _among(np.stack(group)) if count > 1 else None
        if among is not None:
            pairs += count * (count - 1)
            total += (1 - among) * count * (count - 1)
    return total / pairs if pairs else None


def _mean(values: Array) -> float:
    return float(values.mean())


def _less(one: float | None, other: float | None) -> float | None:
    return one - other if one is not None and other is not None else None


def _average(values: Iterable[float | None]) -> float | None:
    """The mean of numbers; none where there is none, or where one is missing."""
    found = list(values)
    known = [value for value in found if value is not None]
    return sum(known) / len(known) if known and len(known) == len(found) else None
