"""The functions of the filter language: sets of tags, places of tags, scores."""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass

from lora_tui.captions.query.corpus import EntryLike
from lora_tui.captions.query.evaluate import POSTINGS, And, Evaluation, Node, Not, Or, Scan
from lora_tui.captions.query.lexer import QueryError, Scanner, Value
from lora_tui.captions.query.measures import OPERATORS, Comparison, comparison
from lora_tui.captions.query.patterns import TagPattern, first_position, tag_pattern
from lora_tui.text import _

Patterns = tuple[TagPattern, ...]


def function(scanner: Scanner, name: str, column: int) -> Node:
    """The function ``name``, whose bracket has been opened; goes past its end and past what it is compared with.

    Raises:
        QueryError: arguments are missing, or what should be compared is not.
    """
    values = _arguments(scanner)
    patterns = tuple(tag_pattern(value, special=True) for value in values)
    if name in _SETS:
        return _SETS[name](patterns)
    if name in ("before", "after"):
        if len(patterns) != 2:
            raise QueryError(
                _("Two tags are wanted here."), column, length=len(name), remedy=_("Such as before(a, b).")
            )
        return _ordered(*(patterns if name == "before" else patterns[::-1]), column)
    if name != "count" and len(patterns) != 1:
        raise QueryError(_("One tag is wanted here."), column, length=len(name))
    sign = next((sign for sign in OPERATORS if sign != ":" and scanner.take(sign)), "")
    if not sign:
        message = _("A comparison is wanted here, such as >= and a number.")
        raise QueryError(message, min(scanner.at, len(scanner.text)))
    value = scanner.value()
    if name == "pos":
        return _position(patterns[0], sign, value, column)
    holds = comparison(sign, value)
    return _score(patterns[0], holds, column) if name == "score" else Count(patterns, holds)


def _arguments(scanner: Scanner) -> list[Value]:
    values = []
    while True:
        scanner.skip_blanks()
        if scanner.done:
            raise QueryError(_("The bracket is never closed."), scanner.at - 1)
        values.append(scanner.value(stops=",)"))
        scanner.skip_blanks()
        if scanner.take(")"):
            return values
        if not scanner.take(","):
            raise QueryError(_("A comma or a closing bracket is wanted here."), scanner.at)


@dataclass(frozen=True)
class One:
    """Exactly one of several words holds: what BooruDatasetTagManager calls XOR."""

    parts: Patterns
    cost: int = POSTINGS

    def check(self, run: Evaluation) -> None:
        for part in self.parts:
            part.check(run)

    def select(self, run: Evaluation, within: Set[int] | None) -> Set[int]:
        once: Set[int] = frozenset()
        more: Set[int] = frozenset()
        for part in self.parts:
            found = part.select(run, within)
            more |= once & found
            once = (once | found) - more
        return once


@dataclass(frozen=True)
class Count:
    """How many different tags of a caption are among those that the words stand for."""

    parts: Patterns
    holds: Comparison
    cost: int = POSTINGS

    def check(self, run: Evaluation) -> None:
        for part in self.parts:
            part.check(run)

    def select(self, run: Evaluation, within: Set[int] | None) -> Set[int]:
        wanted = frozenset[str]().union(*(part.tags(run) for part in self.parts))
        some = run.index.union(wanted)
        if within is not None:
            some &= within
        tags_of, holds = run.index.tags_of, self.holds
        found = {number for number in some if holds(len(wanted.intersection(tags_of(number))))}
        if holds(0):
            found |= (run.everything if within is None else within) - some
        return found


def _ordered(first: TagPattern, second: TagPattern, column: int) -> Node:
    """Both are there, and the first of the one stands before the first of the other."""

    def make(run: Evaluation) -> Callable[[EntryLike], object]:
        one, other = first.tags(run), second.tags(run)

        def test(entry: EntryLike) -> bool:
            return 0 < first_position(entry.tags, one) < first_position(entry.tags, other)

        return test

    return And((first, second, Scan(make, column, "before")))


def _position(pattern: TagPattern, sign: str, value: Value, column: int) -> Node:
    """The place of a tag, from 1; ``keep`` is the first place that is not fixed, ``last`` the last, -1 too."""
    word = value.text.casefold()
    holds = None if word in ("keep", "last") else comparison(sign, value)

    def make(run: Evaluation) -> Callable[[EntryLike], object]:
        tags, context = pattern.tags(run), run.context

        def test(entry: EntryLike) -> bool:
            place = first_position(entry.tags, tags)
            if not place:
                return False
            if holds is None:
                bound = context.kept(entry) + 1 if word == "keep" else len(entry.tags)
                return OPERATORS[sign](place, bound)
            return holds(place - len(entry.tags) - 1 if holds.low < 0 else place)

        return test

    return And((pattern, Scan(make, column, "pos")))


def _score(pattern: TagPattern, holds: Comparison, column: int) -> Node:
    tag = pattern.value.text

    def make(run: Evaluation) -> Callable[[EntryLike], object]:
        scores = run.context.scores
        assert scores is not None
        return lambda entry: holds(scores.score(entry.number, tag))

    return Scan(make, column, "score", ("scores",))


_SETS: dict[str, Callable[[Patterns], Node]] = {
    "any": Or,
    "all": And,
    "one": One,
    "none": lambda parts: Not(Or(parts)),
}

FUNCTIONS = frozenset({*_SETS, "before", "after", "count", "pos", "score"})
"""The words that can stand before an opening bracket."""
