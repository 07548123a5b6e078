"""The thread that journals and writes, so that nobody who edits waits for a disk.

What waits is taken together: one lock, one flush of the journal, then each file once, then one ``syncfs``.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from lora_tui.captions.folders import trusted_look
from lora_tui.captions.journal.bodies import FileChange
from lora_tui.captions.journal.joining import folders_with_journals, join
from lora_tui.captions.journal.log import Journal
from lora_tui.captions.journal.names import Reach
from lora_tui.captions.journal.place import ChangedError, Placed, Seen, Stamp, place, read, seen
from lora_tui.captions.journal.records import Record
from lora_tui.captions.journal.recovery import Recovery, recover
from lora_tui.errors import UserError
from lora_tui.text import _, plain


@dataclass(eq=False)
class Transaction:
    """Changes on their way to the disk; what is marked below is known once ``finished`` is set.

    Attributes:
        head: kind, author, operation, scope, of: as the journal takes them.
        changes: the files, by names relative to the journal's home.
        stamps: of the files when their content was read; a file with another one is read and compared.
        record: as the journal has it; none when it was refused as a whole (below).
        contested: changes of files that another program had changed; they were left alone, and the journal keeps what
            was wanted (below).
        conflicts: the names of these, and of files that could not be compared (below).
        failures: why the disk refused a file (below).
        written: the new stamps of the files (below).
        parted: files that had other names by hard links, which keep the old content (below).
        disowned: files that belonged to somebody else, and are ours now (below).
        error: why the transaction was refused as a whole (below).
    """

    head: dict[str, Any]
    changes: Sequence[FileChange]
    stamps: Mapping[str, Stamp] = field(default_factory=dict)
    record: Record | None = None
    contested: list[FileChange] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    written: dict[str, Stamp] = field(default_factory=dict)
    parted: list[str] = field(default_factory=list)
    disowned: list[str] = field(default_factory=list)
    error: UserError | None = None
    finished: threading.Event = field(default_factory=threading.Event)

    @property
    def lost(self) -> list[str]:
        """Names of files that are not as the transaction wanted them."""
        if self.error is not None:
            return [change.name for change in self.changes]
        return [*self.conflicts, *self.failures]


class Writer:
    """Takes transactions from any thread and brings them to disk in their order, in a thread of its own."""

    def __init__(
        self,
        journal: Journal,
        on_finished: Callable[[Transaction], None],
        on_recorded: Callable[[Record], None] = lambda _record: None,
    ) -> None:
        """``on_recorded`` is told of each transaction that is in the journal, before its files are written."""
        self.journal = journal
        #: What had to be finished for others that were killed in the middle.
        self.recoveries: list[Recovery] = []
        self._on_finished, self._on_recorded = on_finished, on_recorded
        self._waiting: list[Transaction] = []
        self._batch: list[Transaction] = []
        self._closed = False
        #: What the disk refused to change: what these files hold still, and why.
        self._refused: dict[str, tuple[bytes | None, str]] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def submit(self, transaction: Transaction) -> None:
        """Bring a transaction to disk; after :meth:`close`, too, in a thread that ends with it."""
        with self._changed:
            self._waiting.append(transaction)
            if self._thread is None:  # behind a writer that was closed nobody waits but the interpreter's end
                self._thread = threading.Thread(target=self._work, name="captions", daemon=not self._closed)
                self._thread.start()
            self._changed.notify_all()

    def wait(self) -> None:
        """Return when everything that was submitted is on disk."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting and not self._batch)

    @property
    def is_idle(self) -> bool:
        with self._changed:
            return not self._waiting and not self._batch

    @property
    def names(self) -> set[str]:
        """The files of everything that is not on disk yet."""
        with self._changed:
            return {change.name for each in (*self._batch, *self._waiting) for change in each.changes}

    def close(self) -> None:
        """Bring everything to disk and end the thread."""
        self.wait()
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if not self._waiting:
                    self._thread = None
                    return
                batch = self._batch = self._waiting
                self._waiting = []
            try:
                self._bring(batch)
            finally:
                for transaction in batch:
                    self._on_finished(transaction)
                    transaction.finished.set()
                with self._changed:
                    self._batch = []
                    self._changed.notify_all()

    def _bring(self, batch: list[Transaction]) -> None:
        try:
            with self.journal.locked():
                if (recovery := recover(self.journal, locked=True)).records:
                    self.recoveries.append(recovery)
                self._commit(batch)
        except UserError as error:
            for transaction in batch:
                if transaction.record is None:
                    transaction.error = error
        except Exception as error:  # a defect of ours must not leave an editor waiting for ever
            for transaction in batch:
                transaction.error = UserError(
                    _("The captions cannot be written: {reason}.").format(reason=plain(str(error))),
                    place=plain(str(self.journal.home)),
                    remedy=_("What the journal holds is finished when the dataset is opened again."),
                    code="captions.write",
                )

    def _commit(self, batch: list[Transaction]) -> None:
        names = (change.name for transaction in batch for change in transaction.changes)
        for folder in folders_with_journals(self.journal.home, names):
            for record in join(self.journal, folder):
                self._on_recorded(record)
        trial = _Trial(Reach(self.journal.home, self.journal.endings))
        worth: list[_Worth] = []
        for transaction in batch:
            kept = [self._with_link(one) for one in transaction.changes if self._fits(one, transaction, trial)]
            one = _Worth(transaction, kept, *_left(transaction, kept))
            if kept or one.held:
                worth.append(one)
        if not worth:
            return
        records = self.journal.append([(one.transaction.head, one.changes) for one in worth])
        for one, record in zip(worth, records, strict=True):
            one.transaction.record = record
            self._on_recorded(record)
        changes = [change for one in worth for change in one.kept]
        goals = {change.name: change.after for change in changes if change.before != change.after}
        links = {change.name: change.link for change in changes if change.link}
        placed = place(self.journal.home, goals, records[-1].number, trial.looks, links)
        failed: dict[int, list[str]] = {}
        contested: dict[int, list[str]] = {}
        for one, record in zip(worth, records, strict=True):
            held = [change.name for change in (*one.held, *self._note(one.transaction, one.kept, placed, trial))]
            if held:
                contested[record.number] = held
            refused = one.transaction.failures.keys() & {change.name for change in one.changes}
            if held or refused:
                failed[record.number] = sorted({*refused, *held})
        done = self.journal.finish([record.number for record in records], failed, contested)
        for one, record in zip(worth, done, strict=True):
            one.transaction.record = record

    def _fits(self, change: FileChange, transaction: Transaction, trial: _Trial) -> bool:
        """Whether a file still holds what the change starts from; if not, what builds on it is left alone, too.

        What the file looks like is noted, for it may be written by another program before its turn comes.
        """
        name = change.name
        if name not in trial.lost:
            stamp = transaction.stamps.get(name)
            if name in trial.states:
                fits = trial.states[name] == change.before
            elif stamp is None and (reason := trial.reach.why_not(name, asked=True)):
                fits, trial.lost[name] = False, reason
            else:
                fits, trial.looks[name] = self._is_on_disk(change, stamp)
                trial.first.setdefault(name, change.before)
            if fits:
                trial.states[name] = change.after
                self._refused.pop(name, None)
                return True
            trial.lost.setdefault(name, self._why_refused(name))
        if reason := trial.lost[name]:
            transaction.failures[name] = reason
        else:
            transaction.conflicts.append(name)
            transaction.contested.append(change)
        return False

    def _with_link(self, change: FileChange) -> FileChange:
        """A change that takes a link away says where it leads, so that it can be brought back."""
        if change.after is not None or change.before is None or change.link:
            return change
        try:
            return replace(change, link=os.readlink(os.path.join(self.journal.home, change.name)))  # noqa: PTH115, PTH118
        except OSError:
            return change

    def _why_refused(self, name: str) -> str:
        """Why the disk refused a file on which a change builds; empty when another program has changed the file."""
        content, reason = self._refused.get(name, (None, ""))
        try:
            return reason if reason and read(self.journal.home, name) == content else ""
        except OSError:
            return reason

    def _is_on_disk(self, change: FileChange, stamp: Stamp | None) -> tuple[bool, Seen]:
        """Whether a file holds what a change starts from, and what it looked like before it was read."""
        try:
            state = os.stat(os.path.join(self.journal.home, change.name))  # noqa: PTH116, PTH118
            if stamp == seen(state):
                return True, seen(state)
            return read(self.journal.home, change.name) == change.before, seen(state)
        except (FileNotFoundError, NotADirectoryError):
            return change.before is None, None
        except OSError:
            return False, None

    def _note(
        self, transaction: Transaction, kept: Sequence[FileChange], placed: Placed, trial: _Trial
    ) -> list[FileChange]:
        """Take down how its files fared; the changes of those that another program wrote in between."""
        stamps, failed = placed.stamps, placed.failed
        changed = []
        for change in kept:
            name = change.name
            if (stamp := stamps.get(name)) is not None:
                transaction.written[name] = stamp
            elif (error := failed.get(name)) is not None:
                if isinstance(error, ChangedError):
                    changed.append(change)
                else:
                    transaction.failures[name] = plain(error.strerror or str(error))
                    self._refused[name] = trial.first.get(name), transaction.failures[name]
            elif change.after is not None:  # a link, or the same as before
                try:
                    state = os.stat(os.path.join(self.journal.home, name))  # noqa: PTH116, PTH118
                    transaction.written[name] = (state.st_mtime_ns, state.st_size, trusted_look(state))
                except OSError:
                    continue
            else:
                transaction.written[name] = (0, 0, 0)
        if placed.parted or placed.disowned:
            names = {change.name for change in kept}
            transaction.parted = [name for name in placed.parted if name in names]
            transaction.disowned = [name for name in placed.disowned if name in names]
        transaction.contested += changed
        transaction.conflicts += [change.name for change in changed]
        return changed


