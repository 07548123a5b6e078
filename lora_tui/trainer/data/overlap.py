"""Reading ahead of what is computed, and writing behind it, so that the device waits for no disk and no decoder."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

READERS = 4
"""Threads at most that read ahead; decoders leave a core to what is computed."""
BEHIND = 8
"""Results that may wait to be written before the next one is computed."""


def readers() -> int:
    """How many threads read ahead on this machine."""
    return max(1, min(READERS, len(os.sched_getaffinity(0)) - 1))


def read_ahead(
    read: Callable[[Item], Result], items: Iterable[Item], threads: int | None = None
) -> Generator[Result, None, None]:
    """``read`` of each item, in their order, done by threads; at most one result more than threads lies ready.

    Close it to let the threads go.

    Raises:
        Exception: what ``read`` raised, at the place where its result would have come.
    """
    count, left = threads or readers(), iter(items)
    with ThreadPoolExecutor(count, "reader") as pool:
        ahead: deque[Future[Result]] = deque()
        try:
            while True:
                while len(ahead) <= count:
                    try:
                        item = next(left)
                    except StopIteration:
                        break
                    ahead.append(pool.submit(read, item))
                if not ahead:
                    return
                yield ahead.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


class WriteBehind:
    """Writes one thing after the other in a thread; leaving it waits until all is written.

    An error of a write comes out of the next call, or of leaving it.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "cache writer")
        self._waiting: deque[Future[object]] = deque()

    def __call__(self, write: Callable[[], object]) -> None:
        """Have ``write`` done; waits where too much waits already.

        Raises:
            OSError: something before it could not be written.
        """
        self._settle(BEHIND - 1)
        self._waiting.append(self._pool.submit(write))

    def _settle(self, most: int) -> None:
        while self._waiting and (len(self._waiting) > most or self._waiting[0].done()):
            self._waiting.popleft().result()

    def __enter__(self) -> WriteBehind:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._settle(0)
        finally:
            self._pool.shutdown(wait=True, cancel_futures=kind is not None)
