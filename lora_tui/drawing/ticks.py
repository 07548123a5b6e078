"""Round numbers for axes: where to put ticks and how to write them. Pure arithmetic."""

from __future__ import annotations

import math
import sys

_ROUND = (1.0, 2.0, 2.5, 5.0, 10.0)
_ROUND_WHOLE = (1.0, 2.0, 5.0, 10.0)


def nice_step(span: float, wanted: int, *, whole: bool = False) -> float:
    """The smallest round step that divides ``span`` into at most ``wanted`` parts; ``whole`` allows integers only."""
    if not math.isfinite(span) or span <= 0:
        return 1.0
    raw = max(span / max(wanted, 1), sys.float_info.min)  # a part of the smallest numbers would be 0
    power = 10.0 ** math.floor(math.log10(raw))
    for factor in _ROUND_WHOLE if whole else _ROUND:
        if factor * power >= raw * (1 - 1e-9):
            step = factor * power
            return max(1.0, step) if whole else step
    return 10.0 * power


def linear_ticks(low: float, high: float, wanted: int, *, whole: bool = False) -> tuple[float, ...]:
    """Multiples of a round step within ``low`` to ``high``, both included, at most ``wanted + 1`` of them."""
    if not high > low or not math.isfinite(high - low):
        return (low,)
    step = nice_step(high - low, wanted, whole=whole)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return tuple(index * step for index in range(first, last + 1))


def linear_bounds(low: float, high: float, wanted: int) -> tuple[float, float]:
    """``low`` and ``high`` moved outward to round numbers, so that small changes of the data move nothing."""
    if not high > low:
        pad = abs(low) * 0.1 or 1.0
        low, high = low - pad, high + pad
    step = nice_step(high - low, wanted)
    return math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step


def log_ticks(low: float, high: float, wanted: int) -> tuple[float, ...]:
    """Ticks for a logarithmic axis: powers of ten, with 2 and 5 between them where there is room.

    A range of less than a decade has too few of those, and gets round linear numbers instead.
    """
    if not 0 < low < high:
        return (low,)
    first, last = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
    for factors in ((1.0, 2.0, 5.0), (1.0, 5.0), (1.0,)):
        found = [
            factor * 10.0**power
            for power in range(first, last + 1)
            for factor in factors
            if low * (1 - 1e-9) <= factor * 10.0**power <= high * (1 + 1e-9)
        ]
        if len(found) <= wanted + 1:
            break
    else:
        found = found[:: max(1, math.ceil(len(found) / (wanted + 1)))]
    if len(found) >= 2:
        return tuple(found)
    return linear_ticks(low, high, wanted)


def tick_text(value: float, step: float, *, powers: bool = False) -> str:
    """``value`` with as many decimals as ``step`` needs: ``0.04``, ``1,500``, ``2e-5``.

    ``powers`` writes every number of an axis in powers of ten, so that they do not change their form within it.
    """
    if not math.isfinite(value):
        return str(value)
    size = max(abs(value), abs(step))
    if value == 0 and (size < 1e5 or powers):
        return "0"
    if powers or size >= 1e7 or size < 1e-3:
        mantissa, _e, exponent = f"{value:.1e}".partition("e")
        return f"{mantissa.removesuffix('.0')}e{int(exponent)}"
    decimals = 0
    while decimals < 6 and abs(round(step, decimals) - step) > abs(step) * 1e-6:
        decimals += 1
    return f"{value:,.{decimals}f}"