class _Worth(NamedTuple):
    """A transaction of which something is journalled."""

    transaction: Transaction
    kept: list[FileChange]
    held: list[FileChange]
    refused: list[FileChange]

    @property
    def changes(self) -> list[FileChange]:
        return [*self.kept, *self.held, *self.refused]


@dataclass
class _Trial:
    """What is known of files while it is decided what is done to them.

    Attributes:
        states: what each file will hold.
        first: what it held.
        looks: what it looked like.
        lost: why the disk refuses a file, or nothing when another program has changed it.
    """

    reach: Reach
    states: dict[str, bytes | None] = field(default_factory=dict)
    first: dict[str, bytes | None] = field(default_factory=dict)
    looks: dict[str, Seen] = field(default_factory=dict)
    lost: dict[str, str] = field(default_factory=dict)


def _left(transaction: Transaction, kept: Sequence[FileChange]) -> tuple[list[FileChange], list[FileChange]]:
    """What the journal keeps of a transaction's changes that are not done: contested ones and refused ones.

    One for each file that nothing else is done to.
    """
    if not transaction.contested and not transaction.failures:
        return [], []
    names = {change.name for change in kept}
    held = (change for change in transaction.contested if change.before != change.after and change.name not in names)
    refused = (change for change in transaction.changes if change.name in transaction.failures.keys() - names)
    return list({one.name: one for one in held}.values()), list({one.name: one for one in refused}.values())
