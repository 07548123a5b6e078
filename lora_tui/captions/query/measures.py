"""Comparisons of numbers and times: ``tags>40``, ``w<1024``, ``mtime>-7d``, ``tags=20..40``."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import PurePosixPath

from lora_tui.captions.document import split_lines
from lora_tui.captions.query.corpus import EntryLike, text_of
from lora_tui.captions.query.evaluate import NUMBERS, SLOW, TEXTS, Evaluation, Node, Scan
from lora_tui.captions.query.facts import ImageFacts
from lora_tui.captions.query.lexer import QueryError, Value
from lora_tui.captions.query.patterns import text_length
from lora_tui.text import _

OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
    "==": operator.eq,
    "=": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
    ":": operator.eq,
}

Getter = Callable[[EntryLike], "float | None"]
_NUMBER = r"-?(?:\d+\.?\d*|\.\d+)"
_AGE = re.compile(r"-(\d+(?:\.\d+)?)(min|[hdwmy])")
_SECONDS = {"min": 60, "h": 3600, "d": 86400, "w": 604800, "m": 30 * 86400, "y": 365 * 86400}
_REPEATS = re.compile(r"(\d+)_")


@dataclass(frozen=True)
class Comparison:
    """An operator and what it compares with: a number, or both ends of a range."""

    sign: str
    low: float
    high: float
    same: float = 1e-9

    def __call__(self, value: float | None) -> bool:
        """Whether it holds for ``value``; never for one that is unknown."""
        if value is None:
            return False
        if self.sign in ("=", "==", ":", "!="):
            inside = self.low - self.same <= value <= self.high + self.same
            return inside if self.sign != "!=" else not inside
        return OPERATORS[self.sign](value, self.low if self.sign in ("<", ">=") else self.high)


def comparison(sign: str, value: Value, *, ratio: bool = False) -> Comparison:
    """What ``sign`` and ``value`` say.

    Raises:
        QueryError: the value is no number and no range of two.
    """
    text = value.text.replace("_", "")
    if ratio and (sides := re.fullmatch(r"(\d+(?:\.\d+)?)[:x](\d+(?:\.\d+)?)", text)) and float(sides[2]):
        wanted = float(sides[1]) / float(sides[2])
        return Comparison(sign, wanted, wanted, same=0.005)
    same = 0.005 if ratio else 1e-9
    if re.fullmatch(_NUMBER, text):
        return Comparison(sign, float(text), float(text), same)
    if (ends := re.fullmatch(rf"({_NUMBER})\.\.({_NUMBER})", text)) and sign in ("=", "==", ":", "!="):
        low, high = sorted((float(ends[1]), float(ends[2])))
        return Comparison(sign, low, high, same)
    raise QueryError(
        _("A number is wanted here."), value.column, length=len(value.text), remedy=_("Such as 40, 1.5 or 20..40.")
    )


def measure(key: str, sign: str, value: Value, column: int) -> Node:
    """The part of a filter for a comparison of the number ``key``."""
    needs, cost, getter = MEASURES[key]
    holds = comparison(sign, value, ratio=key == "ar")

    def make(run: Evaluation) -> Callable[[EntryLike], object]:
        get = getter(run)
        return lambda entry: holds(get(entry))

    return Scan(make, column, key, needs, cost)


def time_measure(key: str, sign: str, value: Value, column: int) -> Node:
    """The part of a filter for a comparison of a time: ``-7d``, ``today``, ``yesterday`` or a date.

    A colon or an equals sign before a date or a day means that day; before an age, not longer ago than that.
    """
    span = _span(value, column)
    needs, getter = TIMES[key]

    def make(run: Evaluation) -> Callable[[EntryLike], object]:
        begin, end = span(run.context.now)
        get = getter(run)
        if sign in (":", "=", "=="):
            return lambda entry: (when := get(entry)) is not None and begin <= when < end
        if sign == "!=":
            return lambda entry: (when := get(entry)) is not None and not begin <= when < end
        bound = end if sign in (">", "<=") and value.text[0] != "-" else begin
        after = sign in (">", ">=")
        return lambda entry: (when := get(entry)) is not None and ((when >= bound) if after else (when < bound))

    return Scan(make, column, key, needs)


def _span(value: Value, column: int) -> Callable[[float], tuple[float, float]]:
    """Gives, for the time now, the begin and the end of the time that a value names."""
    text = value.text.lower()
    if age := _AGE.fullmatch(text if text.startswith("-") else f"-{text}"):
        seconds = float(age[1]) * _SECONDS[age[2]]
        return lambda now: (now - seconds, float("inf"))
    if text in ("today", "yesterday"):
        back = timedelta(days=text == "yesterday")

        def day(now: float) -> tuple[float, float]:
            midnight = datetime.fromtimestamp(now).replace(hour=0, minute=0, second=0, microsecond=0) - back
            return midnight.timestamp(), (midnight + timedelta(days=1)).timestamp()

        return day
    try:
        date = datetime.fromisoformat(value.text)
        end = date + (timedelta(days=1) if len(value.text) <= 10 else timedelta(minutes=1))
        begin_seconds, end_seconds = date.timestamp(), end.timestamp()
    except (ValueError, OverflowError, OSError):
        raise QueryError(
            _("A time is wanted here."),
            value.column,
            length=len(value.text),
            remedy=_("Such as -7d, -2h, today, yesterday or 2025-01-31."),
        ) from None
    return lambda _now: (begin_seconds, end_seconds)


def _of_image(get: Callable[[ImageFacts], float | None]) -> Callable[[Evaluation], Getter]:
    def make(run: Evaluation) -> Getter:
        facts = run.context.facts
        assert facts is not None
        return lambda entry: None if (image := facts.image(entry.number)) is None else get(image)

    return make


def _tokens(run: Evaluation) -> Getter:
    count = run.context.tokens
    assert count is not None
    return lambda entry: count(text_of(entry))


def _edited(run: Evaluation) -> Getter:
    history = run.context.history
    assert history is not None
    return lambda entry: history.edited(entry.number)


def repeats(entry: EntryLike) -> float:
    """How often an image is shown in an epoch by the name of its folder, ``10_name``; once without one."""
    found = _REPEATS.match(PurePosixPath(entry.name).parent.name)
    return float(found[1]) if found else 1.0


def filled_lines(entry: EntryLike) -> int:
    """How many lines of a caption are not blank."""
    text = text_of(entry)
    if "\n" not in text and "\r" not in text:
        return 1 if text.strip() else 0
    return sum(1 for line in split_lines(text) if line.strip())


MEASURES: dict[str, tuple[tuple[str, ...], int, Callable[[Evaluation], Getter]]] = {
    "tags": ((), NUMBERS, lambda _run: lambda entry: len(entry.tags)),
    "chars": ((), TEXTS, lambda _run: text_length),
    "words": ((), TEXTS, lambda _run: lambda entry: len(text_of(entry).split())),
    "lines": ((), TEXTS, lambda _run: filled_lines),
    "tokens": (("tokens",), SLOW, _tokens),
    "repeat": ((), TEXTS, lambda _run: repeats),
    "w": (("facts",), NUMBERS, _of_image(lambda image: image.width)),
    "h": (("facts",), NUMBERS, _of_image(lambda image: image.height)),
    "ar": (("facts",), NUMBERS, _of_image(lambda image: image.width / max(image.height, 1))),
    "mp": (("facts",), NUMBERS, _of_image(lambda image: image.width * image.height / 1e6)),
}
"""Numbers that can be compared: what they need of the context, what they cost, and how an entry's is had."""

TIMES: dict[str, tuple[tuple[str, ...], Callable[[Evaluation], Getter]]] = {
    "mtime": (("facts",), _of_image(lambda image: image.mtime)),
    "written": ((), lambda _run: lambda entry: entry.mtime_ns / 1e9 if entry.document is not None else None),
    "edited": (("history",), _edited),
}
"""Times that can be compared: of the image file, of the caption file, of the last edit in the journal."""
