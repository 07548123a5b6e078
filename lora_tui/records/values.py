"""Numbers, spans and days as a person types them into a filter of runs."""

from __future__ import annotations

import math
import re
import time

from lora_tui.text.plain import plain
from lora_tui.text.translate import _

_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|min|h|d|w)", re.IGNORECASE)
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_SIZES = {"k": 1e3, "kb": 1e3, "m": 1e6, "mb": 1e6, "g": 1e9, "gb": 1e9, "t": 1e12, "tb": 1e12}
_DAY = re.compile(r"(\d{4})(?:-(\d{1,2}))?(?:-(\d{1,2}))?")


class ValueProblem(ValueError):
    """The text is no such value; the message says what one looks like."""


def number_in(text: str) -> float:
    """``1e-4``, ``1,000``, ``50%``, ``2h`` and ``1h30m`` (seconds), ``2gb`` (bytes) as a number.

    Raises:
        ValueProblem: it is none of them.
    """
    typed = text.strip().casefold()
    try:
        value = float(typed.replace(",", "")) if not typed.endswith("%") else float(typed[:-1]) / 100
    except ValueError:
        value = math.nan
    if math.isfinite(value):
        return value
    if _SPAN.sub("", typed).strip() == "" and typed:
        return sum(float(amount) * _SECONDS[unit.casefold()] for amount, unit in _SPAN.findall(typed))
    size = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]b?)", typed)
    if size is not None:
        return float(size[1]) * _SIZES[size[2]]
    raise ValueProblem(_("{text} is no number; write 1e-4, 2h or 2gb.").format(text=plain(text, limit=40)))


def moment_span(text: str) -> tuple[float, float]:
    """The first moment of a day, month or year and the first one after it, in unix seconds; ``7d`` is so long ago.

    Raises:
        ValueProblem: it is none.
    """
    typed = text.strip().casefold()
    problem = ValueProblem(_("{text} is no day; write 2026-11-20, today or 7d.").format(text=plain(text, limit=40)))
    now = time.localtime()
    if typed in ("today", "yesterday"):
        first = time.mktime((now.tm_year, now.tm_mon, now.tm_mday - (typed == "yesterday"), 0, 0, 0, 0, 0, -1))
        return first, first + 86400
    if _SPAN.fullmatch(typed):
        ago = time.time() - number_in(typed)
        return ago, ago
    found = _DAY.fullmatch(typed)
    if found is None:
        raise problem
    year, month, day = int(found[1]), int(found[2] or 1), int(found[3] or 1)
    after = (year, month, day + 1) if found[3] else (year, month + 1, 1) if found[2] else (year + 1, 1, 1)
    if not (1970 <= year <= 3000 and 1 <= month <= 12 and 1 <= day <= 31):
        raise problem
    try:
        ends = [time.mktime((*when, 0, 0, 0, 0, 0, -1)) for when in ((year, month, day), after)]
    except (OverflowError, ValueError) as error:
        raise problem from error
    return ends[0], ends[1]
