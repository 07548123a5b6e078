"""Numbers as a person reads them. One formatter for each kind of number in the whole program."""

from __future__ import annotations

import math


def count(value: int) -> str:
    """``4240`` as ``4,240``."""
    return f"{value:,}"


def number(value: float | None, digits: int = 4) -> str:
    """A measured value: fixed notation near one, scientific far from it, ``-`` for none, ``nan`` as itself."""
    if value is None:
        return "-"
    if not math.isfinite(value):
        return str(value)
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e5:
        return f"{value:.{digits}f}" if abs(value) < 10 else f"{value:,.{max(digits - 2, 0)}f}"
    return f"{value:.1e}"


def duration(seconds: float | None) -> str:
    """``980`` as ``16m 20s``; two units at most, ``-`` for none or not finite."""
    if seconds is None or not math.isfinite(seconds) or seconds < 0:
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
    return f"{days}d {hour:02d}h"


def bytes_text(value: int | float | None) -> str:
    """Bytes in the decimal units of files and disks: ``37 MB``, ``2.1 GB``; ``-`` for none."""
    if value is None:
        return "-"
    size = float(value)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(size) < 1000 or unit == "TB":
            return f"{size:.0f} {unit}" if unit in ("B", "kB") or size >= 100 else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError
