"""The training loss of a run in few blocks, however long it is: mean and standard error of each.

And the sudden kind of change: a loss that jumps far out of what it was.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from dataclasses import dataclass, field

from lora_tui.alarms.curves import Block, joined

MOST_BLOCKS = 1024
SHORT = 10
"""Steps whose mean is held against that of earlier ones to see a jump."""
KNOWN = 30
"""How many times as many earlier steps that is held against at most."""
LEAST = 100
"""Earlier steps that it takes."""
SINGLE = 6.0
"""How many times the largest of the last losses a single one must be to be a jump of its own."""
LEAST_RATIO = 2.5
"""How many times the usual loss the mean of :data:`SHORT` losses must at least be to be a jump."""
SIGMAS = 6.0
"""How many of its standard deviations a mean of :data:`SHORT` losses must lie above the usual one."""
SMALLEST_RATIO = 1e-3
"""A loss below this share of the usual one counts as this: masks and rounding leave some that are nearly 0."""


@dataclass
class _Sums:
    first: int
    last: int
    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    def block(self) -> Block:
        mean = self.total / self.count
        spread = max(self.squares / self.count - mean * mean, 0.0)
        return Block(self.first, self.last, self.count, mean, math.sqrt(spread / self.count))


@dataclass
class Losses:
    """Finite losses in rising steps; :data:`MOST_BLOCKS` blocks at most, whose width doubles when they run out."""

    width: int = 1
    _sums: list[_Sums] = field(default_factory=list)

    def add(self, step: int, loss: float) -> None:
        """Take in the loss of one step."""
        if not self._sums or self._sums[-1].count >= self.width:
            if len(self._sums) >= MOST_BLOCKS:
                self._halve()
            self._sums.append(_Sums(step, step))
        last = self._sums[-1]
        last.last, last.count = step, last.count + 1
        last.total += loss
        last.squares += loss * loss

    def truncate(self, step: int) -> None:
        """Forget what came after ``step``; a block that reaches beyond it goes, too."""
        while self._sums and self._sums[-1].last > step:
            self._sums.pop()

    @property
    def steps(self) -> int:
        """How many losses there are."""
        return sum(sums.count for sums in self._sums)

    def between(self, first: int, last: int) -> Block | None:
        """The losses of the blocks that begin after step ``first`` and end by ``last``; none where there are none."""
        return joined([sums.block() for sums in self._sums if sums.first > first and sums.last <= last])

    def groups(self, number: int) -> list[Block]:
        """All losses in ``number`` groups of about as many steps; fewer where there are fewer blocks."""
        size = max(len(self._sums) // number, 1)
        parts = [self._sums[i : i + size] for i in range(0, len(self._sums) - size + 1, size)]
        found = (joined([sums.block() for sums in part]) for part in parts[:number])
        return [block for block in found if block is not None]

    def head(self, share: float, least: int) -> Block | None:
        """The first ``share`` of the losses, ``least`` of them at least."""
        wanted, taken = max(share * self.steps, least), 0
        parts = []
        for sums in self._sums:
            if taken >= wanted:
                break
            parts.append(sums.block())
            taken += sums.count
        return joined(parts)

    def tail(self, share: float) -> Block | None:
        """The last ``share`` of the losses."""
        wanted, taken = share * self.steps, 0
        parts: list[Block] = []
        for sums in reversed(self._sums):
            if taken >= wanted:
                break
            parts.append(sums.block())
            taken += sums.count
        return joined(parts[::-1])

    def _halve(self) -> None:
        merged = []
        for a, b in zip(self._sums[::2], self._sums[1::2], strict=False):
            merged.append(_Sums(a.first, b.last, a.count + b.count, a.total + b.total, a.squares + b.squares))
        self._sums = merged + (self._sums[-1:] if len(self._sums) % 2 else [])
        self.width *= 2


@dataclass(frozen=True)
class Jump:
    """A sudden rise: the ``step`` it began at, the ``loss`` (a mean or a single one), and what was ``usual``."""

    step: int
    loss: float
    usual: float


class Jumps:
    """Sees a jump of the loss, by the mean of a few steps or by a single one beyond all proportion.

    Reckons with logarithms, since losses of diffusion are spread so: of a batch of one, the logarithm has a standard
    deviation of about 1, a loss of 16 times the median is nothing unusual, and means of ten vary by half.
    """

    def __init__(self) -> None:
        self._past: deque[float] = deque(maxlen=SHORT * KNOWN)
        self._short: list[float] = []
        self._high = False

    def add(self, step: int, loss: float) -> Jump | None:
        """Take in the finite loss of one step; a jump when one begins with it."""
        found = self._single(step, loss)
        self._short.append(loss)
        if len(self._short) < SHORT:
            return found
        together = self._together(step)
        if not self._high:
            self._past.extend(self._short)
        self._short = []
        return found or together

    def _single(self, step: int, loss: float) -> Jump | None:
        if len(self._past) < LEAST or self._high or loss <= SINGLE * max(self._past):
            return None
        usual = statistics.median(self._past)
        return Jump(step, loss, usual) if loss > 20 * usual else None

    def _together(self, step: int) -> Jump | None:
        if len(self._past) < LEAST:
            return None
        usual = statistics.median(self._past)
        if usual <= 0:
            return None
        past, now = (
            [math.log(max(value / usual, SMALLEST_RATIO)) for value in part] for part in (self._past, self._short)
        )
        bound = max(math.log(LEAST_RATIO), SIGMAS * statistics.pstdev(past) / math.sqrt(SHORT))
        was, self._high = self._high, statistics.fmean(now) > statistics.fmean(past) + bound
        return Jump(step - SHORT + 1, statistics.fmean(self._short), usual) if self._high and not was else None
