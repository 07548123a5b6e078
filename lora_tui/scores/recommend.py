"""Which choice is best, and how sure that is: scores, bootstrap intervals over prompts and seeds, reasons. Needs numpy.

A score adds what can be compared because each part has its own scale from the grid itself:

- likeness: 0 as pictures without a LoRA, 1 as training images are like each other; more than 1 counts as 1;
- prompt: 1 as well as the base model follows its prompts, 0 as well as a picture of another prompt fits; at most 1;
- less bleed: of prompts without the trigger word, 1 where the LoRA changes as much as another prompt would;
- less the share of pictures that are copies of a training image.

Intervals: pictures of the same prompt and seed are drawn together, with replacement, those with and those without the
trigger word apart. Intervals of few pictures are too narrow; they are widened by sqrt(n / (n - 1)) and Student's t
over the normal distribution's quantile (T. Hesterberg, The American Statistician 69, 2015, section 3).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lora_tui.grids.cell import Cell
from lora_tui.scores.measures import Array, Compared
from lora_tui.scores.told import CellScores, Choice, References

DRAWS = 2000
NORMAL = 1.959964
STUDENT = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
    2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
"""97.5 % quantiles of Student's t for 1, 2, … degrees of freedom."""
LEAST = 0.01
"""A scale shorter than this (of cosines) cannot be read."""


@dataclass(frozen=True)
class Parts:
    """What scores are made of, on their scales: (choices, conditions); none is a part that cannot be told.

    Attributes:
        likeness, copies: of conditions with the trigger word.
        prompt: of all, those with the trigger word first.
        bleed: of those without it.
    """

    likeness: Array | None
    copies: Array
    prompt: Array | None
    bleed: Array | None

    @property
    def known(self) -> bool:
        return self.likeness is not None or self.prompt is not None

    def scores(self, called: Array, uncalled: Array) -> Array:
        """The score of each choice, (draws, choices), where conditions count as often as the weights (draws, n) say."""
        total = -_weighed(called, self.copies)
        if self.likeness is not None:
            total = total + np.minimum(_weighed(called, self.likeness), 1)
        if self.prompt is not None:
            total = total + np.minimum(_weighed(np.concatenate([called, uncalled], 1), self.prompt), 1)
        if self.bleed is not None:
            total = total - _weighed(uncalled, self.bleed)
        return total


def _weighed(weights: Array, values: Array) -> Array:
    found: Array = weights @ values.T / weights.sum(1, keepdims=True)
    return found


def parts_of(there: Compared, scored: Mapping[str, CellScores], told: References, choices: Sequence[Choice]) -> Parts:
    """The parts of the choices' scores on their scales."""
    called = _table(there, scored, there.called, "likeness")
    base = next((number for number, one in enumerate(choices) if one.base), None)
    likeness = None
    if called is not None and told.among is not None:
        floor = float(called[base].mean()) if base is not None else float(called.mean(1).min())
        if told.among - floor >= LEAST:
            likeness = (called - floor) / (told.among - floor)
    copies = _table(there, scored, there.called, "copied")
    assert copies is not None
    fit = _table(there, scored, there.conditions, "prompt_plain")
    return Parts(likeness, copies, _followed(fit, told, base), _bled(there, scored, choices, base))


def _followed(fit: Array | None, told: References, base: int | None) -> Array | None:
    """How well prompts are followed, on the scale of the base model."""
    if fit is None or base is None or told.other_prompts is None:
        return None
    span = float(fit[base].mean()) - told.other_prompts
    found: Array = (fit - told.other_prompts) / span if span > 0 else fit
    return found if span >= LEAST / 2 else None


def _bled(
    there: Compared, scored: Mapping[str, CellScores], choices: Sequence[Choice], base: int | None
) -> Array | None:
    """What changes without the trigger word, in shares of what another prompt changes."""
    change = _table(there, scored, there.uncalled, "change")
    unit = choices[base].variety_prompts if base is not None else None
    found: Array | None = change / unit if change is not None and unit is not None and unit >= LEAST else None
    return found


def _table(there: Compared, scored: Mapping[str, CellScores], conditions: Sequence[Cell], name: str) -> Array | None:
    """A number of each choice's pictures, (choices, conditions); none where one is missing."""
    rows = [[getattr(scored[one.pictures[at].key], name) for at in conditions] for one in there.worn]
    if not conditions or any(value is None for row in rows for value in row):
        return None
    return np.array(rows, dtype=np.float64)


def graded(choices: Sequence[Choice], parts: Parts, called: int, uncalled: int) -> list[Choice]:
    """The choices with scores, intervals, and how far they are behind the best that wears a LoRA.

    Without a part that can be told they are as they were; from one condition no interval can be told.
    """
    worn = [number for number, one in enumerate(choices) if not one.base]
    if not parts.known or not worn:
        return list(choices)
    scores = parts.scores(np.ones((1, called)), np.ones((1, uncalled)))[0]
    best = max(worn, key=lambda number: scores[number])
    found = [
        replace(one, score=float(scores[number]), behind=float(scores[best] - scores[number]), tied=number == best)
        for number, one in enumerate(choices)
    ]
    if called < 2:
        return found
    draws = parts.scores(*_resampled(called, uncalled))
    stretch = _stretch(called)
    for number, one in enumerate(found):
        low, high = _interval(draws[:, number], scores[number], stretch)
        apart = draws[:, best] - draws[:, number]
        least, most = _interval(apart, scores[best] - scores[number], stretch)
        tied = number == best or (not one.base and least <= 0)
        found[number] = replace(one, low=low, high=high, behind_low=least, behind_high=most, tied=tied)
    return found


def _resampled(called: int, uncalled: int) -> tuple[Array, Array]:
    """How often each condition is drawn, (draws, n), always the same."""
    chance = np.random.Generator(np.random.PCG64(7))
    many, few = (
        chance.multinomial(count, np.full(count, 1 / max(count, 1)), DRAWS) if count else np.zeros((DRAWS, 0))
        for count in (called, uncalled)
    )
    return many.astype(np.float64), few.astype(np.float64)


def _stretch(count: int) -> float:
    """By how much an interval of ``count`` conditions is widened."""
    student = STUDENT[count - 2] if count - 2 < len(STUDENT) else NORMAL
    return math.sqrt(count / (count - 1)) * student / NORMAL


def _interval(draws: Array, middle: float, stretch: float) -> tuple[float, float]:
    low, high = np.quantile(draws, (0.025, 0.975))
    return float(middle + (low - middle) * stretch), float(middle + (high - middle) * stretch)
