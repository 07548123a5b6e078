"""Running a filter: the dataset it runs on, its time, and how its parts are combined."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from lora_tui.captions.expressions import STOPPED
from lora_tui.captions.query.corpus import CorpusLike, EntryLike
from lora_tui.captions.query.facts import Context
from lora_tui.captions.query.lexer import QueryError
from lora_tui.text import _

if TYPE_CHECKING:
    import regex

POSTINGS, NUMBERS, TEXTS, SLOW = 0, 1, 2, 3
"""What a part costs: a look into the index, a look at each entry, at each text, or at what others must compute."""


class Evaluation:
    """One run of a filter."""

    def __init__(self, corpus: CorpusLike, context: Context) -> None:
        self.entries: Sequence[EntryLike] = corpus.entries
        self.index = corpus.index
        self.vocabulary = corpus.index.vocabulary
        self.context = context
        self.inside: tuple[str, ...] = ()
        self._left = context.seconds
        self._everything: Set[int] | None = None

    @property
    def everything(self) -> Set[int]:
        if self._everything is None:
            self._everything = frozenset(range(len(self.entries)))
        return self._everything

    def scan(self, test: Callable[[EntryLike], object], within: Set[int] | None) -> set[int]:
        """The entries among ``within`` that pass ``test``."""
        if within is None:
            return {entry.number for entry in self.entries if test(entry)}
        entries = self.entries
        return {number for number in within if test(entries[number])}

    def search(self, expression: regex.Pattern[str], text: str, column: int) -> bool:
        """Whether ``expression`` is found in ``text``.

        Raises:
            QueryError: the time of all regular expressions of this run is used up.
        """
        begun = time.monotonic()
        try:
            found = expression.search(text, timeout=max(self._left, 0.001)) is not None
        except STOPPED:
            found, self._left = False, -1.0
        self._left -= time.monotonic() - begun
        if self._left < 0:  # the library looks at the clock only now and then
            raise QueryError(
                _("The regular expression takes too long."),
                column,
                remedy=_("Make it simpler; nested repeats such as (a+)+ are the usual cause."),
                code="query.slow",
            )
        return found


class Node(Protocol):
    """A part of a filter.

    Attributes:
        cost: one of :data:`POSTINGS`, :data:`NUMBERS`, :data:`TEXTS`, :data:`SLOW`.
    """

    @property
    def cost(self) -> int: ...

    def check(self, run: Evaluation) -> None:
        """Raise QueryError when the context lacks what this part asks for."""

    def select(self, run: Evaluation, within: Set[int] | None) -> Set[int]:
        """The entries among ``within`` (all, when it is none) that this part holds for."""


@dataclass(frozen=True)
class Everything:
    """The empty filter."""

    cost: int = POSTINGS

    def check(self, run: Evaluation) -> None:
        pass

    def select(self, run: Evaluation, within: Set[int] | None) -> Set[int]:
        return run.everything if within is None else within


@dataclass(frozen=True)
class Not:
    """What the part does not hold for."""

    part: Node

    @property
    def cost(self) -> int:
        return self.part.cost

    def check(self, run: Evaluation) -> None:
        self.part.check(run)

    def select(self, run: Evaluation, within: Set[int] | None) -> Set[int]:
        return (run.everything if within is None else within) - self.part.select(run, within)


@dataclass(frozen=True)
class _Several:
    """Parts in a row."""

    parts: tuple[Node, ...]

    @property
    def cost(self) -> int:
        return max((part.cost for part in self.parts), default=POSTINGS)

    def check(self, run: Evaluation) -> None:
        for part in self.parts:
            part.check(run)


@dataclass(frozen=True)
class And(_Several):
    """What all parts hold for. Cheap parts go first, and the others look only at what is left."""

    def select(self, run: Evaluation, within: Set[int] | None) -> Set[int]:
        left = within
        for part in sorted(self.parts, key=lambda part: (part.cost, isinstance(part, Not))):
            left = part.select(run, left)
            if not left:
                break
        return run.everything if left is None else left


@dataclass(frozen=True)
class Or(_Several):
    """What at least one part holds for."""

    def select(self, run: Evaluation, within: Set[int] | None) -> Set[int]:
        found: Set[int] = frozenset()
        for part in sorted(self.parts, key=lambda part: part.cost):
            if part.cost > NUMBERS and found:
                left = (run.everything if within is None else within) - found
                found |= part.select(run, left)
            else:
                found |= part.select(run, within)
        return found


@dataclass(frozen=True)
class Xor(_Several):
    """What an odd number of the parts holds for; of two parts, exactly one."""

    def select(self, run: Evaluation, within: Set[int] | None) -> Set[int]:
        found: Set[int] = frozenset()
        for part in self.parts:
            found ^= part.select(run, within)
        return found


@dataclass(frozen=True)
class Scan:
    """A test of each entry.

    Attributes:
        make: gives the test for a run; what it computes once is computed there.
        needs: the fields of :class:`Context` without which it cannot be answered.
        named: the key as it was written, for the message.
    """

    make: Callable[[Evaluation], Callable[[EntryLike], object]]
    column: int
    named: str
    needs: tuple[str, ...] = ()
    cost: int = NUMBERS

    def check(self, run: Evaluation) -> None:
        demand(run, self.needs, self.named, self.column)

    def select(self, run: Evaluation, within: Set[int] | None) -> Set[int]:
        return run.scan(self.make(run), within)


@dataclass(frozen=True)
class Lookup:
    """A set of entries that is found without looking at each."""

    find: Callable[[Evaluation], Set[int]]
    column: int
    named: str
    needs: tuple[str, ...] = ()
    cost: int = POSTINGS

    def check(self, run: Evaluation) -> None:
        demand(run, self.needs, self.named, self.column)

    def select(self, run: Evaluation, within: Set[int] | None) -> Set[int]:
        found = self.find(run)
        return found if within is None else found & within


def demand(run: Evaluation, needs: Iterable[str], named: str, column: int) -> None:
    """Raise when the context of a run lacks one of ``needs``."""
    for need in needs:
        value: Any = getattr(run.context, need)
        if value is None:
            message = _("{word} cannot be asked here: {what} is not at hand.")
            raise QueryError(
                message.format(word=named, what=_MISSING[need]()), column, length=len(named), code="query.unknown_fact"
            )


_MISSING: dict[str, Callable[[], str]] = {
    "facts": lambda: _("what is known of the images"),
    "history": lambda: _("the journal of the captions"),
    "scores": lambda: _("what a tagger found"),
    "tokens": lambda: _("a tokenizer"),
    "category": lambda: _("a list of tags with their categories"),
    "lint": lambda: _("the check of the captions"),
    "prose": lambda: _("the kind of the captions"),
}
