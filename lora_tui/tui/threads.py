"""Blocking work off the event loop, in threads that never keep the program from ending."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


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

    threading.Thread(target=work, daemon=True, name=getattr(function, "__name__", "work")).start()
    return await future
