"""The lock of a run folder: an open-file-description lock that dies with its process and is never taken by readers.

Such a lock (``F_OFD_SETLK`` of Linux) is free at once when its process is killed, even while that is still a
zombie, and ``F_OFD_GETLK`` asks who holds it without taking it. A forked worker shares the description and
would keep the lock alive after its parent, so the descriptor is closed in every forked child. The lock does not
tell its holder, so the file's text does. Where a file system knows no locks, and for a holder on another
machine of a network disk, the text and the age of the run folder's files decide.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import struct
import sys
import time
import weakref
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lora_tui.errors import UserError
from lora_tui.files import open_file
from lora_tui.jobs.process import host, is_alive, is_place, own_identity, place_of
from lora_tui.text.translate import _

FRESH = 30.0
"""Seconds without a heartbeat after which a process on another machine counts as dead."""

UNKNOWN = -1
"""The holder's pid where the lock is held and the file does not say by whom."""

MOST_PID = (1 << 31) - 1
"""The largest number that any system gives a process."""

_FLOCK = struct.Struct("hhqqi0q")
"""``struct flock`` of 64-bit Linux: type, whence, start, length, pid."""

_HAS_OFD = sys.platform.startswith("linux") and hasattr(fcntl, "F_OFD_SETLK") and struct.calcsize("P") == 8
_CONFLICT = (errno.EAGAIN, errno.EACCES)
_NO_LOCKS = (errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP)
_NETWORK = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "lustre", "glusterfs", "beegfs", "gpfs", "fuse")

_held: weakref.WeakSet[RunLock] = weakref.WeakSet()


class RunLock:
    """A held lock; :meth:`acquire` takes one. Released by :meth:`release`, at exit, or by death."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        _held.add(self)

    @classmethod
    def acquire(cls, path: Path) -> RunLock:
        """Take the lock or say who has it.

        Raises:
            UserError: ``run.locked`` when a living process holds it, ``run.lock`` when the file cannot be written.
        """
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise UserError(
                _("The run's lock cannot be opened: {reason}.").format(reason=error.strerror),
                place=str(path),
                remedy=_("Make the folder writable, or copy it to a place that is."),
                code="run.lock",
            ) from error
        try:
            if not _take(descriptor) or _held_elsewhere(path, _read_text(path)):
                raise _locked(path)
            text = {"pid": os.getpid(), "host": host(), "identity": own_identity(), "place": place_of(path)}
            _write_text(descriptor, text)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(path, descriptor)

    @property
    def descriptor(self) -> int:
        """For a child that is to hold the lock, too, so that it lives as long as one of both."""
        return self._descriptor

    def release(self) -> None:
        """Give the lock back; a second call does nothing."""
        if self._descriptor < 0:
            return
        with contextlib.suppress(OSError):
            os.ftruncate(self._descriptor, 0)
        _give(self._descriptor)
        self._forget()

    def _forget(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def holder(path: Path) -> int | None:
    """The pid of the process that holds the lock, :data:`UNKNOWN` if it is held by one unnamed, none if it is free."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        held = _asked(descriptor)
    finally:
        os.close(descriptor)
    text = _read_text(path)
    if held:
        return int(text.get("pid", UNKNOWN))
    if not is_place(path, str(text.get("place", "")), str(text.get("host", ""))):
        return None  # a copy of a lock that is held elsewhere
    if held is None and text.get("host") == host() and is_alive(int(text["pid"]), str(text.get("identity", ""))):
        return int(text["pid"])
    return int(text["pid"]) if _held_elsewhere(path, text) else None


def _asked(descriptor: int) -> bool | None:
    """Whether any process holds the lock; none when this file system cannot tell."""
    if not _HAS_OFD:
        return None
    query = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    try:
        answer = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, query)
    except OSError:
        return None
    return bool(_FLOCK.unpack(answer)[0] != fcntl.F_UNLCK)


def _take(descriptor: int) -> bool:
    """Take the lock on an open file; false when another has it. Without any kind of lock, the text decides."""
    if _HAS_OFD:
        try:
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
        except OSError as error:
            if error.errno in _CONFLICT:
                return False
            if error.errno not in _NO_LOCKS:
                raise
        else:
            return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in _CONFLICT
    return True


def _give(descriptor: int) -> None:
    """Unlock by name and not by closing: a child just forked may still hold a copy of the descriptor."""
    if _HAS_OFD:
        with contextlib.suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_UNLCK, os.SEEK_SET, 0, 0, 0))
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def _held_elsewhere(path: Path, text: dict[str, Any]) -> bool:
    """Whether a process on another machine, whose locks a network disk may not show us, gave a sign of life lately."""
    if not text or text.get("host") in ("", None, host()) or not _on_network(path):
        return False
    if not is_place(path, str(text.get("place", "")), str(text["host"])):
        return False
    return time.time() - last_sign(path.parent) < FRESH


def last_sign(run_dir: Path) -> float:
    """When a process of the run last wrote (unix seconds, 0 for never): its lock, its events or the keeper's word."""
    times = [0.0]
    for name in ("lock", "job.json", "events.jsonl"):
        with contextlib.suppress(OSError):
            times.append((run_dir / name).stat().st_mtime)
    return max(times)


def _on_network(path: Path) -> bool:
    """Whether the file lies on a disk that other machines share; unknown counts as not."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        real = os.path.realpath(path)
    except OSError:
        return False
    best, kind = "", ""
    for line in mounts:
        left, _dash, right = line.partition(" - ")
        point = left.split(" ")[4].replace("\\040", " ")
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, right.split(" ")[0]
    return kind in _NETWORK or kind.startswith("fuse.")


def _locked(path: Path) -> UserError:
    pid = holder(path)
    where = _read_text(path).get("host", "")
    if pid is None or pid == UNKNOWN:
        who = _("another process")
    elif where in ("", host()):
        who = _("process {pid}").format(pid=pid)
    else:
        who = _("process {pid} on {host}").format(pid=pid, host=where)
    return UserError(
        _("This run is already being trained by {who}.").format(who=who),
        place=str(path.parent),
        remedy=_("Stop it first, or start a new run."),
        code="run.locked",
    )


def _read_text(path: Path) -> dict[str, Any]:
    try:
        with open_file(path) as file:
            value = json.loads(file.read(4096) or b"{}")
        pid = value.get("pid") if isinstance(value, dict) else None
        return value if isinstance(pid, int) and 0 < pid <= MOST_PID else {}
    except (OSError, ValueError, RecursionError):
        return {}


def _write_text(descriptor: int, text: dict[str, Any]) -> None:
    """Say in the file who holds it; a full disk does not matter, the lock itself holds."""
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(text).encode(), 0)


def _close_in_child() -> None:
    for lock in list(_held):
        lock._forget()


os.register_at_fork(after_in_child=_close_in_child)
