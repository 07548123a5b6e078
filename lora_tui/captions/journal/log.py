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
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import Any, BinaryIO

from lora_tui.captions.journal.bodies import (
    MOST_CONTENTS,
    FileChange,
    change_in,
    names_in,
    pack_changes,
    unpack_changes,
)
from lora_tui.captions.journal.frame import FAMILY, Frame, NewerError, pack, read_body, read_frames
from lora_tui.captions.journal.records import Record, entry_of
from lora_tui.captions.journal.renames import Moved, Renames
from lora_tui.captions.journal.stack import Stacks
from lora_tui.captions.journal.troubles import cannot_read, cannot_write, is_newer, too_much
from lora_tui.errors import UserError
from lora_tui.files import open_file, sync_folder
from lora_tui.text import _, count, ngettext, plain

HOME = ".lora-tui"
FOLDER, FILE = "journal", "edits.journal"
_LOCK = "lock"
_DAMAGE = (ValueError, zlib.error, KeyError, TypeError, IndexError, RecursionError, OverflowError)
"""What comes of reading a body that is damaged."""
_LAST = 1 << 60
"""A number beyond that of any transaction."""
PATIENCE = 60.0
"""Seconds that a transaction waits for another program's."""


def home_of(folder: Path) -> Path:
    """The folder whose ``.lora-tui`` belongs to ``folder``: the nearest above that has one, else itself."""
    start = Path(os.path.abspath(folder))  # noqa: PTH100 - links stay
    for candidate in (start, *start.parents):
        if (candidate / HOME).is_dir():
            return candidate
    return start


def journal_home_of(folder: Path) -> Path:
    """The folder whose journal keeps the captions of ``folder``: the nearest above that has one, else its home."""
    start = Path(os.path.abspath(folder))  # noqa: PTH100 - links stay
    for candidate in (start, *start.parents):
        if (candidate / HOME / FOLDER / FILE).is_file():
            return candidate
    return home_of(folder)


