"""What the caching passes share: what they report to, and things of one shape that are computed together."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Item = TypeVar("Item")

Progress = Callable[[int, int], None]  # (done, total); also the place where a pass may be stopped


class Together(Generic[Item]):
    """Gathers things of one shape until there are ``count`` of them, and has each such batch done.

    The last ones of a shape are filled up to ``count`` with one of them, so that what is computed for a thing depends
    on the thing and on ``count``, and neither on its neighbours nor on where a pass began: kernels are chosen by shape.

    Args:
        count: things of a batch, 1 or more.
        done: called with the things of a batch and with what they are filled up to.
    """

    def __init__(self, count: int, done: Callable[[list[Item], list[Item]], None]) -> None:
        self.count = count
        self._done = done
        self._waiting: dict[Hashable, list[Item]] = {}

    def add(self, shape: Hashable, item: Item) -> None:
        """One thing more of ``shape``; its batch is done where that is full now."""
        waiting = self._waiting.setdefault(shape, [])
        waiting.append(item)
        if len(waiting) == self.count:
            self._do(shape)

    def rest(self, besides: Hashable = None) -> None:
        """Have done what waits, but for things of the shape ``besides``."""
        for shape in [one for one in self._waiting if one != besides]:
            self._do(shape)

    def _do(self, shape: Hashable) -> None:
        things = self._waiting.pop(shape)
        self._done(things, things + things[-1:] * (self.count - len(things)))


def batch_part(count: int) -> tuple[str | int, ...]:
    """What the key of an entry that was computed in batches of ``count`` has besides; nothing for one by one."""
    return () if count == 1 else ("batch", count)
