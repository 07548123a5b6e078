"""Edits of many captions at once: what an operation would do, doing it, taking it back.

:func:`preview` computes, :meth:`Session.apply` changes memory at once and hands the files to the writer,
:meth:`Session.undo` is a transaction like any other. Files that another program changed meanwhile are conflicts:
reported, never overwritten.
"""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import compress, count
from operator import ne
from pathlib import PurePosixPath
from typing import Any, NoReturn

from lora_tui.captions.corpus import Corpus
from lora_tui.captions.document import CaptionDocument
from lora_tui.captions.fresh import Fresh, read_apart, take_in
from lora_tui.captions.journal.bodies import FileChange
from lora_tui.captions.journal.log import Journal, home_of, journal_home_of
from lora_tui.captions.journal.place import read
from lora_tui.captions.journal.records import Record
from lora_tui.captions.journal.recovery import Recovery, recover
from lora_tui.captions.journal.writer import Transaction, Writer
from lora_tui.captions.ledger import Ledger
from lora_tui.captions.operations.base import CannotChange, Context, Operation, changed_document
from lora_tui.captions.operations.match import allowance
from lora_tui.captions.view import tags_of
from lora_tui.errors import UserError
from lora_tui.text import _, plain


@dataclass(frozen=True, slots=True)
class Change:
    """One caption file before and after; none where there is no file. ``tags`` are those of before."""

    number: int
    before: bytes | None
    after: bytes | None
    document: CaptionDocument | None
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sample:
    """One change for a person's eyes."""

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Preview:
    """What an operation would change; nothing is changed yet.

    Attributes:
        changes: one for each caption file, in the order of the images.
        images: how many images these are.
        operation_text, scope_text: as the person said it, for the journal.
        refused: images of the scope whose caption cannot be read or cannot take the change, and why.
    """

    corpus: Corpus
    changes: tuple[Change, ...]
    images: int
    operation_text: str
    scope_text: str
    refused: tuple[tuple[int, UserError], ...] = ()

    @cached_property
    def occurrences(self) -> int:
        """How many tags come, go or become others, in all captions together."""
        return sum(map(_differing, (change.tags for change in self.changes), self.tags_after))

    @cached_property
    def tags_after(self) -> tuple[tuple[str, ...], ...]:
        """The tags of each changed caption when it is changed; equal tags are one string."""
        profile, intern = self.corpus.profile, sys.intern
        documents = (change.document for change in self.changes)
        return tuple(tuple(map(intern, tags_of(one.text, profile))) if one else () for one in documents)

    def samples(self, limit: int = 5) -> list[Sample]:
        """The first changes, as text."""
        found = []
        for change in self.changes[:limit]:
            entry = self.corpus.entries[change.number]
            before = None if change.before is None else CaptionDocument.parse(change.before).text
            found.append(Sample(entry.name, before, change.document.text if change.document else None))
        return found


def _differing(before: tuple[str, ...], after: tuple[str, ...]) -> int:
    """How many tags come, go or become others; of tags in another order, how many stand elsewhere."""
    head = next(compress(count(), map(ne, before, after)), min(len(before), len(after)))
    before, after = before[head:], after[head:]
    if before[1:] in (after, after[1:]) or before == after[1:]:
        return 1
    if len(before) == len(after) and set(before) == set(after):
        return sum(map(ne, before, after))
    gone, come = Counter(before), Counter(after)
    return max((gone - come).total(), (come - gone).total())


def preview(
    corpus: Corpus,
    numbers: Iterable[int],
    operation: Operation,
    *,
    context: Context,
    operation_text: str,
    scope_text: str = "",
    should_stop: Callable[[], bool] | None = None,
) -> Preview:
    """What ``operation`` would do to the captions of these images.

    Args:
        context: its name is filled in for each image.
        should_stop: asked at each caption; once it says yes, the preview holds what was computed until then, or a
            regular expression ends with its error.

    Raises:
        UserError: the operation itself cannot be done, such as a regular expression that takes too long.
    """
    chosen = tuple(numbers)
    with allowance(len(chosen), should_stop):
        return _previewed(corpus, chosen, operation, context, (operation_text, scope_text), should_stop)


