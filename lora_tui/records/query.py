"""The filter of runs: ``family:flux lr<1e-4 tag:good -state:failed``. Words side by side must all hold.

A plain word is looked for in name, note and tags. ``field:text`` holds where the field has the text (``*`` and ``?``
are wild, commas are alternatives), ``field=text`` where it is the text, and ``<`` ``<=`` ``>`` ``>=`` ``!=`` compare
numbers, times (``took<2h``) and days (``started>2026-11-01``). ``-`` in front means not, ``OR`` or ``|`` one of two,
brackets hold together. Any setting is a field, by its place (``network.rank>16``) or by its name in other trainers
(``network_dim>16``).
"""

from __future__ import annotations

import difflib
import fnmatch
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lora_tui.errors import UserError
from lora_tui.records.fields import FIELDS, KINDS, field_of
from lora_tui.records.rows import Row
from lora_tui.records.values import ValueProblem, moment_span, number_in
from lora_tui.text.plain import plain
from lora_tui.text.translate import _

MOST_LENGTH = 2000
MOST_DEEP = 50

Test = Callable[[Row], bool]

_TOKEN = re.compile(r'\s*(?:(?P<bracket>[()|])|(?P<word>(?:"(?:[^"\\]|\\.)*"?|[^\s()|"])+))')
_TERM = re.compile(r"(?P<name>[\w.#]+)(?P<sign><=|>=|!=|[:=<>])(?P<value>.*)", re.DOTALL)
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class FilterError(UserError):
    """A mistake in a filter; ``column`` counts from 0."""

    def __init__(self, message: str, column: int, remedy: str = "") -> None:
        place = _("column {number}").format(number=column + 1)
        super().__init__(message, place=place, remedy=remedy, code="runs.filter")
        self.column = column


@dataclass(frozen=True)
class _Word:
    text: str
    at: int
    bracket: bool = False


def parse(text: str) -> Test:
    """The filter as a test of a row; an empty one holds for every run.

    Raises:
        FilterError: it is none.
    """
    if len(text) > MOST_LENGTH:
        raise FilterError(_("The filter is too long."), MOST_LENGTH)
    words = _words(text)
    if not words:
        return lambda _row: True
    test, rest = _either(words, 0, 0)
    if rest < len(words):
        raise FilterError(_("There is no bracket that this one closes."), words[rest].at)
    return test


def chosen(rows: Iterable[Row], text: str) -> list[Row]:
    """The rows for which the filter holds; raises as :func:`parse`."""
    test = parse(text)
    return [row for row in rows if test(row)]


def _words(text: str) -> list[_Word]:
    found, at = [], 0
    while at < len(text) and text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None or match.end() == at:
            raise FilterError(_("This cannot stand here."), at)
        group = "bracket" if match["bracket"] else "word"
        found.append(_Word(match[group], match.start(group), group == "bracket"))
        at = match.end()
    return found


def _either(words: Sequence[_Word], at: int, deep: int) -> tuple[Test, int]:
    if deep > MOST_DEEP:
        raise FilterError(_("Brackets stand too deep in each other."), words[at].at)
    tests = []
    while True:
        test, at = _all(words, at, deep)
        tests.append(test)
        if at < len(words) and _is_or(words[at]):
            at += 1
            continue
        break
    if len(tests) == 1:
        return tests[0], at
    return lambda row: any(test(row) for test in tests), at


def _all(words: Sequence[_Word], at: int, deep: int) -> tuple[Test, int]:
    tests = []
    while at < len(words) and not _is_or(words[at]) and words[at].text != ")":
        word = words[at]
        if word.text in ("AND", "and"):
            at += 1
            continue
        if word.bracket:
            test, at = _bracket(words, at, deep)
        elif word.text in ("-", "NOT", "not") and at + 1 < len(words) and words[at + 1].text == "(":
            inner, at = _bracket(words, at + 1, deep)
            test = _not(inner)
        else:
            test, at = _term(word), at + 1
        tests.append(test)
    if not tests:
        where = words[at].at if at < len(words) else words[-1].at + len(words[-1].text)
        raise FilterError(_("A word is missing here."), where)
    if len(tests) == 1:
        return tests[0], at
    return lambda row: all(test(row) for test in tests), at


def _bracket(words: Sequence[_Word], at: int, deep: int) -> tuple[Test, int]:
    opened = words[at]
    if at + 1 >= len(words):
        raise FilterError(_("This bracket is never closed."), opened.at)
    test, end = _either(words, at + 1, deep + 1)
    if end >= len(words) or words[end].text != ")":
        raise FilterError(_("This bracket is never closed."), opened.at)
    return test, end + 1


