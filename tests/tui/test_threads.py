"""Work in threads comes back, fails as it failed, and never keeps the loop."""

from __future__ import annotations

import asyncio
import threading
from functools import partial

import pytest
from textual.app import App

from lora_tui.tui.threads import in_thread, start_job


async def test_the_result_comes_back_from_another_thread() -> None:
    here = threading.current_thread()
    there = await in_thread(threading.current_thread)
    assert there is not here
    assert there.daemon


async def test_threads_that_are_free_do_the_next_work() -> None:
    threads = {await in_thread(threading.current_thread) for _time in range(50)}
    assert len(threads) < 25
    together = await asyncio.gather(*(in_thread(threading.Event().wait, 0.01) for _work in range(12)))
    assert together == [False] * 12


async def test_an_error_is_raised_where_it_was_waited_for() -> None:
    def fail() -> None:
        raise ValueError("of the thread")

    with pytest.raises(ValueError, match="of the thread"):
        await in_thread(fail)


async def test_a_cancelled_wait_lets_the_thread_end_alone() -> None:
    go, gone = threading.Event(), threading.Event()

    def wait() -> None:
        go.wait(10)
        gone.set()

    task = asyncio.create_task(in_thread(wait))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go.set()
    assert gone.wait(10)


async def test_what_is_given_to_a_job_is_not_described() -> None:
    class Large:
        def __repr__(self) -> str:
            raise AssertionError("100,000 captions as text")

    done = []

    async def work(given: Large) -> None:
        done.append(given)

    async with App[None]().run_test() as pilot:
        start_job(pilot.app, partial(work, Large()), "work")
        await pilot.pause()
    assert len(done) == 1


def test_a_loop_ends_while_a_thread_still_works() -> None:
    go = threading.Event()

    async def main() -> None:
        task = asyncio.create_task(in_thread(go.wait, 30))
        await asyncio.sleep(0)
        task.cancel()

    asyncio.run(main())  # would wait for the thread if it were one of the loop's own
    go.set()
