"""A list of things that come, go and change places while it is shown: the cursor stays on its thing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from lora_tui.tui.widgets.virtual_list import Column, Row, VirtualList

T = TypeVar("T")


class RowList(VirtualList, Generic[T]):
    """Things drawn as rows, each known by a key."""

    def __init__(
        self, columns: Sequence[Column], cells: Callable[[T], Row], key: Callable[[T], object], **options: Any
    ) -> None:
        """``cells`` draws a thing, ``key`` tells it from the others; ``options`` are those of the virtual list."""
        super().__init__(columns, lambda index: cells(self._things[index]), **options)
        self._key = key
        self._things: Sequence[T] = ()

    @property
    def here(self) -> T | None:
        """The thing under the cursor."""
        return self._things[self.cursor] if 0 <= self.cursor < len(self._things) else None

    def take(
        self, things: Sequence[T], *, wanted: object = None, step: int = 0, stay: bool = True, empty: str | None = None
    ) -> bool:
        """Show these things.

        Args:
            wanted: the key of the thing for the cursor, which otherwise stays on its own.
            step: rows to go on from there.
            stay: where that thing is gone, keep the place; else the first row.

        Returns:
            Whether ``wanted`` is among them.
        """
        here = self.here
        keys = {self._key(one): number for number, one in enumerate(things)}
        found = keys.get(wanted)
        at = found if found is not None or here is None else keys.get(self._key(here))
        self._things = things
        place = self.cursor if at is None and stay else at or 0
        self.set_count(len(things), cursor=min(place + step, max(len(things) - 1, 0)), empty=empty)
        self.reload()
        return found is not None
