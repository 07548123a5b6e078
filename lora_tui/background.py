"""What long work in a thread owes to those who share the interpreter with it: it gives way, and nothing is searched.

Nobody gives way in a command: there is nobody to give way to until :func:`give_way_to` names somebody.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import TypeVar

T = TypeVar("T")

SOME = 256
"""Items that are gone through in about a millisecond."""
MANY = 10_000
"""New objects that are searched in about a millisecond."""

_give_way: Callable[[], object] | None = None
_guard = Lock()
_held_off = 0
_was_on = False


def give_way_to(wait: Callable[[], object] | None) -> None:
    """From now on ``wait`` is called by whoever gives way; it may block for a moment."""
    global _give_way
    _give_way = wait


def give_way() -> None:
    """Let others past: called every millisecond or so by what computes for long."""
    if _give_way is not None:
        _give_way()


def courteous(items: Iterable[T]) -> Iterator[T]:
    """``items``, of which there may be a hundred thousand, with ways given between some of them."""
    return iter(items) if _give_way is None else _with_pauses(items)


def _with_pauses(items: Iterable[T]) -> Iterator[T]:
    for number, item in enumerate(items, start=1):
        yield item
        if number % SOME == 0:
            give_way()


@contextmanager
def uncollected() -> Iterator[None]:
    """Without Python's search for cycles of objects that nobody needs any more: what reads much makes none.

    The search stops every thread and goes through what is new since the last one. The first one afterwards would go
    through all that was made meanwhile, which takes as long: where it is much, it is never gone through. Several
    threads may be in here at once, and the search is on again when the last one leaves.
    """
    global _held_off, _was_on
    with _guard:
        if not _held_off:
            _was_on = gc.isenabled()
            gc.disable()
        _held_off += 1
    try:
        yield
    finally:
        with _guard:
            if _was_on and gc.get_count()[0] > MANY:
                gc.freeze()
            _held_off -= 1
            if not _held_off and _was_on:
                gc.enable()
