"""The queue on disk: an append-only file of which each line is one change, whole or not there at all.

A line is a JSON object with ``t`` (unix seconds) and what has become of the jobs that it names: ``jobs`` (complete
records, which take the place of those before), ``gone`` (numbers), ``queue`` (``held``, ``stopped``, ``next``). Whoever
changes something takes a turn: reads the file, changes, appends one line and flushes it to disk before the next may.
Readers take no turn and wait for nobody. A last line without its end was never finished and does not count; a line
that is damaged is passed over and counted, and what it said of a job is lost, the others are not.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from lora_tui.errors import UserError
from lora_tui.files import open_file, sync_folder, write_atomic
from lora_tui.jobs.events import as_count
from lora_tui.jobs.queue.record import Queue, QueueJob, as_plain, from_plain
from lora_tui.settings import state_dir
from lora_tui.text.plain import plain
from lora_tui.text.translate import _

FILE = "journal.jsonl"

MUCH = 1 << 20
"""Bytes from which on the file is written anew, without what has been overtaken."""

KEPT = 200
"""Jobs that have ended of which something is kept; the oldest go first."""

PATIENCE = 20.0
"""Seconds to wait for one's turn; a change takes milliseconds."""


def queue_dir() -> Path:
    """The folder of the queue, in the user's state folder; it need not be there.

    Raises:
        UserError: the state folder cannot be made.
    """
    return state_dir() / "queue"


def job_dir(number: int) -> Path:
    """Where what belongs to one job lies: its configuration, and how it was started."""
    return queue_dir() / "jobs" / str(number)


def read_queue() -> Queue:
    """The queue as it is now. Without a file it is empty; one that cannot be read is so, too, with ``damaged`` 1."""
    try:
        return _read(queue_dir() / FILE)
    except OSError:
        return Queue(damaged=1)


def _read(path: Path) -> Queue:
    """The queue that a file comes to; what was read last is not read again while the file is the same."""
    global _last
    try:
        with open_file(path) as file:
            status = os.fstat(file.fileno())
            stamp = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
            known = _last
            if known is None or known[0] != stamp:
                known = _last = stamp, fold(file.read())
            return known[1]
    except (FileNotFoundError, NotADirectoryError):
        return Queue()


_last: tuple[tuple[int, int, int, int], Queue] | None = None


def fold(data: bytes) -> Queue:
    """The queue that the lines of a file come to."""
    jobs: dict[int, QueueJob] = {}
    flags = {"held": False, "stopped": False}
    next_id, damaged = 1, 0
    for line in data[: data.rfind(b"\n") + 1].split(b"\n"):
        if not line.strip(b"\0\r\t "):
            continue
        change = _parsed(line)
        if change is None:
            damaged += 1
            continue
        told, gone, said = change
        for job in told:
            jobs[job.id] = job
            next_id = max(next_id, job.id + 1)
        for number in gone:
            jobs.pop(number, None)
        flags.update({name: said[name] for name in flags if isinstance(said.get(name), bool)})
        next_id = max(next_id, as_count(said.get("next"), 1 << 40))
    return Queue(jobs, flags["held"], flags["stopped"], next_id, damaged)


class Turn:
    """The queue while nobody else may change it. What is put in is written when the turn ends."""

    def __init__(self, queue: Queue) -> None:
        self._jobs = dict(queue.jobs)
        self.queue = replace(queue, jobs=self._jobs)
        self._changed: dict[int, QueueJob] = {}
        self._gone: list[int] = []
        self._said: dict[str, Any] = {}

    def put(self, *jobs: QueueJob) -> None:
        """Jobs as they are from now on, new ones or changed ones."""
        for job in jobs:
            self._changed[job.id] = self._jobs[job.id] = job
            self.queue = replace(self.queue, next_id=max(self.queue.next_id, job.id + 1))

    def drop(self, *numbers: int) -> None:
        """Jobs that are in the queue no more."""
        for number in numbers:
            self._changed.pop(number, None)
            self._jobs.pop(number, None)
            self._gone.append(number)

    def say(self, *, held: bool | None = None, stopped: bool | None = None) -> None:
        """What holds for the whole queue."""
        told = {name: value for name, value in (("held", held), ("stopped", stopped)) if value is not None}
        self._said.update(told)
        self.queue = replace(self.queue, **told)  # type: ignore[arg-type]

    def line(self) -> bytes:
        """The change as a line of the file; empty when there is none."""
        if not (self._changed or self._gone or self._said):
            return b""
        return _line(self._changed.values(), self._gone, {**self._said, "next": self.queue.next_id})


