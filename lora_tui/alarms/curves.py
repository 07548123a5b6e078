"""What curves say, as pure functions of their values: turned, still falling, not falling, and how noisy they are.

The loss of a diffusion model is mostly noise: each step draws its own images, noise and timesteps. So a change counts
only when it is several times larger than what the noise alone would give, and what cannot be known is not said.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

LEAST_POINTS = 6
"""Values of validation from which on their noise is known well enough to see that they turned."""

AFTER = 4
"""Values after the lowest one that it takes, unless they rise by :data:`STEEP`."""

STEEP = 0.08
"""Relative rise above the lowest value that three rising values in a row are enough for."""

SMALLEST = 0.01
"""Relative change of validation that is worth a word."""

SIGMAS = 5.0
"""How many standard deviations of its noise validation must have risen by."""

QUIET = 0.003
"""Relative noise of validation that is always reckoned with: the weights move between two measurements."""


@dataclass(frozen=True)
class Turn:
    """Where a curve was lowest before it rose: ``step``, its ``value`` there, and the mean of its last values."""

    step: int
    value: float
    now: float


@dataclass(frozen=True)
class Block:
    """Mean of ``count`` values with the standard error ``error``, of steps from ``first`` to ``last``."""

    first: int
    last: int
    count: int
    mean: float
    error: float


def noise(values: Sequence[float]) -> float:
    """The standard deviation of what lies around a smooth curve, from second differences; 0 for less than 3 values.

    Of independent noise the second difference has the variance 1 + 4 + 1 = 6 times its own.
    """
    if len(values) < 3:
        return 0.0
    bends = [a - 2 * b + c for a, b, c in zip(values, values[1:], values[2:], strict=False)]
    return math.sqrt(sum(bend * bend for bend in bends) / len(bends) / 6)


def concordance(values: Sequence[float]) -> float:
    """Kendall's tau of values against their order: 1 when they only rise, -1 when they only fall, about 0 for noise."""
    pairs = [(b > a) - (b < a) for i, a in enumerate(values) for b in values[i + 1 :]]
    return sum(pairs) / len(pairs) if pairs else 0.0


def turned(steps: Sequence[int], values: Sequence[float]) -> Turn | None:
    """Whether a curve fell and rises again (or only rises), and where it was lowest.

    It rose when the mean of its last three values lies above the smoothed lowest one by more than the noise of both
    explains, by :data:`SMALLEST` at least, and the values from there on rise by Kendall's tau.
    """
    if len(values) < LEAST_POINTS:
        return None
    smooth = [statistics.fmean(values[max(i - 1, 0) : i + 2]) for i in range(len(values))]
    low = min(range(len(values)), key=smooth.__getitem__)
    after = values[low:]
    if len(after) <= 3:
        return None
    now = statistics.fmean(values[-3:])
    rise = now - smooth[low]
    sigma = max(noise(values), QUIET * abs(smooth[low]))
    steep = rise > STEEP * smooth[low] and values[-3] < values[-2] < values[-1]
    if len(after) <= AFTER and not steep:
        return None
    if rise < max(SIGMAS * sigma, SMALLEST * smooth[low]) or concordance(after) < 0.5:
        return None
    return Turn(steps[low], smooth[low], now)


def never_fell(values: Sequence[float]) -> bool:
    """Whether a curve that is quiet enough to tell never came below where it began, by half a per cent."""
    if len(values) < LEAST_POINTS or noise(values) > SMALLEST * abs(values[0]):
        return False
    best = min(statistics.fmean(values[i - 1 : i + 2]) for i in range(2, len(values) - 1))
    return best > (1 - SMALLEST / 2) * values[0]


def still_falling(values: Sequence[float], errors: Sequence[float] | None = None) -> float | None:
    """The share of its whole fall that a curve made in its last third, where that is large and sure; else none.

    A line through the last third, by least squares, must fall by five standard errors, by a tenth of the whole fall
    and by :data:`SMALLEST`. ``errors`` are the standard errors of the values; without them they are estimated.
    """
    third = max(len(values) // 3, 4)
    if len(values) < 2 * third:
        return None
    tail = values[-third:]
    middle = (third - 1) / 2
    spread = sum((i - middle) ** 2 for i in range(third))
    slope = sum((i - middle) * value for i, value in enumerate(tail)) / spread
    if errors is None:
        single = max(noise(values), QUIET * abs(tail[-1]))
    else:
        single = math.sqrt(statistics.fmean([error * error for error in errors[-third:]]))
    fall = -slope * (third - 1)
    whole = max(values[0], statistics.fmean(values[:2])) - statistics.fmean(tail[-2:])
    sure = slope < -5 * single / math.sqrt(spread)
    if not sure or whole <= 0 or fall < 0.1 * whole or fall < SMALLEST * abs(tail[-1]):
        return None
    return min(fall / whole, 1.0)


def surely_flat(heads: Sequence[Block], now: Block, share: float = SMALLEST) -> bool:
    """Whether ``now`` is, beyond doubt, not lower than any of ``heads`` by the relative ``share``.

    Each bound is that of three standard errors; where the noise leaves more room than that, nothing is sure.
    """
    return bool(heads) and all(
        head.mean - now.mean + 3 * math.hypot(head.error, now.error) < share * head.mean for head in heads
    )


def joined(blocks: Sequence[Block]) -> Block | None:
    """Neighbouring blocks as one; none for none."""
    total = sum(block.count for block in blocks)
    if not total:
        return None
    mean = sum(block.mean * block.count for block in blocks) / total
    # the variance of single values: that within the blocks, and what their means differ by
    apart = [(block.mean - mean, block) for block in blocks]
    within = sum((block.error * block.error * block.count + far * far) * block.count for far, block in apart) / total
    return Block(blocks[0].first, blocks[-1].last, total, mean, math.sqrt(max(within, 0.0) / total))