def _previewed(
    corpus: Corpus,
    numbers: Sequence[int],
    operation: Operation,
    context: Context,
    words: tuple[str, str],
    should_stop: Callable[[], bool] | None,
) -> Preview:
    changes, refused, seen, images = [], [], set(), 0
    for number in numbers:
        entry = corpus.entries[number]
        if entry.caption_name in seen:
            continue
        seen.add(entry.caption_name)
        if entry.problem is not None:
            refused.append((number, entry.problem))
            continue
        if should_stop is not None and should_stop():
            break
        context.name = entry.name
        before = entry.document
        try:
            after = changed_document(operation, before, context)
        except CannotChange as error:
            refused.append((number, _named(error, entry.caption_name)))
            continue
        except UnicodeError as error:
            refused.append((number, _cannot_hold(entry.caption_name, error)))
            continue
        if after is before or (before is not None and after is not None and after.raw == before.raw):
            continue
        changes.append(
            Change(
                number, None if before is None else before.raw, None if after is None else after.raw, after, entry.tags
            )
        )
        images += len(corpus.sharing(number))
    return Preview(corpus, tuple(changes), images, *words, tuple(refused))


AT_A_TIME = 500
"""Captions of other programs that are taken in before anybody else gets a turn."""


@dataclass(frozen=True)
class News:
    """What other programs did: transactions, the number of the last that was looked at, and captions on disk now."""

    records: tuple[Record, ...]
    seen: int
    captions: tuple[Fresh, ...]


