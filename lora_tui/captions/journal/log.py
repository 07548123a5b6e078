"""The journal file of a dataset: append under a lock, flushed before anything else happens, and read again.

It lies in ``.lora-tui/journal/`` of the dataset's folder, or of the nearest folder above that has ``.lora-tui``.
Names in it are relative to that folder, so a dataset can move. Each record holds every file's content before and
after; a record ``done`` says that the files were written.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path
from typing import Any, BinaryIO

from lora_tui.captions.journal.bodies import (
    Blocks,
    FileChange,
    blocks_of,
    change_in,
    names_in,
    pack_changes,
    unpack_changes,
)
from lora_tui.captions.journal.frame import Frame, pack, read_body, read_frames
from lora_tui.captions.journal.stack import Stacks
from lora_tui.errors import UserError
from lora_tui.files import sync_folder
from lora_tui.text import _, plain

HOME = ".lora-tui"
FILE = "edits.journal"
_LOCK = "lock"
_DAMAGE = (ValueError, zlib.error, KeyError, TypeError, IndexError)
"""What comes of reading a body that is damaged."""
PATIENCE = 60.0
"""Seconds that a transaction waits for another program's."""


@dataclass(frozen=True, slots=True)
class Record:
    """One transaction as the journal knows it.

    Attributes:
        number: from 1, in the order in which they happened.
        time: unix seconds.
        kind: ``edit``; ``undo`` and ``redo`` of the transaction ``of``; ``part``: a part of it put
            back; ``merge``: edits that another program's change had kept out, as a person decided; ``review`` and
            ``unreview`` change nothing.
        author: a person, a tagger, a rule.
        operation, scope: as text, for a reader.
        files: how many files it changed.
        of: the number of the transaction that an undo or redo is about, 0 for none.
        failed: names of files that the disk refused, or that another program had changed meanwhile.
        contested: those of them that another program had changed; what was to be written waits in the journal.
        frame: where it lies in the file.
        blocks: the parts of its body that can be read by themselves.
    """

    number: int
    time: float
    kind: str
    author: str
    operation: str
    scope: str
    files: int
    of: int = 0
    failed: frozenset[str] = frozenset()
    contested: frozenset[str] = frozenset()
    frame: Frame | None = field(default=None, repr=False, compare=False)
    blocks: Blocks = field(default=(), repr=False, compare=False)


def home_of(folder: Path) -> Path:
    """The folder whose ``.lora-tui`` belongs to ``folder``: the nearest above that has one, else itself."""
    start = Path(os.path.abspath(folder))  # noqa: PTH100 - links stay
    for candidate in (start, *start.parents):
        if (candidate / HOME).is_dir():
            return candidate
    return start


