"""How the files of older transactions are called now: captions that were moved with their images keep their past."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

_LATEST = 32503680000.0


class Moved(NamedTuple):
    """That files were moved: how they were called and how they are called since, and when, unix seconds."""

    names: Mapping[str, str]
    time: float


def moved_in(head: Mapping[str, Any]) -> Moved:
    """What the JSON text of a frame says of files that were moved.

    Raises:
        ValueError: it is damaged.
    """
    names, moment = head["moved"], head.get("time", 0.0)
    if not isinstance(names, dict) or not isinstance(moment, int | float) or not 0 <= moment < _LATEST:
        raise ValueError
    if not all(_is_below(old) and _is_below(new) for old, new in names.items()):
        raise ValueError
    return Moved(names, float(moment))


def _is_below(name: Any) -> bool:
    return isinstance(name, str) and bool(name) and not name.startswith("/") and ".." not in name.split("/")


class Renames:
    """All moves of a journal, each with the number of the last transaction before it."""

    def __init__(self) -> None:
        self._moves: list[tuple[int, Moved, dict[str, str]]] = []

    def __bool__(self) -> bool:
        return bool(self._moves)

    def add(self, after: int, moved: Moved) -> None:
        """Another move, behind the transaction ``after``."""
        self._moves.append((after, moved, {new: old for old, new in moved.names.items()}))

    def between(self, first: int, last: int) -> list[Moved]:
        """The moves behind the transactions from ``first`` on and before ``last``."""
        return [moved for after, moved, _back in self._moves if first <= after < last]

    def times(self) -> set[float]:
        """When the moves were."""
        return {moved.time for _after, moved, _back in self._moves}

    def now(self, number: int, name: str) -> str:
        """How a file is called now that the transaction ``number`` calls ``name``."""
        for after, moved, _back in self._moves:
            if after >= number:
                name = moved.names.get(name, name)
        return name

    def then(self, number: int, name: str) -> str | None:
        """How the transaction ``number`` calls the file ``name`` of now; none where that name meant another one."""
        for after, moved, back in reversed(self._moves):
            if after < number:
                break
            if name in back:
                name = back[name]
            elif name in moved.names:
                return None
        return name
