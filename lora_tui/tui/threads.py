"""Blocking work off the event loop, in threads that never keep the program from ending."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import selectors
import sys
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from lora_tui.background import give_way, give_way_to, uncollected

if TYPE_CHECKING:
    from textual.dom import DOMNode

T = TypeVar("T")

SWITCH_SECONDS = 0.0005
"""How long a thread may keep the interpreter while the event loop waits for it; of Python's own 5 ms a key waits for
several. Measured beside a busy thread: 10 ms for one in twenty keys, 3 ms with 1 ms, 0.6 ms with this, at no cost."""


YOUNG = 5_000
"""New objects between two looks for cycles among them alone: nobody else runs while one goes on. With 50,000 it took 10
to 20 ms, twelve times in the plan of 100,000 images; with this four times more than 8 ms, and less in all."""


class Turn:
    """What one thread has at a time; the others get it in the order in which they came. Use as a context manager."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._come: deque[threading.Event] = deque()

    def __len__(self) -> int:
        """How many have it or wait for it."""
        return len(self._come)

    def __enter__(self) -> None:
        mine = threading.Event()
        with self._guard:
            self._come.append(mine)
            self._come[0].set()
        mine.wait()

    def __exit__(self, *_error: object) -> None:
        with self._guard:
            self._come.popleft()
            if self._come:
                self._come[0].set()


TURN = Turn()
"""Of the threads that compute for long; see :func:`in_turn`."""

MOST_GIVEN_SECONDS = 0.01
"""How long such a thread waits for the loop at most, each time that it gives way: it goes on beside the busiest one."""

NAP_SECONDS = 0.0001
"""In which whoever waits for the interpreter wakes up and takes it."""

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


def asked(stop: threading.Event) -> Callable[[], bool]:
    """Whether ``stop`` is set, for a thread that reads many small files; asking lets others have the interpreter.

    Such a thread gives the interpreter away with every file, and takes it back before another one is awake: the loop
    waited for tens of milliseconds.
    """

    def ask() -> bool:
        stopped = stop.wait(NAP_SECONDS)
        give_way()
        return stopped

    return ask


class _WatchedSelector(selectors.DefaultSelector):
    """What the loop waits with; tells whether it does.

    Attributes:
        resting: set while the loop waits for something to happen.
    """

    def __init__(self) -> None:
        super().__init__()
        self.resting = threading.Event()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
            return super().select(timeout)  # there is more to do at once
        self.resting.set()
        try:
            return super().select(timeout)
        finally:
            self.resting.clear()


def run_first(main: Coroutine[Any, Any, T]) -> T:
    """Run ``main`` in a loop to which threads give way that compute for long, see :mod:`lora_tui.background`.

    A thread that computes and the loop would have the interpreter by turns of half a millisecond, so that each key
    would take more than twice as long.
    """
    selector, loop_thread = _WatchedSelector(), threading.get_ident()

    def wait_for_rest() -> None:
        if threading.get_ident() != loop_thread:
            selector.resting.wait(MOST_GIVEN_SECONDS)

    give_way_to(wait_for_rest)
    try:
        with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
            return runner.run(main)
    finally:
        give_way_to(None)


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


async def in_turn(function: Callable[..., T], *args: object) -> T:
    """The same for what computes for long, in Python and about all images: one after the other.

    Two at once are done no sooner than one after the other, since one thread has the interpreter at a time, and the
    loop, which asks for it as well, would get it for a third of the time instead of half. What is not waited for any
    more is not begun.
    """
    gone = threading.Event()

    def in_its_turn() -> T:
        with TURN:
            if gone.is_set():
                raise GivenUpError
            with uncollected():
                return function(*args)

    try:
        return await in_thread(in_its_turn)
    finally:
        gone.set()


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