class Journal:
    """The journal of the dataset in ``home``. Reading makes nothing; the first transaction makes the folder."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.folder = home / HOME / "journal"
        self.path = self.folder / FILE
        self._records: dict[int, Record] = {}
        self._open: dict[int, None] = {}
        self._stacks: Stacks | None = Stacks()
        #: Rises when the file turned out to be another than before, so that what was read of it is void.
        self.generation = 0
        self._read_to = 0
        self._identity: tuple[int, int] | None = None
        self._guard = threading.RLock()

    def records(self, after: int = 0) -> list[Record]:
        """Every transaction up to now, oldest first, those of other programs included.

        Args:
            after: only those with greater numbers.
        """
        with self._guard:
            self._read_on()
            if not after:
                return list(self._records.values())
            newest = takewhile(lambda record: record.number > after, reversed(self._records.values()))
            return list(newest)[::-1]

    def record(self, number: int) -> Record | None:
        """The transaction with a number, as far as it was read."""
        return self._records.get(number)

    @property
    def last(self) -> int:
        """The number of the newest transaction, 0 when there is none."""
        with self._guard:
            self._read_on()
            return next(reversed(self._records), 0)

    def undo_and_redo(self) -> tuple[list[Record], list[Record]]:
        """The transactions that undo would take back and those that redo would bring back, the next one last."""
        with self._guard:
            self._read_on()
            if self._stacks is None:
                self._stacks = Stacks(self._records.values())
            return self._stacks.lists()

    def pending(self) -> list[Record]:
        """Transactions whose files may not all have been written."""
        with self._guard:
            self._read_on()
            return [self._records[number] for number in self._open]

    def load(self, record: Record) -> list[FileChange]:
        """The files of a transaction; those that failed are left out.

        Raises:
            UserError: ``journal.damaged``.
        """
        return [change for change in self._all_of(record) if change.name not in record.failed]

    def contested(self, record: Record) -> list[FileChange]:
        """What a transaction was to make of the files that another program had changed.

        Raises:
            UserError: ``journal.damaged``.
        """
        return [change for change in self._all_of(record) if change.name in record.contested]

    def names_of(self, records: Iterable[Record]) -> Iterator[tuple[Record, list[str]]]:
        """For each transaction the files that it changed; none for one that is damaged. Unpacks no contents."""
        wanted = list(records)
        with self._opened() if wanted else contextlib.nullcontext() as file:
            for record in wanted:
                assert record.frame is not None and file is not None
                names: list[str] = []
                with contextlib.suppress(*_DAMAGE):
                    names = names_in(file, record.frame.body_start, record.frame.end)
                yield record, [name for name in names if name not in record.failed] if record.failed else names

    def changes_of(self, name: str, records: Iterable[Record] | None = None) -> Iterator[tuple[Record, FileChange]]:
        """The transactions that changed one file, oldest first, and what they made of it; damaged ones are left out.

        Args:
            records: those to look at; by default all. Only what is needed of each is unpacked, and no check sum is
                looked at: what is to be written comes from :meth:`load`.
        """
        wanted = self.records() if records is None else list(records)
        with self._opened() if wanted else contextlib.nullcontext() as file:
            for record in wanted:
                assert record.frame is not None and file is not None
                found = None
                if name not in record.failed:
                    with contextlib.suppress(*_DAMAGE):
                        found = change_in(file, record.frame.body_start, record.frame.end, record.blocks, name)
                if found is not None:
                    yield record, found

    def _opened(self) -> BinaryIO:
        try:
            return self.path.open("rb")
        except OSError as error:
            raise self._cannot_read(error) from error

    def _all_of(self, record: Record) -> list[FileChange]:
        assert record.frame is not None
        with self._guard, self._opened() as file:
            body = read_body(file, record.frame)
        try:
            return unpack_changes(body or b"")
        except _DAMAGE:
            raise UserError(
                _("Transaction {number} cannot be read: the journal is damaged there.").format(number=record.number),
                place=plain(str(self.path)),
                remedy=_("The captions themselves are not touched; other transactions can be undone as before."),
                code="journal.damaged",
            ) from None

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the dataset's lock; waits for another program's transaction.

        Raises:
            UserError: ``journal.folder`` when nothing can be written there, ``journal.locked`` when the other does not
                come to an end.
        """
        try:
            self.folder.parent.mkdir(exist_ok=True)  # never the dataset's folder itself, should it have vanished
            self.folder.mkdir(exist_ok=True)
            descriptor = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise self._cannot_write(error) from error
        try:
            self._wait_for(descriptor)
            yield
        finally:
            os.close(descriptor)

    def append(self, entries: Sequence[tuple[dict[str, Any], Sequence[FileChange]]]) -> list[Record]:
        """Put transactions on disk, to stay there; only under :meth:`locked`.

        Args:
            entries: for each its head (kind, author, operation, scope, of) and its files.

        Raises:
            UserError: ``journal.folder`` when the disk refuses; nothing was added then.
        """
        with self._guard:
            self._read_on(mend=True)
            number = max(self._records, default=0)
            frames = []
            for head, changes in entries:
                number += 1
                body, blocks = pack_changes(changes)
                full = {**head, "number": number, "time": time.time(), "files": len(changes)}
                frames.append(pack({**full, "blocks": blocks} if blocks else full, body))
            self._add(b"".join(frames))
            self._read_on()
            return [self._records[each] for each in range(number - len(entries) + 1, number + 1)]

    def finish(
        self, numbers: Sequence[int], failed: dict[int, list[str]], contested: Mapping[int, Sequence[str]] | None = None
    ) -> list[Record]:
        """Note that the files of transactions were written, but for those that failed; only under :meth:`locked`.

        Args:
            contested: those of the failed ones that another program had changed.

        Returns:
            The transactions as the journal knows them now.
        """
        head: dict[str, Any] = {"done": list(numbers)}
        for key, names in (("failed", failed), ("contested", contested or {})):
            head[key] = {str(number): list(some) for number, some in names.items()}
        with self._guard:
            self._read_on(mend=True)
            self._add(pack(head))
            self._read_on()
            return [self._records[number] for number in numbers if number in self._records]

    def _add(self, data: bytes) -> None:
        """Write at the end and wait until the disk has it; leave no part of it when that fails."""
        new = not self.path.exists()
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
            try:
                size = os.fstat(descriptor).st_size
                try:
                    _write_all(descriptor, data)
                    os.fdatasync(descriptor)
                except BaseException:
                    os.ftruncate(descriptor, size)
                    raise
            finally:
                os.close(descriptor)
        except OSError as error:
            raise self._cannot_write(error) from error
        if new:
            for folder in (self.folder, self.folder.parent, self.home):
                sync_folder(folder)

    def _read_on(self, *, mend: bool = False) -> None:
        """Read the frames that came since; with ``mend`` cut off what a killed process left at the end."""
        try:
            with self.path.open("r+b" if mend else "rb") as file:
                state = os.fstat(file.fileno())
                if self._identity != (state.st_dev, state.st_ino) or state.st_size < self._read_to:
                    self._forget((state.st_dev, state.st_ino))
                for frame in read_frames(file, self._read_to, state.st_size):
                    if frame.end == state.st_size and read_body(file, frame) is None:
                        break  # long enough by chance of the disk, and yet not what was to be written
                    self._take(frame)
                    self._read_to = frame.end
                if mend and self._read_to < state.st_size:
                    file.truncate(self._read_to)
        except (FileNotFoundError, NotADirectoryError):
            self._forget(None)
        except OSError as error:
            raise self._cannot_read(error) from error

    def _forget(self, identity: tuple[int, int] | None) -> None:
        """Everything that was read is void: there is no file, or another one."""
        self.generation += bool(self._records)
        self._records, self._open, self._stacks = {}, {}, Stacks()
        self._read_to, self._identity = 0, identity

    def _take(self, frame: Frame) -> None:
        head = frame.head
        if "done" in head:
            for number in head["done"]:
                self._open.pop(number, None)
            contested = head.get("contested", {})
            for text, names in head.get("failed", {}).items():
                if record := self._records.get(int(text)):
                    self._stacks = None  # a transaction of which nothing came is none to undo
                    self._records[record.number] = _with_failed(record, names, contested.get(text, ()))
            return
        record = Record(
            number=int(head["number"]),
            time=float(head["time"]),
            kind=str(head.get("kind", "edit")),
            author=str(head.get("author", "")),
            operation=str(head.get("operation", "")),
            scope=str(head.get("scope", "")),
            files=int(head.get("files", 0)),
            of=int(head.get("of", 0)),
            frame=replace(frame, head={}),
            blocks=blocks_of(head),
        )
        self._records[record.number] = record
        self._open[record.number] = None
        if self._stacks is not None:
            self._stacks.take(record)

    def _wait_for(self, descriptor: int) -> None:
        end, pause = time.monotonic() + PATIENCE, threading.Event()
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > end:
                    raise UserError(
                        _("Another program is changing these captions and does not come to an end."),
                        place=plain(str(self.folder)),
                        remedy=_("Wait for it or end it, then try again."),
                        code="journal.locked",
                    ) from None
            except OSError:
                return  # a file system without locks: one program at a time is then up to the person
            pause.wait(0.005)

    def _cannot_read(self, error: OSError) -> UserError:
        return UserError(
            _("The journal cannot be read: {reason}.").format(reason=plain(error.strerror or str(error))),
            place=plain(str(self.path)),
            remedy=_("Check the file and its permissions."),
            code="journal.folder",
        )

    def _cannot_write(self, error: OSError) -> UserError:
        return UserError(
            _("The journal cannot be written: {reason}.").format(reason=plain(error.strerror or str(error))),
            place=plain(str(self.folder)),
            remedy=_("No caption was changed. Make room, or make the folder writable."),
            code="journal.folder",
        )


def _with_failed(record: Record, names: Sequence[str], contested: Sequence[str]) -> Record:
    failed = record.failed | frozenset(names)
    files = max(record.files - len(failed) + len(record.failed), 0)
    return replace(record, failed=failed, contested=record.contested | frozenset(contested), files=files)


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