@contextlib.contextmanager
def turn() -> Iterator[Turn]:
    """Change the queue: what is put in is on disk when the block ends, all of it or nothing.

    Raises:
        UserError: ``queue.write`` or ``queue.read`` when the file cannot be written or read (the queue is as it was),
            ``queue.busy``.
    """
    with _alone() as folder:
        path = folder / FILE
        try:
            change = Turn(_read(path))
        except OSError as error:
            raise UserError(
                _("The queue cannot be read: {reason}.").format(reason=error.strerror or error),
                place=plain(str(path)),
                remedy=_("Make the file readable, or move it away to begin with an empty queue."),
                code="queue.read",
            ) from error
        yield change
        if line := change.line():
            try:
                _append(path, line)
            except OSError as error:
                raise _cannot_write(path, error) from error
        with contextlib.suppress(OSError):
            if path.stat().st_size > MUCH:
                _write_anew(path, change.queue, path.stat().st_size)


@contextlib.contextmanager
def _alone() -> Iterator[Path]:
    """Be the only one who changes the queue; the turn ends with the process at the latest."""
    folder = queue_dir()
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(folder / "turn", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _cannot_write(folder, error) from error
    try:
        _wait_for_turn(descriptor, folder)
        yield folder
    finally:
        os.close(descriptor)


def _wait_for_turn(descriptor: int, folder: Path) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise UserError(
                    _("Another program has been changing the queue for {seconds} seconds.").format(
                        seconds=int(PATIENCE)
                    ),
                    place=plain(str(folder)),
                    remedy=_("Try again; if it stays so, end the program that hangs."),
                    code="queue.busy",
                ) from None
            time.sleep(0.005)
        except OSError:  # a file system without locks
            return
        else:
            return


def _append(path: Path, line: bytes) -> None:
    """Add a line and flush it to disk; if that fails, the file is as it was."""
    new = not path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        data = b"\n" + line if torn else line
        try:
            written = 0
            while written < len(data):
                written += os.write(descriptor, data[written:])
            os.fsync(descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, size)
            raise
    finally:
        os.close(descriptor)
    if new:
        sync_folder(path.parent)


def _write_anew(path: Path, queue: Queue, size: int) -> None:
    """Replace the file by one line that comes to the same, without the oldest of what has ended, if that spares
    half or mends it.

    A file with damaged lines is kept beside it: a person may find in it what it said.
    """
    old = [job.id for job in queue.ended()[KEPT:]]
    needed = {number for job in queue.waiting() for number in job.after}
    old = [number for number in old if number not in needed]
    jobs = [job for number, job in sorted(queue.jobs.items()) if number not in old]
    said = {"held": queue.held, "stopped": queue.stopped, "next": queue.next_id}
    line = _line(jobs, [], said)
    if 2 * len(line) > size and not queue.damaged:
        return
    if queue.damaged:
        _keep_damaged(path)
    write_atomic(path, line)
    for number in old:
        shutil.rmtree(job_dir(number), ignore_errors=True)


def _keep_damaged(path: Path) -> None:
    """A copy beside it, whole or none: a full disk is not filled with beginnings of copies."""
    copy = path.with_name(f"journal-damaged-{time.strftime('%Y%m%d-%H%M%S')}.jsonl")
    try:
        shutil.copyfile(path, copy)
    except OSError:
        copy.unlink(missing_ok=True)
        raise


def _line(jobs: Iterable[QueueJob], gone: list[int], said: dict[str, Any]) -> bytes:
    change: dict[str, Any] = {"t": round(time.time(), 3), "jobs": [as_plain(job) for job in jobs], "queue": said}
    if gone:
        change["gone"] = gone
    return json.dumps(change, separators=(",", ":")).encode("ascii") + b"\n"


def _parsed(line: bytes) -> tuple[list[QueueJob], list[int], dict[str, Any]] | None:
    """What a line says; none when any part of it cannot be."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    jobs, gone, said = value.get("jobs", []), value.get("gone", []), value.get("queue", {})
    if not isinstance(jobs, list) or not isinstance(gone, list) or not isinstance(said, dict):
        return None
    read = [from_plain(job) for job in jobs]
    known = [job for job in read if job is not None]
    return (known, [as_count(number) for number in gone], said) if len(known) == len(read) else None


def _cannot_write(path: Path, error: OSError) -> UserError:
    return UserError(
        _("The queue cannot be written: {reason}.").format(reason=error.strerror or error),
        place=plain(str(path)),
        remedy=_("It is as it was. Make room on the disk, or the folder writable; LORA_TUI_HOME names another place."),
        code="queue.write",
    )
