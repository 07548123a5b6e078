"""What the journal tells of each caption, kept up as the journal grows: who changed it, when, whether it was reviewed.

The first look reads the names of every transaction, each later one only what came since. Any thread may ask.

A review ends when somebody else changes the caption, and holds again when that change is undone.
"""

from __future__ import annotations

import threading
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Set
from typing import NamedTuple

from lora_tui.captions.corpus import Corpus
from lora_tui.captions.document import CaptionDocument
from lora_tui.captions.journal.log import Journal
from lora_tui.captions.journal.records import Record
from lora_tui.captions.journal.stack import REVIEWS
from lora_tui.captions.profile import Profile
from lora_tui.captions.query.predicates import TAGGER, author_names
from lora_tui.captions.view import tags_of
from lora_tui.errors import UserError


class _Review(NamedTuple):
    """Who found a caption right, and the transaction that ended it, 0 for none; with a minus if undoing it did."""

    reviewer: str
    ended: int = 0


class Ledger:
    """The past of a corpus's captions by the numbers of its entries.

    Args:
        numbers: gives the number of an entry for the name of each caption file in the journal.
    """

    def __init__(self, corpus: Corpus, journal: Journal, numbers: Callable[[], Mapping[str, int]]) -> None:
        self._corpus, self._journal, self._numbers = corpus, journal, numbers
        self._guard = threading.Lock()
        self._looked, self._any_review = (0, 0), False  # up to which generation and transaction for reviews
        self._forget()

    def _forget(self) -> None:
        total = len(self._corpus.entries)
        self._of = (self._journal.generation, total)
        self._seen = 0
        self._edited = array("d", bytes(8 * total))
        self._changed: list[tuple[Record, array[int]]] = []
        self._authors: dict[str, bytearray] = {}
        self._reviews: dict[int, _Review] = {}
        self._holding: set[int] = set()
        self._reviewed: frozenset[int] = frozenset()
        self._added: dict[str, tuple[int, set[int]]] = {}
        self._last: tuple[int, set[int]] = (0, set())

    @property
    def is_behind(self) -> bool:
        """Whether the journal has grown since the last look, as far as it can be read; costs next to nothing."""
        try:
            last, generation = self._journal.last, self._journal.generation
        except UserError:
            return False
        if not self._any_review:
            return self._looked != (generation, last)
        return self._seen != last or self._of != (generation, len(self._corpus.entries))

    def follow_reviews(self) -> bool:
        """Bring :attr:`reviewed` up to date, without reading anything where nobody ever reviewed; whether it did.

        Raises:
            UserError: the journal cannot be read.
        """
        if self._looked[0] != self._journal.generation:
            self._looked, self._any_review = (0, 0), False
        records = self._journal.records(self._looked[1])
        self._any_review = self._any_review or any(record.kind == "review" for record in records)
        self._looked = self._journal.generation, records[-1].number if records else self._looked[1]
        return self._any_review and self.follow()

    def follow(self) -> bool:
        """Take in what came since the last look; whether there was anything.

        Transactions that are still being written are left for the next look.

        Raises:
            UserError: the journal cannot be read.
        """
        with self._guard:
            records = self._journal.records(self._seen)
            if self._of != (self._journal.generation, len(self._corpus.entries)):
                self._forget()
                records = self._journal.records()
            unfinished = min((record.number for record in self._journal.pending()), default=0)
            finished = [record for record in records if not unfinished or record.number < unfinished]
            if not finished:
                return False
            numbers = self._numbers()
            for record, names in self._journal.names_of(finished):
                self._take(record, self._entries(names, numbers))
                self._seen = record.number
            if self._reviewed != self._holding:
                self._reviewed = frozenset(self._holding)
            return True

    @property
    def reviewed(self) -> frozenset[int]:
        """The captions whose review holds, as of the last look."""
        return self._reviewed

    def authors(self, number: int) -> set[str]:
        """Who has changed a caption."""
        return {author for author, flags in self._authors.items() if number < len(flags) and flags[number]}

    def edited(self, number: int) -> float | None:
        """When a caption was last changed, unix seconds; none when it never was."""
        return (self._edited[number] or None) if number < len(self._edited) else None

    def modified_since(self, number: int) -> set[int]:
        """The captions that are not as they were before the transactions behind the one with this number."""
        with self._guard:
            known: set[int] = set()
            found: set[int] = set()
            for record, entries in self._changed:
                if record.number > number and record.kind not in REVIEWS:
                    first = set(entries) - known
                    known |= first
                    found |= self._differing(record, first) if first else first
            return found

    def records_of(self, number: int) -> list[Record]:
        """The transactions that changed a caption, or reviewed it, oldest first."""
        found = []
        for record, numbers in self._changed:
            place = bisect_left(numbers, number)
            if place < len(numbers) and numbers[place] == number:
                found.append(record)
        return found

    def added_by_last(self, profile: Profile) -> set[int]:
        """The captions to which the last run of a tagger added tags, unless it was undone."""
        with self._guard:
            done = {record.number for record in self._journal.undo_and_redo()[0]}
            runs = (record for record, _numbers in reversed(self._changed) if record.author.startswith(TAGGER))
            last = next((record for record in runs if record.number in done), None)
            if last is None:
                return set()
            if self._last[0] != last.number:
                self._last = last.number, self._gained([last], profile)
            return self._last[1]

    def added_by(self, author: str, profile: Profile) -> set[int]:
        """The captions to which an author or a model ever added tags; later questions read only what came since."""
        with self._guard:
            seen, found = self._added.get(author, (0, set()))
            new = [one for one, _numbers in self._changed if one.number > seen and author in author_names(one.author)]
            found = found | self._gained(new, profile) if new else found
            self._added[author] = self._seen, found
            return found

    def _entries(self, names: Iterable[str], numbers: Mapping[str, int]) -> array[int]:
        """The entries that read caption files of these names, ascending."""
        get = numbers.get
        found = [number for name in names if (number := get(name)) is not None]
        if self._corpus.shares:
            found = [other for number in found for other in self._corpus.sharing(number)]
        return array("I", sorted(found))

    def _take(self, record: Record, numbers: array[int]) -> None:
        """Another transaction, and the captions of the corpus that it is about."""
        if not numbers:
            return
        self._changed.append((record, numbers))
        if record.kind == "review":
            self._reviews.update(dict.fromkeys(numbers, _Review(record.author)))
            self._holding.update(numbers)
            return
        if record.kind == "unreview":
            for number in numbers:
                self._reviews.pop(number, None)
            self._holding.difference_update(numbers)
            return
        flags = self._authors.setdefault(record.author, bytearray(len(self._edited)))
        for number in numbers:
            flags[number] = 1
            self._edited[number] = max(self._edited[number], record.time)
        if self._reviews:
            self._turn(record, numbers)

    def _turn(self, record: Record, numbers: Iterable[int]) -> None:
        """End the reviews of captions that somebody else changed, or let them hold again."""
        undone = record.of if record.kind == "undo" else -record.of if record.kind == "redo" else 0
        author = record.author
        if record.kind == "redo" and (again := self._journal.record(record.of)) is not None:
            author = again.author
        ended = -record.of if record.kind == "undo" else record.of if record.kind == "redo" else record.number
        for number in numbers:
            review = self._reviews.get(number)
            if review is None:
                continue
            if undone and review.ended == undone:
                self._reviews[number] = _Review(review.reviewer)
                self._holding.add(number)
            elif not review.ended and author != review.reviewer:
                self._reviews[number] = _Review(review.reviewer, ended)
                self._holding.discard(number)

    def _differing(self, record: Record, wanted: Set[int]) -> set[int]:
        """Those of some entries that hold something else than before a transaction; all where it cannot be read."""
        numbers, entries = self._numbers(), self._corpus.entries
        try:
            changes = self._journal.load(record)
        except UserError:
            return set(wanted)
        changed = ((numbers.get(change.name), change.before) for change in changes)
        differing = {number for number, before in changed if number is not None and entries[number].raw != before}
        if self._corpus.shares:
            differing = {other for number in differing for other in self._corpus.sharing(number)}
        return differing & wanted

    def _gained(self, records: Iterable[Record], profile: Profile) -> set[int]:
        numbers = self._numbers()
        found: set[int] = set()
        for record in records:
            try:
                changes = () if record.kind in REVIEWS else self._journal.load(record)
            except UserError:
                continue
            for change in changes:
                if (number := numbers.get(change.name)) is not None and change.after != change.before:
                    before, after = (set(_tags(raw, profile)) for raw in (change.before, change.after))
                    if after - before:
                        found.update(self._corpus.sharing(number))
        return found


def _tags(raw: bytes | None, profile: Profile) -> tuple[str, ...]:
    return () if raw is None else tags_of(CaptionDocument.parse(raw).text, profile)