def _is_or(word: _Word) -> bool:
    return word.text in ("OR", "or") or (word.bracket and word.text == "|")


def _not(test: Test) -> Test:
    return lambda row: not test(row)


def _term(word: _Word) -> Test:
    text, at = word.text, word.at
    if text.startswith("-") and len(text) > 1:
        return _not(_term(_Word(text[1:], at + 1)))
    match = _TERM.fullmatch(text)
    if match is None or text.startswith('"'):
        return _anywhere(_unquoted(text))
    name, sign, value = match["name"], match["sign"], _unquoted(match["value"])
    if not value:
        raise FilterError(_("A value is missing here."), at + len(text))
    if name in ("is", "has") and sign in ":=":
        return _kind(value, at + match.start("value"))
    get = field_of(name)
    if get is None:
        close = difflib.get_close_matches(name, FIELDS, n=1)
        remedy = _("Did you mean {name}?").format(name=close[0]) if close else _known_fields()
        raise FilterError(_("No field of a run is called {name}.").format(name=plain(name, limit=40)), at, remedy)
    if sign == ":":
        return _has(get, value)
    if sign in ("=", "!="):
        test = _equals(get, value)
        return test if sign == "=" else _not(test)
    return _compares(name, get, sign, value, at + match.start("value"))


def _known_fields() -> str:
    return _("Fields are {names}, and every setting, such as network.rank.").format(names=", ".join(FIELDS))


def _kind(value: str, at: int) -> Test:
    tests = []
    for name in value.split(","):
        test = KINDS.get(name.casefold())
        if test is None:
            close = difflib.get_close_matches(name, KINDS, n=1)
            remedy = (
                _("Did you mean {name}?").format(name=close[0])
                if close
                else _("Known are {names}.").format(names=", ".join(KINDS))
            )
            raise FilterError(_("A run cannot be {name}.").format(name=plain(name, limit=40)), at, remedy)
        tests.append(test)
    return lambda row: any(test(row) for test in tests)


def _unquoted(text: str) -> str:
    return re.sub(r'"((?:[^"\\]|\\.)*)"?', lambda found: re.sub(r"\\(.)", r"\1", found[1]), text)


def _anywhere(text: str) -> Test:
    wanted = text.casefold()

    def test(row: Row) -> bool:
        where = (row.run.name, row.notes.note, *row.notes.tags, str(row.settings.get("saving.trigger", "")))
        return any(_within(wanted, one.casefold()) for one in where)

    return test


def _within(wanted: str, text: str) -> bool:
    if "*" in wanted or "?" in wanted:
        return fnmatch.fnmatchcase(text, wanted.replace("[", "[[]"))
    return wanted in text


def _has(get: Callable[[Row], Any], value: str) -> Test:
    alternatives = [one.casefold() for one in value.split(",") if one]

    def holds(has: Any) -> bool:
        text = _text(has)
        if isinstance(has, (int, float)) and not isinstance(has, bool):
            return any(_same_number(has, one) or text == one for one in alternatives)
        return any(_within(one, text) for one in alternatives)

    return lambda row: any(holds(one) for one in _several(get(row)))


def _equals(get: Callable[[Row], Any], value: str) -> Test:
    wanted = value.casefold()
    return lambda row: any(_text(one) == wanted or _same_number(one, wanted) for one in _several(get(row)))


def _several(value: Any) -> Sequence[Any]:
    if value is None:
        return ()
    return value if isinstance(value, tuple) else (value,)


def _text(value: Any) -> str:
    return str(value).casefold()


def _same_number(has: Any, text: str) -> bool:
    if isinstance(has, bool) or not isinstance(has, (int, float)):
        return False
    try:
        return bool(has == number_in(text))
    except ValueProblem:
        return False


def _compares(name: str, get: Callable[[Row], Any], sign: str, value: str, at: int) -> Test:
    holds = _COMPARE[sign]
    try:
        wanted = _wanted(name, sign, value)
    except ValueProblem as problem:
        raise FilterError(str(problem), at) from problem

    def test(row: Row) -> bool:
        return any(
            isinstance(has, (int, float)) and not isinstance(has, bool) and holds(has, wanted)
            for has in _several(get(row))
        )

    return test


def _wanted(name: str, sign: str, value: str) -> float:
    """The number to compare with: of a day its end for ``>`` and ``<=``, else its beginning."""
    if name in ("started", "date", "ended"):
        first, end = moment_span(value)
        return end if sign in (">", "<=") else first
    return number_in(value)
