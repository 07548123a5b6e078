"""Work in threads comes back, fails as it failed, and never keeps the loop."""

from __future__ import annotations

import asyncio
import threading
from functools import partial

import pytest
from support import until
from textual.app import App

from lora_tui.background import give_way, give_way_to
from lora_tui.tui import threads
from lora_tui.tui.threads import asked, in_thread, in_turn, run_first, start_job


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


async def test_long_work_is_done_one_after_the_other_in_the_order_in_which_it_came() -> None:
    at_once, most, done = 0, 0, []

    def work(number: int) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        threading.Event().wait(0.01)
        done.append(number)
        at_once -= 1

    tasks = []
    for number in range(4):
        tasks.append(asyncio.create_task(in_turn(work, number)))
        await asyncio.sleep(0)
        until(lambda wanted=number + 1: len(threads.TURN) + len(done) >= wanted)
    await asyncio.gather(*tasks)
    assert (most, done) == (1, [0, 1, 2, 3])


async def test_long_work_that_nobody_waits_for_any_more_is_not_begun() -> None:
    go, begun = threading.Event(), []
    first = asyncio.create_task(in_turn(go.wait, 30))
    await asyncio.sleep(0)
    until(lambda: len(threads.TURN) == 1)
    second = asyncio.create_task(in_turn(begun.append, 2))
    await asyncio.sleep(0)
    until(lambda: len(threads.TURN) == 2)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    go.set()
    await first
    await in_turn(begun.append, 3)
    assert begun == [3]


def test_a_thread_that_gives_way_goes_on_when_the_loop_has_nothing_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "MOST_GIVEN_SECONDS", 60.0)
    there, past = threading.Event(), threading.Event()

    def work() -> None:
        there.set()
        give_way()
        past.set()

    async def main() -> bool:
        waiting = asyncio.create_task(in_thread(work))
        await asyncio.sleep(0)
        there.wait(30)
        was_past = past.wait(0.1)  # the loop is busy with this
        give_way()  # of the loop itself: it waits for nobody
        await waiting
        return was_past

    assert run_first(main()) is False
    assert past.is_set()


def test_nobody_gives_way_to_a_loop_that_has_ended() -> None:
    async def main() -> None:
        await asyncio.sleep(0)

    run_first(main())
    thread = threading.Thread(target=give_way)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()


def test_who_asks_whether_to_stop_gives_way() -> None:
    given: list[int] = []
    stop = threading.Event()
    should_stop = asked(stop)
    give_way_to(lambda: given.append(1))
    try:
        assert not should_stop()
        stop.set()
        assert should_stop()
    finally:
        give_way_to(None)
    assert len(given) == 2


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
