"""A folder of files named by what they were computed from, so that an entry can be missing but never stale.

Many processes share a store. An entry appears by a rename, so it is whole or absent. Users hold a shared lock
while they work; pruning needs the exclusive one and is skipped while anybody has the store in use.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from lora_tui.files import sweep_temporaries, write_atomic, written_whole
from lora_tui.keyed import keyed_seed

DEFAULT_CAP_BYTES = 50_000_000_000
SUFFIX = ".safetensors"


class ContentStore:
    """Entries of one kind (``latents``, ``text``) under ``root``; keys are hexadecimal digests.

    ``suffix`` is the ending of their files; ``cap`` the bytes that :meth:`prune` leaves where nothing else is said.
    """

    def __init__(self, root: Path, kind: str, suffix: str = SUFFIX, *, cap: int = DEFAULT_CAP_BYTES) -> None:
        self.folder = root / kind
        self.suffix = suffix
        self.cap = cap

    def path(self, key: str) -> Path:
        """Where the entry ``key`` is or would be."""
        return self.folder / key[:2] / f"{key}{self.suffix}"

    def has(self, key: str) -> bool:
        """Whether the entry is there; marks it as used now."""
        try:
            os.utime(self.path(key))
        except OSError:
            return False
        return True

    def put(self, key: str, data: bytes) -> Path:
        """Store ``data`` under ``key``.

        Raises:
            OSError: the disk is full or cannot be written.
        """
        path = self.path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, data, durable=False)
        return path

    def put_file(self, key: str, write: Callable[[Path], object]) -> Path:
        """Store under ``key`` what ``write`` puts into the file that it is given; for what is too large to be bytes.

        Raises:
            OSError: the disk is full or cannot be written.
        """
        path = self.path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as temporary:
            write(temporary)
        return path

    def discard(self, key: str) -> None:
        """Forget an entry that turned out to be unreadable."""
        self.path(key).unlink(missing_ok=True)

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Hold the store so that nobody prunes it meanwhile."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("a") as lock:
            with contextlib.suppress(OSError):  # a file system without locks: pruning is skipped there, too
                fcntl.flock(lock, fcntl.LOCK_SH)
            yield

    def prune(self, cap: int | None = None, unused_seconds: float = math.inf) -> int:
        """Remove the entries unused for longest until at most ``cap`` bytes are left; return the bytes freed.

        Those that nobody has used for ``unused_seconds`` go, too, as do unfinished entries of processes that were
        killed. Does nothing while another process has the store in use.
        """
        if not self.folder.is_dir():
            return 0
        with (self.folder / ".lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return 0
            for folder in (self.folder, *self.folder.glob("??")):
                sweep_temporaries(folder)
            entries = sorted(self._entries())
            excess = sum(size for _, size, _ in entries) - (self.cap if cap is None else cap)
            freed, oldest = 0, time.time() - unused_seconds
            for used, size, path in entries:
                if freed >= excess and used >= oldest:
                    break
                with contextlib.suppress(OSError):
                    path.unlink()
                    freed += size
            return freed

    def _entries(self) -> Iterator[tuple[float, int, Path]]:
        """Time of the last use, bytes and path of each entry."""
        for folder in self.folder.glob("??"):
            with contextlib.suppress(OSError), os.scandir(folder) as found:
                for entry in found:
                    if entry.name.endswith(self.suffix):
                        with contextlib.suppress(OSError):
                            stat = entry.stat()
                            yield stat.st_mtime, stat.st_size, Path(entry.path)


def key_of(*parts: str | int) -> str:
    """A key of 32 hexadecimal digits for ``parts``."""
    return f"{keyed_seed('a', *parts):016x}{keyed_seed('b', *parts):016x}"
