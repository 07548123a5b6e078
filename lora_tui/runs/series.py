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

    Attributes:
        width: steps that a bucket covers now, a power of two.
        version: changes with every change, so that a screen knows whether to draw.
        not_finite: how many values were NaN or infinite.
    """

    __slots__ = ("_count", "_index", "_sum", "first", "high", "last", "last_steps", "low", "not_finite", "steps") + (
        "version",
        "width",
    )

    def __init__(self) -> None:
        self.width = 1
        self.version = 0
        self.not_finite = 0
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
        while position < end:
            stop = self._run_end(steps, position)
            self._add(steps, values, position, stop)
            position = stop
        self.version += 1

    def _run_end(self, steps: Sequence[int], position: int) -> int:
        """Where the steps that share a bucket with ``steps[position]`` end, or where they stop rising."""
        limit = (steps[position] // self.width + 1) * self.width
        stop = min(position + self.width, len(steps))
        if steps[stop - 1] - steps[position] == stop - 1 - position and steps[stop - 1] < limit:
            return stop  # the usual case: no gap
        stop = position + 1
        while stop < len(steps) and steps[stop - 1] < steps[stop] < limit:
            stop += 1
        return stop

    def _add(self, steps: Sequence[int], values: Sequence[float], start: int, stop: int) -> None:
        """Put ``values[start:stop]``, which belong to one bucket, into it."""
        if self.steps and steps[start] <= self.last_steps[-1]:
            return
        part = values[start:stop]
        total = sum(part)
        if math.isfinite(total):
            low, high, count = min(part), max(part), len(part)
        else:
            finite = [value for value in part if math.isfinite(value)]
            self.not_finite += len(part) - len(finite)
            low, high = (min(finite), max(finite)) if finite else (_NAN, _NAN)
            total, count = math.fsum(finite), len(finite)
        index = steps[start] // self.width
        if index == self._index:
            self._join(steps[stop - 1], low, high, part[-1], total, count)
            return
        if len(self.steps) >= MOST:
            self._halve()
            index = steps[start] // self.width
            if index == self._index:
                self._join(steps[stop - 1], low, high, part[-1], total, count)
                return
        self._index = index
        self.steps.append(steps[start])
        self.last_steps.append(steps[stop - 1])
        self.first.append(part[0])
        self.low.append(low)
        self.high.append(high)
        self.last.append(part[-1])
        self._sum.append(total)
        self._count.append(count)

    def _join(self, step: int, low: float, high: float, last: float, total: float, count: int) -> None:
        self.last_steps[-1] = step
        self.low[-1] = _lesser(self.low[-1], low)
        self.high[-1] = _greater(self.high[-1], high)
        self.last[-1] = last
        self._sum[-1] += total
        self._count[-1] += count

    def _halve(self) -> None:
        """Double the width and merge buckets until at most half of the room is used."""
        points = list(zip(self.steps, self.last_steps, self.first, self.low, self.high, self.last, strict=True))
        sums, counts = self._sum, self._count
        while len(points) > MOST // 2:
            self.width *= 2
            merged: list[tuple[int, int, float, float, float, float]] = []
            new_sums, new_counts = array("d"), array("q")
            for point, total, count in zip(points, sums, counts, strict=True):
                if merged and merged[-1][0] // self.width == point[0] // self.width:
                    step, _end, first, low, high, _last = merged[-1]
                    merged[-1] = (step, point[1], first, _lesser(low, point[3]), _greater(high, point[4]), point[5])
                    new_sums[-1] += total
                    new_counts[-1] += count
                else:
                    merged.append(point)
                    new_sums.append(total)
                    new_counts.append(count)
            points, sums, counts = merged, new_sums, new_counts
        columns = list(zip(*points, strict=True))
        self.steps, self.last_steps = array("q", columns[0]), array("q", columns[1])
        self.first, self.low = array("d", columns[2]), array("d", columns[3])
        self.high, self.last = array("d", columns[4]), array("d", columns[5])
        self._sum, self._count = sums, counts
        self._index = self.steps[-1] // self.width

    def truncate(self, step: int) -> None:
        """Take away everything after ``step``; a bucket that reaches beyond it stays and ends there."""
        keep = len(self.steps)
        while keep and self.steps[keep - 1] > step:
            keep -= 1
        for column in (self.first, self.low, self.high, self.last, self._sum):
            del column[keep:]
        for whole in (self.steps, self.last_steps, self._count):
            del whole[keep:]
        if self.steps:
            self.last_steps[-1] = min(self.last_steps[-1], step)
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


def _lesser(a: float, b: float) -> float:
    return b if a != a or b < a else a


def _greater(a: float, b: float) -> float:
    return b if a != a or b > a else a
