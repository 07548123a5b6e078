"""Numbers as a person reads them. One formatter for each kind of number in the whole program.

Numbers come from files that anybody may have written, so each formatter takes any number: NaN, infinity and
integers beyond every float become text like the others.
"""

from __future__ import annotations

import math
import time

MOST_SECONDS = 1e11
"""Durations above this (three thousand years) are no durations, and moments after as much unix time no moments."""

MOST_COUNTED = 10**15
"""Counts from here on are written in powers of ten."""


def count(value: int | float) -> str:
    """``4240`` as ``4,240``; ``-`` for what is no count."""
    if not _is_finite(value):
        return "-"
    return f"{value:,.0f}" if abs(value) < MOST_COUNTED else _scientific(value)


def number(value: float | None, digits: int = 4) -> str:
    """A measured value: fixed notation near one, scientific far from it, ``-`` for none, ``nan`` as itself."""
    if value is None:
        return "-"
    if not _is_finite(value):
        return str(value)
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e5:
        return f"{value:.{digits}f}" if abs(value) < 10 else f"{value:,.{max(digits - 2, 0)}f}"
    return _scientific(value)


def setting_number(value: object) -> str:
    """A value of a setting as a person writes it: ``1e-4``, ``32``, ``0.05``, ``true``; it reads back as the same."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, float):
        return str(value)
    text = repr(value)
    if 0 < abs(value) < 1e-3:
        mantissa, _e, exponent = f"{value:e}".partition("e")
        short = f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
        if float(short) == value:
            return short
    digits, e, exponent = text.partition("e")
    return f"{digits}e{int(exponent)}" if e else text.removesuffix(".0")


def rate_text(value: float | None) -> str:
    """A learning rate of a moment in the form of a setting, to three digits: ``1e-4``, ``9.71e-5``; ``-`` for none."""
    if value is None:
        return "-"
    if not _is_finite(value):
        return str(value)
    return setting_number(float(f"{value:.3g}")) if abs(value) < MOST_COUNTED else _scientific(value)


def duration(seconds: float | None) -> str:
    """``980`` as ``16m 20s``; two units at most, ``-`` for none or what is no duration."""
    if seconds is None or not 0 <= seconds <= MOST_SECONDS:
        return "-"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    minutes, second = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}m {second:02d}s"
    hours, minute = divmod(minutes, 60)
    if hours < 48:
        return f"{hours}h {minute:02d}m"
    days, hour = divmod(hours, 24)
    return f"{days:,}d {hour:02d}h"


def bytes_text(value: int | float | None) -> str:
    """Bytes in the decimal units of files and disks: ``37 MB``, ``2.1 GB``; ``-`` for none."""
    if value is None or not _is_finite(value):
        return "-"
    if abs(value) >= MOST_COUNTED:
        return f"{_scientific(value)} B"
    size = float(value)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(size) < 1000 or unit == "TB":
            return f"{size:.0f} {unit}" if unit in ("B", "kB") or size >= 100 else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError


def percent(done: float, total: float) -> str:
    """The share that is done, ``41%``, rounded down so that only a complete one is ``100%``; ``-`` without a total."""
    if not _is_finite(done) or not _is_finite(total) or total <= 0:
        return "-"
    done = min(max(done, 0), total)
    if isinstance(total, int) and (isinstance(done, int) or total >= MOST_COUNTED):
        return f"{100 * int(done) // total}%"  # exact, and beyond every float
    return f"{int(100 * (done / total) + 1e-9)}%"


def clock(moment: float | None, form: str = "%H:%M:%S") -> str:
    """A moment in unix seconds by the local clock, in the form of ``strftime``; empty for what is no moment."""
    if moment is None or not 0 <= moment <= MOST_SECONDS:
        return ""
    return time.strftime(form, time.localtime(moment))


def _is_finite(value: int | float) -> bool:
    return isinstance(value, int) or math.isfinite(value)


def _scientific(value: int | float) -> str:
    """``1.5e+20``; integers that no float can hold, too."""
    try:
        return f"{value:.1e}"
    except OverflowError:
        from decimal import Decimal

        return f"{Decimal(value):.1e}"
