"""Blocking work off the event loop, in threads that never keep the program from ending."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import threading
from collections.abc import Callable, Coroutine
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from textual.dom import DOMNode

T = TypeVar("T")

SWITCH_SECONDS = 0.0005
"""How long a thread may keep the interpreter while the event loop waits for it; of Python's own 5 ms a key waits for
several. Measured beside a busy thread: 10 ms for one in twenty keys, 3 ms with 1 ms, 0.6 ms with this, at no cost."""


YOUNG = 5_000
"""New objects between two looks for cycles among them alone: nobody else runs while one goes on. With 50,000 it took 10
to 20 ms, twelve times in the plan of 100,000 images; with this four times more than 8 ms, and less in all."""

MOST_WAITING = 4
"""Threads that are kept for the next work."""


def favour_the_loop() -> None:
    """Set the interpreter up for an app with threads beside it: the loop is asked often, collection is rare.

    Scans make objects by the hundred thousand, none of them in cycles; looking through all of them again
    and again would stop the app for a second at a time.
    """
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.set_threshold(YOUNG, 200, 50)


def keep_from_collection() -> None:
    """Never look through what is alive now for cycles again: called after much was read."""
    gc.freeze()


def start_job(node: DOMNode, job: Callable[[], Coroutine[Any, Any, None]], group: str, *, alone: bool = True) -> None:
    """Run an asynchronous job of a node; ``alone`` cancels the node's earlier one of the same group.

    The job is given as a function, so that one that is cancelled before it begins leaves no coroutine behind. Widgets
    that a job looks for in vain while its node is being taken down are no error: nobody looks any more.
    """
    from textual.css.query import NoMatches

    async def run() -> None:
        try:
            await job()
        except NoMatches:
            if node.is_attached and node.is_running and node.app.is_running:
                raise

    work: Any = run  # Textual's own annotation admits no coroutine of this kind
    # Without a description Textual makes one of the job with all that is given to it: 100,000 captions, say.
    node.run_worker(work, group=group, exclusive=alone, description=group)


async def in_thread(function: Callable[..., T], *args: object) -> T:
    """Call ``function`` in a daemon thread and wait for it without blocking the loop.

    ``asyncio.to_thread`` would do, but its threads are joined when the loop ends: a scan of a network
    disk that hangs would keep the program on the screen after it was left. When the waiting task is
    cancelled the thread goes on and its result is dropped.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    context = contextvars.copy_context()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.cancelled():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def work() -> None:
        result: T | None = None
        failure: BaseException | None = None
        try:
            result = context.run(function, *args)
        except BaseException as error:
            failure = error
        if not loop.is_closed():
            try:
                loop.call_soon_threadsafe(settle, result, failure)
            except RuntimeError:
                return  # the loop closed in between: nobody waits any more

    _hand_over(work, getattr(function, "__name__", "work"))
    return await future


class GivenUpError(Exception):
    """Somebody stopped what was waited for."""


async def in_stoppable_thread(function: Callable[..., T], *args: object, stop: threading.Event | None = None) -> T:
    """The same with something that can be stopped: the function is given, as its last argument, what says so.

    It is told to stop when the waiting task is cancelled, as it is when its node goes, or when ``stop`` is set.

    Raises:
        GivenUpError: ``stop`` was set.
    """
    stop = stop or threading.Event()
    try:
        found = await in_thread(function, *args, stop.is_set)
        if stop.is_set():
            raise GivenUpError
        return found
    finally:
        stop.set()


_Job = tuple[Callable[[], None], str]
_idle: list[SimpleQueue[_Job]] = []
_guard = threading.Lock()


def _hand_over(work: Callable[[], None], name: str) -> None:
    """Have a thread do ``work``: one that waits, for whoever starts one waits until the system has given it a turn."""
    with _guard:
        jobs = _idle.pop() if _idle else None
    if jobs is None:
        jobs = SimpleQueue()
        threading.Thread(target=_serve, args=(jobs,), daemon=True).start()
    jobs.put((work, name))


def _serve(jobs: SimpleQueue[_Job]) -> None:
    while True:
        work, threading.current_thread().name = jobs.get()
        work()
        del work  # nothing of it is kept while the thread waits
        with _guard:
            if len(_idle) >= MOST_WAITING:
                return
            _idle.append(jobs)
