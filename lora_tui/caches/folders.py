"""A folder of folders, each with what was computed for one thing, of which nobody but its maker knows the files.

Many processes share them. Whoever uses one holds a shared lock in it. One goes as a whole, under its exclusive lock, by
a rename to a name that is nobody's: it is there with all of its files, or not at all.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

LOCK = ".lock"
"""In each folder; its time is that of the last use."""
GONE = ".gone-"
"""How the names of folders begin that are being removed."""


@dataclass(frozen=True)
class Held:
    """One folder: when it was last used (unix seconds), its files and bytes."""

    used: float
    path: Path
    files: int
    size: int


class FolderStore:
    """Folders of one kind under ``root``. ``cap``: the bytes that :meth:`prune` leaves where nothing else is said."""

    def __init__(self, root: Path, kind: str, *, cap: int) -> None:
        self.folder = root / kind
        self.cap = cap

    @contextlib.contextmanager
    def in_use(self, name: str) -> Iterator[Path]:
        """The folder ``name``, made where it is missing; nobody removes it meanwhile. It counts as used until the end.

        Raises:
            OSError: it cannot be made or written.
        """
        path = self.folder / name
        while True:
            path.mkdir(parents=True, exist_ok=True)
            with contextlib.ExitStack() as held:
                try:
                    lock = held.enter_context((path / LOCK).open("a"))
                except FileNotFoundError:  # removed meanwhile
                    continue
                with contextlib.suppress(OSError):  # a file system without locks: nothing is removed there
                    fcntl.flock(lock, fcntl.LOCK_SH)
                if not _is_at(lock, path / LOCK):
                    continue
                _touch(path / LOCK)
                try:
                    yield path
                finally:
                    _touch(path / LOCK)
                return

    def held(self) -> list[Held]:
        """All folders, those unused for longest first. Never raises: what cannot be read is not counted."""
        found = []
        for path in self._folders():
            files, size, newest = _measured(path)
            with contextlib.suppress(OSError):
                newest = (path / LOCK).stat().st_mtime
            found.append(Held(newest, path, files, size))
        return sorted(found, key=lambda one: (one.used, one.path))

    def leaving(self, cap: int | None = None, unused_seconds: float = math.inf) -> list[Held]:
        """What :meth:`prune` would remove if nobody used any of it."""
        return self._going(cap, unused_seconds, lambda _path: True)

    def prune(self, cap: int | None = None, unused_seconds: float = math.inf) -> list[Held]:
        """Remove the folders unused for longest until at most ``cap`` bytes are left, and those that nobody has used
        for ``unused_seconds``; what went. Those in use stay, and others go in their place."""
        for left in self.folder.glob(f"{GONE}*"):
            shutil.rmtree(left, ignore_errors=True)  # of somebody who was killed
        return self._going(cap, unused_seconds, self._remove)

    def _going(self, cap: int | None, unused_seconds: float, remove: Callable[[Path], bool]) -> list[Held]:
        found, gone = self.held(), []
        excess = sum(one.size for one in found) - (self.cap if cap is None else cap)
        oldest = time.time() - unused_seconds
        for one in found:
            if (excess > 0 or one.used < oldest) and remove(one.path):
                gone.append(one)
                excess -= one.size
        return gone

    def _remove(self, path: Path) -> bool:
        """Whether a folder is gone: one that somebody uses is not, nor is one where that cannot be told."""
        gone = path.with_name(f"{GONE}{os.urandom(6).hex()}")
        try:
            with (path / LOCK).open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if not _is_at(lock, path / LOCK):
                    return False
                path.rename(gone)
        except OSError:
            return False
        shutil.rmtree(gone, ignore_errors=True)
        return True

    def _folders(self) -> list[Path]:
        try:
            with os.scandir(self.folder) as entries:
                return [
                    Path(one.path)
                    for one in entries
                    if one.is_dir(follow_symlinks=False) and not one.name.startswith(GONE)
                ]
        except OSError:
            return []


def _measured(path: Path) -> tuple[int, int, float]:
    """Files and bytes in a folder, and the time of the newest (unix seconds)."""
    files, size, newest = 0, 0, 0.0
    for place, _folders, names in os.walk(path):
        for name in names:
            if name != LOCK:
                with contextlib.suppress(OSError):
                    facts = Path(place, name).lstat()
                    files, size, newest = files + 1, size + facts.st_size, max(newest, facts.st_mtime)
    return files, size, newest


def _is_at(lock: TextIO, path: Path) -> bool:
    """Whether ``lock`` is still the file at ``path``."""
    try:
        return os.path.samestat(os.fstat(lock.fileno()), path.stat())
    except OSError:
        return False


def _touch(path: Path) -> None:
    with contextlib.suppress(OSError):
        os.utime(path)
