"""Numbers as people write a range of them: ``8-32``, ``8-32 (+8)``, ``0.2-1 [5]``, ``1e-5-1e-3 [5 log]``.

In steps of one, in such steps, so many evenly, so many with the same factor between them. A range never goes beyond its
end, goes down where its end is the smaller, and has no digits that nobody wrote.
"""

from __future__ import annotations

import math
import re

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_RANGE = re.compile(
    rf"\s*({_NUMBER})\s*-\s*({_NUMBER})\s*"
    rf"(?:\(\s*({_NUMBER})\s*\)|\[\s*(\d+)(\s+log)?\s*\])?\s*"
)


class NoRange(ValueError):
    """It goes nowhere."""


class TooMany(ValueError):
    """It has ``count`` numbers, which are more than are allowed."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.count = count


def numbers_in(text: str, *, whole: bool, most: int) -> list[float] | None:
    """The numbers of a range, rounded and each once where they are ``whole``; none where the text is no range.

    Raises:
        NoRange: it goes nowhere.
        TooMany: there are more than ``most``.
    """
    match = _RANGE.fullmatch(text)
    if match is None:
        return None
    first, last = float(match[1]), float(match[2])
    if match[4]:
        numbers = _spread(first, last, int(match[4]), log=bool(match[5]), most=most)
    else:
        numbers = _stepped(first, last, float(match[3]) if match[3] else math.copysign(1.0, last - first), most)
    if whole:
        return list(dict.fromkeys(round(one) for one in numbers))
    return [float(f"{one:.12g}") for one in numbers]


def _stepped(first: float, last: float, step: float, most: int) -> list[float]:
    if step == 0 or (last - first) * step < 0 or not math.isfinite(last - first):
        raise NoRange
    many = (last - first) / step + 1e-9
    if many >= most:
        raise TooMany(math.floor(many) + 1 if math.isfinite(many) else most + 1)
    return [first + step * place for place in range(math.floor(many) + 1)]


def _spread(first: float, last: float, many: int, *, log: bool, most: int) -> list[float]:
    if many > most:
        raise TooMany(many)
    if many < 1 or (log and (first <= 0 or last <= 0)) or not (math.isfinite(first) and math.isfinite(last)):
        raise NoRange
    if many == 1:
        return [first]
    if log:
        return [float(f"{first * (last / first) ** (place / (many - 1)):.4g}") for place in range(many)]
    return [first + (last - first) * place / (many - 1) for place in range(many)]
