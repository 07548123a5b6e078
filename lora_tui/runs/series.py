"""A measured value over the steps of a run, in at most 4,096 buckets however long the run is.

A bucket covers ``width`` steps in a row and keeps their first, smallest, largest, last and mean value, so that a
spike of one step is never lost. When the buckets run out, ``width`` doubles and neighbours are merged: what a
million steps look like is the same whether they were added one by one or all at once.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MOST = 4096
"""Buckets of a series at most: more than any terminal has columns, and 0.3 MB with all their numbers."""

_STRIDE = 16
"""Times that buckets become wider at once, at most: so at least 256 are left to be seen."""

_NAN = math.nan


@dataclass(frozen=True, slots=True)
class Point:
    """One bucket: the steps it covers (first and last that were seen) and its values; NaN where none is finite."""

    step: int
    last_step: int
    first: float
    low: float
    high: float
    last: float
    mean: float


class Series:
    """Buckets in the order of their steps. Steps must not go back; :meth:`truncate` takes some away.

    The arrays ``steps``, ``last_steps``, ``first``, ``low``, ``high``, ``last`` and ``mean`` run in parallel, one
    entry a bucket. A bucket without any finite value has NaN in ``low``, ``high`` and ``mean``: a gap.

    ``expected`` is the width that :func:`width_for` gives for the last step that is known to come: the buckets widen
    towards it in few strides, which saves most of the work. The result is the same if the values turn out to need
    that width; if they do not, it is :attr:`too_wide`.

    Attributes:
        width: steps that a bucket covers now, a power of two.
        version: changes with every change, so that a screen knows whether to draw.
        not_finite: how many values were NaN or infinite.
    """

    def __init__(self, expected: int = 1) -> None:
        self.width = 1
        self.version = 0
        self.not_finite = 0
        self._expected = expected
        self._half = expected // 2  # half of what is expected, while it has to be shown that it is needed
        self._halves = 0
        self._last_half = -1
        self._strode = False
        self._clear()

    def _clear(self) -> None:
        self.steps = array("q")
        self.last_steps = array("q")
        self.first = array("d")
        self.low = array("d")
        self.high = array("d")
        self.last = array("d")
        self._sum = array("d")
        self._count = array("q")
        self._index = -1

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def too_wide(self) -> bool:
        """Whether it has widened more than the values so far need."""
        return self._strode and self._half > 0

    @property
    def mean(self) -> array[float]:
        """Mean of the finite values of each bucket."""
        return array("d", [s / n if n else _NAN for s, n in zip(self._sum, self._count, strict=True)])

    @property
    def counts(self) -> array[int]:
        """How many finite values each bucket has."""
        return array("q", self._count)

    def points(self) -> list[Point]:
        """All buckets."""
        columns = (self.steps, self.last_steps, self.first, self.low, self.high, self.last, self.mean)
        return [Point(*values) for values in zip(*columns, strict=True)]

    @property
    def latest(self) -> float | None:
        """The newest value, NaN included; none when there is none."""
        return self.last[-1] if self.last else None

    def append(self, step: int, value: float) -> None:
        """Add one value. A step before the newest one is ignored."""
        self.extend((step,), (value,))

    def extend(self, steps: Sequence[int], values: Sequence[float]) -> None:
        """Add values of rising steps, the fast way for many."""
        position = 0
        end = len(steps)
        if self.steps:
            while position < end and steps[position] <= self.last_steps[-1]:
                position += 1
        if position == end:
            return
        self._make_room(steps, position)
        if self._half:
            self._count_halves(steps, position)
        if end - position == steps[-1] - steps[position] + 1 and self.width >= 8:
            self._add_dense(steps, values, position)
        else:
            self._add_singly(steps, values, position)
        self.version += 1

    def _count_halves(self, steps: Sequence[int], position: int) -> None:
        """Count the buckets that there would be at half the width; when they are too many for that, it is shown."""
        half = self._half
        if len(steps) - position == steps[-1] - steps[position] + 1:
            self._halves += steps[-1] // half - max(steps[position] // half - 1, self._last_half)
        else:
            self._halves += len({step // half for step in steps[position:]} - {self._last_half})
        self._last_half = steps[-1] // half
        if self._halves > MOST:
            self._half = 0

    def _add_dense(self, steps: Sequence[int], values: Sequence[float], position: int) -> None:
        """Steps without gaps: a bucket's share of them at a time."""
        while position < len(steps):
            stop = min(position + self.width - steps[position] % self.width, len(steps))
            self._add(steps, values, position, stop)
            position = stop

    def _add_singly(self, steps: Sequence[int], values: Sequence[float], position: int) -> None:
        """Steps with gaps, or few to a bucket."""
        for step, value in zip(steps[position:], values[position:], strict=True):
            if self.steps and step <= self.last_steps[-1]:
                continue
            if math.isfinite(value):
                low, total, count = value, value, 1
            else:
                low, total, count = _NAN, 0.0, 0
                self.not_finite += 1
            if step // self.width == self._index:
                self._join(step, low, low, value, total, count)
            else:
                self._open(step, step, (value, low, low, value, total), count)

    def _add(self, steps: Sequence[int], values: Sequence[float], start: int, stop: int) -> None:
        """Put ``values[start:stop]``, which belong to one bucket, into it."""
        part = values[start:stop]
        total = sum(part)
        if math.isfinite(total):
            low, high, count = min(part), max(part), len(part)
        else:
            finite = [value for value in part if math.isfinite(value)]
            self.not_finite += len(part) - len(finite)
            low, high = (min(finite), max(finite)) if finite else (_NAN, _NAN)
            total, count = math.fsum(finite), len(finite)
        if steps[start] // self.width == self._index:
            self._join(steps[stop - 1], low, high, part[-1], total, count)
        else:
            self._open(steps[start], steps[stop - 1], (part[0], low, high, part[-1], total), count)

    def _open(self, step: int, last_step: int, numbers: tuple[float, float, float, float, float], count: int) -> None:
        """Begin a bucket; ``numbers`` are first, low, high, last and sum."""
        self._index = step // self.width
        self.steps.append(step)
        self.last_steps.append(last_step)
        self.first.append(numbers[0])
        self.low.append(numbers[1])
        self.high.append(numbers[2])
        self.last.append(numbers[3])
        self._sum.append(numbers[4])
        self._count.append(count)

    def _join(self, step: int, low: float, high: float, last: float, total: float, count: int) -> None:
        self.last_steps[-1] = step
        self.low[-1] = _lesser(self.low[-1], low)
        self.high[-1] = _greater(self.high[-1], high)
        self.last[-1] = last
        self._sum[-1] += total
        self._count[-1] += count

    def _make_room(self, steps: Sequence[int], position: int) -> None:
        """Widen the buckets until ``steps[position:]`` fit: to the least power of two that all steps allow."""
        width = self.width
        span = steps[-1] // width - steps[position] // width + 1
        if len(self.steps) + min(len(steps) - position, max(span, 1)) <= MOST:
            return
        numbers = {step // width for step in self.steps} | {step // width for step in steps[position:]}
        while len(numbers) > MOST:
            width *= 2
            numbers = {number // 2 for number in numbers}
        least, longest = width, self.width * _STRIDE
        while least > self.width and width * 2 <= min(self._expected, longest):
            width *= 2
        self._strode = self._strode or width > least
        if width > self.width:
            self._widen(width)

    def _widen(self, width: int) -> None:
        """Merge the buckets that fall together at ``width``."""
        old = list(zip(self.steps, self.last_steps, *self._columns(), self._count, strict=True))
        self._clear()
        self.width = width
        begin = 0
        while begin < len(old):
            number = old[begin][0] // width
            end = begin + 1
            while end < len(old) and old[end][0] // width == number:
                end += 1
            step, _end, first, low, high, _last, total, count = old[begin]
            for other in old[begin + 1 : end]:
                low, high = _lesser(low, other[3]), _greater(high, other[4])
                total, count = total + other[6], count + other[7]
            last_step, last = old[end - 1][1], old[end - 1][5]
            self._open(step, last_step, (first, low, high, last, total), count)
            begin = end

    def _columns(self) -> tuple[array[float], ...]:
        return self.first, self.low, self.high, self.last, self._sum

    def truncate(self, step: int) -> None:
        """Take away everything after ``step``; a bucket that reaches beyond it stays and ends there."""
        keep = len(self.steps)
        while keep and self.steps[keep - 1] > step:
            keep -= 1
        for column in self._columns():
            del column[keep:]
        for whole in (self.steps, self.last_steps, self._count):
            del whole[keep:]
        if self.steps:
            self.last_steps[-1] = min(self.last_steps[-1], step)
        if self._half:  # at least so many are left
            self._halves, self._last_half = len(self.steps), step // self._half
        self._index = self.steps[-1] // self.width if self.steps else -1
        self.version += 1

    def smooth(self, weight: float) -> array[float]:
        """The curve smoothed by :func:`ema` as if over single values: a bucket of n counts n times."""
        return ema(self.mean, weight, counts=self._count)


def ema(values: Iterable[float], weight: float, *, counts: Iterable[int] | None = None) -> array[float]:
    """Exponential moving average with bias correction (Kingma and Ba 2015, section 3); NaN stays a gap.

    Args:
        weight: share of the past in each new value, 0 (no smoothing) to below 1.
        counts: how many equal values each entry stands for; one each when left out.
    """
    weight = min(max(weight, 0.0), 0.999999)
    smoothed = array("d")
    past, norm = 0.0, 0.0
    numbers = iter(counts) if counts is not None else None
    for value in values:
        count = next(numbers) if numbers is not None else 1
        if not math.isfinite(value) or count < 1:
            smoothed.append(_NAN)
            continue
        kept = weight**count
        past = kept * past + (1 - kept) * value
        norm = kept * norm + (1 - kept)
        smoothed.append(past / norm)
    return smoothed


def width_for(last_step: int) -> int:
    """The width that a series has in which every step up to ``last_step`` has a value."""
    width = 1
    while last_step // width - 1 // width + 1 > MOST:
        width *= 2
    return width


def _lesser(a: float, b: float) -> float:
    return b if a != a or b < a else a


def _greater(a: float, b: float) -> float:
    return b if a != a or b > a else a
