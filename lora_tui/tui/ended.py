"""How runs and tasks fare, asked again and again: what has ended is read anew only where its files changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Generic, Protocol, TypeVar


class Status(Protocol):
    """How something fares; ``alive`` while that may change without a file saying so."""

    @property
    def alive(self) -> bool: ...


Found = TypeVar("Found", bound=Status)


class Ended(Generic[Found]):
    """The statuses of those that have ended, by their folders."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[tuple[int, ...], Found]] = {}

    def status(self, root: Path, files: Iterable[Path], read: Callable[[], Found]) -> Found:
        """What is known of ``root`` while it has ended and its ``files`` stay as they are, else what ``read`` gives."""
        stamp = tuple(map(_stamp_of, files))
        known = self._known.get(root)
        if known is not None and known[0] == stamp:
            return known[1]
        status = read()
        if status.alive:
            self._known.pop(root, None)
        else:
            self._known[root] = stamp, status
        return status


def _stamp_of(path: Path) -> int:
    try:
        found = path.stat()
    except OSError:
        return 0
    return hash((found.st_mtime_ns, found.st_size, found.st_ino))
