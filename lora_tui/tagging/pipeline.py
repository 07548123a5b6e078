"""Pictures decoded ahead in threads while the model computes, so that neither waits for the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from lora_tui.dataset.buckets import Box
from lora_tui.errors import UserError
from lora_tui.tagging.cache import Answer
from lora_tui.tagging.tagger import FatalError, Tagger

Failed = Callable[["Item", UserError], None]


@dataclass(frozen=True)
class Item:
    """One image to be looked at: its number for the caller, its file, what the model is asked, and which part of it."""

    number: int
    path: Path
    prompt: str = ""
    part: Box | None = None


class Source(Protocol):
    """Where items come from."""

    def take(self, *, wait: bool) -> Item | None:
        """The next item. None when there is none at the moment; with ``wait``, when none will come."""


class Listed:
    """Items that are known from the beginning."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._items = iter(items)

    def take(self, *, wait: bool) -> Item | None:
        return next(self._items, None)


def look_ahead(tagger: Tagger) -> int:
    """How many items are in hand at a time: enough that no thread waits."""
    return tagger.batch + 2 * max(tagger.threads, tagger.batch)


def answers(tagger: Tagger, source: Source, on_failed: Failed) -> Iterator[tuple[Item, Answer]]:
    """What a tagger says of each item, as they become ready.

    Args:
        on_failed: told of each image that cannot be read or answered.

    Raises:
        UserError: nothing further can be done.
    """
    ready: dict[Future[Any], Item] = {}
    prepare = _until_fatal(tagger)
    pool = ThreadPoolExecutor(tagger.threads, thread_name_prefix="decode")
    try:
        while True:
            while len(ready) < look_ahead(tagger) and (item := source.take(wait=not ready)) is not None:
                ready[pool.submit(prepare, item)] = item
            if not ready:
                return
            yield from _answered(tagger, ready, on_failed)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _until_fatal(tagger: Tagger) -> Callable[[Item], Any]:
    """The tagger's ``prepare`` for one item, which does nothing more once it failed for all: a server that refuses
    the key is not asked again by threads to which nobody has told it yet."""
    fatal: list[FatalError] = []

    def prepare(item: Item) -> Any:
        if fatal:
            raise fatal[0]
        try:
            return tagger.prepare(item.path, item.prompt, item.part)
        except FatalError as error:
            fatal.append(error)
            raise

    return prepare


def _answered(tagger: Tagger, ready: dict[Future[Any], Item], on_failed: Failed) -> Iterator[tuple[Item, Answer]]:
    """The answers to a batch of those that are prepared, which leave ``ready``."""
    wanted = min(tagger.batch, len(ready))
    done = [future for future in ready if future.done()]
    while len(done) < wanted:
        wait([future for future in ready if not future.done()], return_when=FIRST_COMPLETED)
        done = [future for future in ready if future.done()]
    some: list[tuple[Item, Any]] = []
    for future in done[: tagger.batch]:
        item = ready.pop(future)
        try:
            some.append((item, future.result()))
        except UserError as error:
            on_failed(item, error)
        except FatalError as error:
            raise error.error from error
    if some:
        found = tagger.answer([prepared for _item, prepared in some])
        for (item, _prepared), answer in zip(some, found, strict=True):
            yield item, answer