class Journal:
    """The journal of the dataset in ``home``. Reading makes nothing; the first transaction makes the folder.

    Args:
        endings: of captions that a person named; files that end otherwise than captions usually do are left alone.
    """

    def __init__(self, home: Path, endings: Sequence[str] = ()) -> None:
        self.home, self.endings = home, tuple(endings)
        self.folder = home / HOME / FOLDER
        self.path = self.folder / FILE
        self._records: dict[int, Record] = {}
        self._open: dict[int, None] = {}
        self._stacks: Stacks | None = Stacks()
        self._renames = Renames()
        #: How many places of the file are damaged; what they held is not known.
        self.damaged = 0
        #: What a newer version wrote, from which on nothing is read; empty for nothing.
        self.newer = ""
        #: Rises when the file turned out to be another than before, or files were moved: what was read of it is void.
        self.generation = 0
        self._last = self._gap = 0
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
        return [change for change in self._all_of(record) if record.has(change.name)]

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
                    names = [record.below + name for name in names] if record.below else names
                    names = [self._renames.now(record.number, name) for name in names] if self._renames else names
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
                found, then = None, self._renames.then(record.number, name) or ""
                own = then.removeprefix(record.below)
                if own and name not in record.failed and then == record.below + own:
                    with contextlib.suppress(*_DAMAGE):
                        found = change_in(file, record.frame.body_start, record.frame.end, record.blocks, own)
                if found is not None:
                    yield record, replace(found, name=name)

    def _opened(self) -> BinaryIO:
        try:
            return open_file(self.path, links=False)
        except OSError as error:
            raise cannot_read(self.path, error) from error

    def _all_of(self, record: Record) -> list[FileChange]:
        assert record.frame is not None
        with self._guard, self._opened() as file:
            body = read_body(file, record.frame)
        try:
            changes, links, below = unpack_changes(body or b""), dict(record.links), record.below
            if not links and not below and not self._renames:
                return changes
            names = (self._renames.now(record.number, below + one.name) for one in changes)
            return [replace(one, name=name, link=links.get(name, "")) for one, name in zip(changes, names, strict=True)]
        except _DAMAGE:
            raise UserError(
                _("Transaction {number} cannot be read: the journal is damaged there.").format(number=record.number),
                place=plain(str(self.path)),
                remedy=_("The captions are as they are. To undo another one: {command}").format(
                    command="lora-tui captions revert DIR --transaction N"
                ),
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
            raise cannot_write(self.folder, error) from error
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
            number = self._last + self._gap
            frames = []
            for head, changes in entries:
                number += 1
                if sum(len(one.before or b"") + len(one.after or b"") for one in changes) > MOST_CONTENTS:
                    raise too_much(self.path)
                body, blocks = pack_changes(changes)
                full = {**head, "number": number, "time": time.time(), "files": len(changes)}
                if links := {one.name: one.link for one in changes if one.link}:
                    full["links"] = links
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

    def note_moved(self, names: Mapping[str, str]) -> None:
        """Note that files were moved, so that their past goes with them; only under :meth:`locked`.

        Args:
            names: how they were called, and how they are called now; those that the journal does not know are left out.

        Raises:
            UserError: ``journal.folder``.
        """
        with self._guard:
            self._read_on(mend=True)
            known = {name for _record, some in self.names_of(self._records.values()) for name in some}
            if moved := {old: new for old, new in names.items() if old in known}:
                self._add(pack({"moved": moved, "time": time.time()}))
                self._read_on()

    def adopt(self, other: Journal, below: str) -> list[Record]:
        """Take over what is finished in the journal of a folder below; only under :meth:`locked` of both.

        Args:
            below: the name of that folder, ending with ``/``.

        Returns:
            What was taken over as it is called here now. What was before is not taken again.

        Raises:
            UserError: ``journal.folder``.
        """
        with self._guard:
            self._read_on(mend=True)
            known = {(one.below, one.time, one.kind, one.operation): one.number for one in self._records.values()}
            first = number = self._last + self._gap
            numbers: dict[int, int] = {}
            frames: list[bytes] = []
            done: dict[str, Any] = {"done": [], "failed": {}, "contested": {}}
            behind, moves = 0, self._renames.times()
            for record in [*other.records(), None]:
                for moved in other._renames.between(behind, record.number if record else _LAST):
                    names = {below + old: below + new for old, new in moved.names.items()}
                    if moved.time not in moves:
                        frames.append(pack({"moved": names, "time": moved.time}))
                if record is None:
                    break
                behind = record.number
                key = below + record.below, record.time, record.kind, record.operation
                if key in known:
                    numbers[record.number] = known[key]
                    continue
                assert record.frame is not None
                with other._opened() as file:
                    body = read_body(file, record.frame)
                if body is None:
                    continue
                number += 1
                numbers[record.number] = number
                frames.append(pack(record.head(number, numbers.get(record.of, 0), below), bytes(body)))
                done["done"].append(number)
                for name, some in (("failed", record.failed), ("contested", record.contested)):
                    if some:
                        done[name][str(number)] = [below + each for each in sorted(some)]
            if frames:
                self._add(b"".join([*frames, pack(done)]))
                self._read_on()
            return [self._records[each] for each in range(first + 1, number + 1)]

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
            raise cannot_write(self.folder, error) from error
        if new:
            for folder in (self.folder, self.folder.parent, self.home):
                sync_folder(folder)

    def _read_on(self, *, mend: bool = False) -> None:
        """Read the frames that came since; with ``mend`` cut off what a killed process left at the end."""
        try:
            with open_file(self.path, writable=mend, links=False) as file:
                state = os.fstat(file.fileno())
                if self._identity != (state.st_dev, state.st_ino) or state.st_size < self._read_to:
                    self._forget((state.st_dev, state.st_ino))
                self._read_frames(file, state.st_size)
                if mend and self.newer:
                    raise is_newer(self.path, self.newer)
                if mend and self._read_to < state.st_size:
                    file.truncate(self._read_to)
        except (FileNotFoundError, NotADirectoryError):
            self._forget(None)
        except OSError as error:
            raise cannot_read(self.path, error) from error

    def _read_frames(self, file: BinaryIO, size: int) -> None:
        """Take the frames that came since.

        Raises:
            UserError: ``journal.folder``: the file is no journal.
        """
        self.newer = ""
        try:
            for frame in read_frames(file, self._read_to, size):
                if frame.end == size and frame.head is not None and read_body(file, frame) is None:
                    break  # long enough by chance of the disk, and yet not what was to be written
                self._take(frame)
                self._read_to = frame.end
        except NewerError as error:
            self.newer = str(error)
        if not self._read_to and not self.newer:
            file.seek(0)
            if (first := file.read(len(FAMILY))) != FAMILY[:size] and first.strip(b"\0"):
                raise OSError(0, _("it is no journal"))  # and nothing to be cut off, as a killed process' first words

    def _forget(self, identity: tuple[int, int] | None) -> None:
        """Everything that was read is void: there is no file, or another one."""
        self.generation += bool(self._records)
        self._records, self._open, self._stacks, self._renames = {}, {}, Stacks(), Renames()
        self._last = self._gap = self.damaged = 0
        self._read_to, self._identity, self.newer = 0, identity, ""

    def _take(self, frame: Frame) -> None:
        """Note what a frame says.

        Raises:
            NewerError: this version does not know what it says.
        """
        try:
            entry = entry_of(frame)
            if isinstance(entry, Record) and entry.number <= self._last:
                raise ValueError
        except ValueError:
            self.damaged += 1
            self._gap += 1
            return
        if isinstance(entry, Record):
            self._last, self._gap = entry.number, 0
            self._records[entry.number] = entry
            self._open[entry.number] = None
            if self._stacks is not None:
                self._stacks.take(entry)
            return
        if isinstance(entry, Moved):
            self._renames.add(self._last, entry)
            self._records = {number: one.with_names(entry.names) for number, one in self._records.items()}
            self._stacks = None
            self.generation += 1
            return
        newest = max(entry.numbers, default=0)
        for number in [number for number in self._open if number <= newest]:
            del self._open[number]  # nothing is begun before what was before is done
        for number, names in entry.failed.items():
            if record := self._records.get(number):
                self._stacks = None  # a transaction of which nothing came is none to undo
                self._records[number] = record.with_failed(names, entry.contested.get(number, ()))

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

    def faults(self) -> list[UserError]:
        """What is wrong with the file, as far as it was read; other transactions can be read all the same."""
        found = [is_newer(self.path, self.newer)] if self.newer else []
        if self.damaged:
            text = ngettext(
                "The journal of the captions is damaged at {number} place; what it held there is not known.",
                "The journal of the captions is damaged at {number} places; what it held there is not known.",
                self.damaged,
            )
            found.append(
                UserError(
                    text.format(number=count(self.damaged)),
                    place=plain(str(self.path)),
                    remedy=_("The captions are as they are, and other changes can be undone."),
                    code="journal.damaged",
                )
            )
        return found


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
