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
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lora_tui.errors import UserError
from lora_tui.records.fields import FIELDS, KINDS, field_of
from lora_tui.records.rows import Row
from lora_tui.records.values import ValueProblem, moment_span, number_in
from lora_tui.text.plain import plain
from lora_tui.text.translate import N_, _

MOST_LENGTH = 2000
MOST_DEEP = 50

Test = Callable[[Any], bool]
Get = Callable[[Any], Any]


@dataclass(frozen=True)
class Language:
    """What a filter can name of one kind of rows.

    Attributes:
        fields: those that are offered, and ``field_of`` what a row has in any that can be named; none where there is
            no such field.
        kinds: what stands behind ``is:`` and ``has:``.
        texts: where a plain word is looked for.
        days: fields that are compared with days.
        no_field, no_kind: what is said of a name that is none, and ``known_fields`` of those that there are.
    """

    fields: Mapping[str, Get]
    field_of: Callable[[str], Get | None]
    kinds: Mapping[str, Test]
    texts: Callable[[Any], Iterable[str]]
    days: tuple[str, ...]
    no_field: str
    no_kind: str
    known_fields: str


def _run_texts(row: Row) -> tuple[str, ...]:
    return row.run.name, row.notes.note, *row.notes.tags, str(row.settings.get("saving.trigger", ""))


RUNS = Language(
    FIELDS,
    field_of,
    KINDS,
    _run_texts,
    ("started", "date", "ended"),
    N_("No field of a run is called {name}."),
    N_("A run cannot be {name}."),
    N_("Fields are {names}, and every setting, such as network.rank."),
)

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


def parse(text: str, language: Language = RUNS) -> Test:
    """The filter as a test of a row; an empty one holds for every row.

    Raises:
        FilterError: it is none.
    """
    if len(text) > MOST_LENGTH:
        raise FilterError(_("The filter is too long."), MOST_LENGTH)
    words = _words(text)
    if not words:
        return lambda _row: True
    test, rest = _Parser(words, language).either(0, 0)
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


class _Parser:
    """Words to a test; each method takes the place where it begins and how deep it is, and says where it ended."""

    def __init__(self, words: Sequence[_Word], language: Language) -> None:
        self._words, self._language = words, language

    def either(self, at: int, deep: int) -> tuple[Test, int]:
        words = self._words
        if deep > MOST_DEEP:
            raise FilterError(_("Brackets stand too deep in each other."), words[at].at)
        tests = []
        while True:
            test, at = self._all(at, deep)
            tests.append(test)
            if at < len(words) and _is_or(words[at]):
                at += 1
                continue
            break
        if len(tests) == 1:
            return tests[0], at
        return lambda row: any(test(row) for test in tests), at

    def _all(self, at: int, deep: int) -> tuple[Test, int]:
        words = self._words
        tests = []
        while at < len(words) and not _is_or(words[at]) and words[at].text != ")":
            word = words[at]
            if word.text in ("AND", "and"):
                at += 1
                continue
            if word.bracket:
                test, at = self._bracket(at, deep)
            elif word.text in ("-", "NOT", "not") and at + 1 < len(words) and words[at + 1].text == "(":
                inner, at = self._bracket(at + 1, deep)
                test = _not(inner)
            else:
                test, at = _term(word, self._language), at + 1
            tests.append(test)
        if not tests:
            where = words[at].at if at < len(words) else words[-1].at + len(words[-1].text)
            raise FilterError(_("A word is missing here."), where)
        if len(tests) == 1:
            return tests[0], at
        return lambda row: all(test(row) for test in tests), at

    def _bracket(self, at: int, deep: int) -> tuple[Test, int]:
        words = self._words
        opened = words[at]
        if at + 1 >= len(words):
            raise FilterError(_("This bracket is never closed."), opened.at)
        test, end = self.either(at + 1, deep + 1)
        if end >= len(words) or words[end].text != ")":
            raise FilterError(_("This bracket is never closed."), opened.at)
        return test, end + 1


def _is_or(word: _Word) -> bool:
    return word.text in ("OR", "or") or (word.bracket and word.text == "|")


def _not(test: Test) -> Test:
    return lambda row: not test(row)


def _term(word: _Word, language: Language) -> Test:
    text, at = word.text, word.at
    if text.startswith("-") and len(text) > 1:
        return _not(_term(_Word(text[1:], at + 1), language))
    match = _TERM.fullmatch(text)
    if match is None or text.startswith('"'):
        return _anywhere(_unquoted(text), language)
    name, sign, value = match["name"], match["sign"], _unquoted(match["value"])
    if not value:
        raise FilterError(_("A value is missing here."), at + len(text))
    if name in ("is", "has") and sign in ":=":
        return _kind(value, at + match.start("value"), language)
    get = language.field_of(name)
    if get is None:
        close = difflib.get_close_matches(name, language.fields, n=1)
        known = _(language.known_fields).format(names=", ".join(language.fields))
        remedy = _("Did you mean {name}?").format(name=close[0]) if close else known
        raise FilterError(_(language.no_field).format(name=plain(name, limit=40)), at, remedy)
    if sign == ":":
        return _has(get, value)
    if sign in ("=", "!="):
        test = _equals(get, value)
        return test if sign == "=" else _not(test)
    return _compares(name in language.days, get, sign, value, at + match.start("value"))


def _kind(value: str, at: int, language: Language) -> Test:
    tests = []
    for name in value.split(","):
        test = language.kinds.get(name.casefold())
        if test is None:
            close = difflib.get_close_matches(name, language.kinds, n=1)
            remedy = (
                _("Did you mean {name}?").format(name=close[0])
                if close
                else _("Known are {names}.").format(names=", ".join(language.kinds))
            )
            raise FilterError(_(language.no_kind).format(name=plain(name, limit=40)), at, remedy)
        tests.append(test)
    return lambda row: any(test(row) for test in tests)


def _unquoted(text: str) -> str:
    return re.sub(r'"((?:[^"\\]|\\.)*)"?', lambda found: re.sub(r"\\(.)", r"\1", found[1]), text)


def _anywhere(text: str, language: Language) -> Test:
    wanted = text.casefold()
    return lambda row: any(_within(wanted, one.casefold()) for one in language.texts(row))


def _within(wanted: str, text: str) -> bool:
    if "*" in wanted or "?" in wanted:
        return fnmatch.fnmatchcase(text, wanted.replace("[", "[[]"))
    return wanted in text


def _has(get: Get, value: str) -> Test:
    alternatives = [one.casefold() for one in value.split(",") if one]

    def holds(has: Any) -> bool:
        text = _text(has)
        if isinstance(has, (int, float)) and not isinstance(has, bool):
            return any(_same_number(has, one) or text == one for one in alternatives)
        return any(_within(one, text) for one in alternatives)

    return lambda row: any(holds(one) for one in _several(get(row)))


def _equals(get: Get, value: str) -> Test:
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


def _compares(days: bool, get: Get, sign: str, value: str, at: int) -> Test:
    holds = _COMPARE[sign]
    try:
        wanted = _wanted(days, sign, value)
    except ValueProblem as problem:
        raise FilterError(str(problem), at) from problem

    def test(row: Any) -> bool:
        return any(
            isinstance(has, (int, float)) and not isinstance(has, bool) and holds(has, wanted)
            for has in _several(get(row))
        )

    return test


def _wanted(days: bool, sign: str, value: str) -> float:
    """The number to compare with: of a day its end for ``>`` and ``<=``, else its beginning."""
    if days:
        first, end = moment_span(value)
        return end if sign in (">", "<=") else first
    return number_in(value)