class Session:
    """A dataset that is being edited: its corpus, its journal and the thread that writes.

    All methods are for one thread, the editor's. Opening it finishes what a crash left in the middle.
    """

    def __init__(self, corpus: Corpus) -> None:
        self.corpus = corpus
        self.home = home_of(corpus.root)
        self.journal = Journal(journal_home_of(corpus.root), corpus.extensions)
        self.recovery: Recovery = recover(self.journal)
        prefix = corpus.root.relative_to(self.journal.home).as_posix()
        self._prefix = "" if prefix == "." else prefix + "/"
        self._numbers: dict[str, int] = {}
        self._numbers_of = -1
        #: Why the last undo or redo stepped over transactions.
        self.stepped_over: list[UserError] = []
        self._finished: list[Transaction] = []
        self._guard = threading.Lock()
        self._own: set[int] = set()
        self._writer = Writer(self.journal, self._done, lambda record: self._own.add(record.number))
        self._seen = self.journal.last
        #: What the journal tells of each caption; reads nothing before it is asked.
        self.ledger = Ledger(corpus, self.journal, self._by_name)
        if self.recovery.records:
            self._reread([*self.recovery.written, *self.recovery.conflicts])

    def apply(self, preview: Preview, author: str) -> Transaction:
        """Do what was previewed: at once in memory, within moments on disk.

        A caption that changed since the preview is left out as a conflict.
        """
        changes, fitting, tags, contested, stamps = [], [], [], [], {}
        for change, own in zip(preview.changes, preview.tags_after, strict=True):
            entry = self.corpus.entries[change.number]
            name = self._prefix + entry.caption_name
            if entry.raw != change.before:
                contested.append(FileChange(name, change.before, change.after))
                continue
            stamps[name] = (entry.mtime_ns, entry.size, entry.look)
            changes.append(FileChange(name, change.before, change.after))
            fitting.append((change.number, change.document))
            tags.append(own)
        self.corpus.put_many(fitting, tags)
        head = {"kind": "edit", "author": author, "operation": preview.operation_text, "scope": preview.scope_text}
        return self._submitted(Transaction(head, changes, stamps), contested)

    def review(self, numbers: Iterable[int], author: str, *, right: bool = True) -> Transaction:
        """Note in the journal that somebody looked at these captions and found them right, or takes that back."""
        changes: dict[str, FileChange] = {}
        for number in numbers:
            entry = self.corpus.entries[number]
            name = self._prefix + entry.caption_name
            if entry.problem is None:
                changes[name] = FileChange(name, entry.raw, entry.raw)
        kind = "review" if right else "unreview"
        return self.change_files({"kind": kind, "author": author, "operation": kind}, list(changes.values()))

    def undo(self, steps: int = 1, author: str = "") -> list[Transaction]:
        """Take back the last transactions, newest first, as far as the journal goes.

        Raises:
            UserError: ``captions.nothing_to_undo``.
        """
        self.flush()
        back, forward = self.journal.undo_and_redo()
        message = _("There is nothing to undo.")
        return self._turned("undo", back, forward, steps, author) or _nothing(message, "captions.nothing_to_undo")

    def redo(self, steps: int = 1, author: str = "") -> list[Transaction]:
        """Bring back what was undone last.

        Raises:
            UserError: ``captions.nothing_to_redo``.
        """
        self.flush()
        back, forward = self.journal.undo_and_redo()
        message = _("There is nothing to redo.")
        return self._turned("redo", forward, back, steps, author) or _nothing(message, "captions.nothing_to_redo")

    def _turned(
        self, kind: str, records: list[Record], others: list[Record], steps: int, author: str
    ) -> list[Transaction]:
        """The last of ``records`` taken back or brought back; what cannot be read is stepped over.

        Args:
            others: what was turned before; where the disk refused a part of that, only this part is tried again.
        """
        partly = {record.number for record in others}
        done: list[Transaction] = []
        self.stepped_over = []
        for record in reversed(records):
            if len(done) >= steps:
                break
            try:
                changes = self._changes_of_turn(record, kind, partly=record.number in partly)
            except UserError as error:
                self.stepped_over.append(error)
                continue
            if changes:
                head = {"kind": kind, "author": author, "operation": f"{kind} {record.number}", "of": record.number}
                done.append(self.change_files(head, changes))
        if not done and self.stepped_over:
            raise self.stepped_over[0]
        return done

    def change_files(
        self, head: dict[str, Any], changes: Sequence[FileChange], contested: Sequence[FileChange] = ()
    ) -> Transaction:
        """A transaction over files by their names in the journal, images of this corpus or not.

        Args:
            contested: what was wanted of files that are known to hold something else.
        """
        numbers = self._by_name()
        kept, left, stamps = [], list(contested), {}
        changed: dict[int, CaptionDocument | None] = {}
        for change in changes:
            number = numbers.get(change.name)
            if number is None:
                kept.append(change)  # the writer compares it with the disk
                continue
            entry = self.corpus.entries[number]
            if entry.raw != change.before or entry.problem is not None or number in changed:
                left.append(change)
                continue
            stamps[change.name] = (entry.mtime_ns, entry.size, entry.look)
            kept.append(change)
            if change.after != change.before:
                changed[number] = None if change.after is None else CaptionDocument.parse(change.after)
        self.corpus.put_many(changed.items())
        return self._submitted(Transaction(head, kept, stamps), left)

    def current(self, name: str) -> bytes | None:
        """What a file holds now, by its name in the journal.

        Raises:
            OSError: it is there and cannot be read.
        """
        number = self._by_name().get(name)
        return read(self.journal.home, name) if number is None else self.corpus.entries[number].raw

    def journal_name(self, name: str) -> str:
        """The name in the journal of a file below the corpus."""
        return self._prefix + name

    def is_below(self, name: str) -> bool:
        """Whether a file of the journal lies in the corpus' folder."""
        return name.startswith(self._prefix)

    def local_name(self, name: str) -> str:
        """The name below the corpus of a file of the journal; one from elsewhere stays as it is."""
        return name.removeprefix(self._prefix)

    def flush(self) -> list[Transaction]:
        """Wait until everything is on disk; as :meth:`poll`."""
        self._writer.wait()
        return self.poll()

    def poll(self) -> list[Transaction]:
        """The transactions that came to their end since, their losses undone in memory. Never waits."""
        with self._guard:
            finished, self._finished = self._finished, []
        numbers = self._by_name() if finished else {}
        for transaction in finished:
            for name, stamp in transaction.written.items():
                if (number := numbers.get(name)) is not None:
                    self.corpus.stamp(number, *stamp)
            if transaction.lost and self._writer.is_idle:
                self._reread(transaction.lost)
            elif transaction.lost:
                with self._guard:  # what builds on it is still on its way; look again when that is known
                    self._finished.append(Transaction({}, [], conflicts=transaction.lost))
        for recovery in self._writer.recoveries:
            self._reread([*recovery.written, *recovery.conflicts])
        self._writer.recoveries.clear()
        return [transaction for transaction in finished if transaction.head]

    def follow(self) -> list[Record]:
        """See what other programs put into the journal, and read those captions again; what they did, oldest first."""
        news = self.look()
        for _some in self.take(news):
            continue
        return list(news.records)

    def look(self) -> News:
        """What other programs did since the last look, and their captions as they are on disk.

        Changes nothing, so a thread may do it: it waits for the journal and reads files.
        """
        records = self.journal.records(self._seen)
        waiting = {record.number for record in self.journal.pending()}
        found, seen = [], self._seen
        for record in records:
            if record.number in waiting:
                break
            seen = record.number
            if record.number not in self._own and record.files:
                found.append(record)
        names: dict[str, None] = {}
        for _record, changed in self.journal.names_of(found):
            names |= dict.fromkeys(changed)
        on_the_way, numbers = self._writer.names, self._by_name()
        wanted = (numbers[name] for name in names if name in numbers and name not in on_the_way)
        return News(tuple(found), seen, tuple(read_apart(self.corpus, wanted)))

    def take(self, news: News) -> Iterator[None]:
        """Take in what a look found, some captions at a time, so that others can do something in between.

        Captions that are on their way to the disk stay: the writer tells whether ours or theirs is there.
        """
        self._seen = max(self._seen, news.seen)
        for start in range(0, len(news.captions), AT_A_TIME):
            some = news.captions[start : start + AT_A_TIME]
            on_the_way = self._writer.names
            take_in(self.corpus, [one for one in some if self._prefix + one.entry.caption_name not in on_the_way])
            yield

    def close(self) -> list[Transaction]:
        """Bring everything to disk and end the writing thread."""
        self._writer.close()
        return self.poll()

    def _submitted(self, transaction: Transaction, contested: Sequence[FileChange]) -> Transaction:
        transaction.contested += contested
        transaction.conflicts += [change.name for change in contested]
        self._writer.submit(transaction)
        return transaction

    def _changes_of_turn(self, record: Record, kind: str, *, partly: bool) -> list[FileChange]:
        """What takes ``record`` back (undo) or brings it back (redo).

        Args:
            partly: a part of it was refused before; what is by now as it should be is left out.

        Raises:
            UserError: ``journal.damaged``.
        """
        changes = self.journal.load(record)
        if kind == "undo":
            changes = [change.back for change in changes]
        return [change for change in changes if not self._is_there(change)] if partly else changes

    def _is_there(self, change: FileChange) -> bool:
        """Whether a file holds what a change is to make of it."""
        try:
            return self.current(change.name) == change.after
        except OSError:
            return False

    def _reread(self, names: Iterable[str]) -> None:
        numbers = self._by_name()
        take_in(self.corpus, read_apart(self.corpus, {numbers[name] for name in names if name in numbers}))

    def _by_name(self) -> dict[str, int]:
        """The numbers of captions by their names in the journal."""
        if self._numbers_of != len(self.corpus.entries):
            self._numbers = {self._prefix + name: number for name, number in self.corpus.captions().items()}
            self._numbers_of = len(self.corpus.entries)
        return self._numbers

    def _done(self, transaction: Transaction) -> None:
        with self._guard:
            self._finished.append(transaction)


def _nothing(message: str, code: str) -> NoReturn:
    raise UserError(message, code=code)


def _named(error: UserError, name: str) -> UserError:
    return UserError(error.message, place=plain(name), remedy=error.remedy, code=error.code)


def _cannot_hold(name: str, error: UnicodeError) -> UserError:
    return UserError(
        _("This file's encoding cannot hold the new text: {reason}.").format(reason=str(error)),
        place=PurePosixPath(name).as_posix(),
        remedy=_('Make it UTF-8 first: captions edit … --do "encode utf-8".'),
        code="captions.encoding",
    )
