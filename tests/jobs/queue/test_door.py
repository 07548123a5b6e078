"""What people ask of the queue: order, holding, removing, retrying, what comes after what."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
from run_folders import write_run

from lora_tui.errors import UserError
from lora_tui.jobs.lock import RunLock
from lora_tui.jobs.queue import door
from lora_tui.jobs.queue.door import Wish, add
from lora_tui.jobs.queue.journal import job_dir, read_queue, turn
from lora_tui.jobs.queue.record import QueueJob
from lora_tui.jobs.queue.starter import answer_path

pytestmark = pytest.mark.usefixtures("at_rest")


def three() -> list[int]:
    return [job.id for job in add([Wish(("captions", "list", word), folder="/") for word in "abc"])]


def order() -> list[int]:
    return [job.id for job in read_queue().waiting()]


def ends(number: int, state: str, **more: object) -> QueueJob:
    """As the queue's process would end it."""
    with turn() as change:
        job = replace(change.queue.jobs[number], state=state, ended=time.time(), **more)
        change.put(job)
    return job


def refused(code: str) -> pytest.RaisesExc[UserError]:
    return pytest.raises(UserError, check=lambda error: error.code == code)


def test_the_order_is_a_persons() -> None:
    one, two, last = three()
    door.move(last, 0)
    assert order() == [last, one, two]
    door.shift(last, 1)
    assert order() == [one, last, two]
    door.shift(one, -1)
    door.move(one, 99)
    assert order() == [last, two, one]
    (first,) = add([Wish(("captions", "list", "d"), folder="/", first=True)])
    assert order() == [first.id, last, two, one]


def test_a_job_is_held_and_released_and_keeps_its_place() -> None:
    one, two, last = three()
    door.hold([one, two])
    assert [read_queue().jobs[number].held for number in (one, two, last)] == [True, True, False]
    door.release([one])
    assert order() == [one, two, last]
    assert not read_queue().jobs[one].held


def test_releasing_forgets_what_failed_and_keeps_what_is_to_come() -> None:
    one, two, last = three()
    door.come_after(last, [one, two])
    ends(one, "failed")
    door.release([last])
    assert read_queue().jobs[last].after == (two,)


def test_jobs_cannot_wait_for_each_other_nor_for_what_is_not_there() -> None:
    one, two, last = three()
    door.come_after(two, [one])
    door.come_after(last, [two], "run")
    with refused("queue.circle"):
        door.come_after(one, [last])
    with refused("queue.circle"):
        door.come_after(one, [one])
    with refused("queue.not_found"):
        door.come_after(one, [77])
    with refused("queue.not_found"):
        add([Wish(("captions", "list"), folder="/", after=(77,))])
    assert read_queue().jobs[last].if_failed == "run"
    assert len(read_queue().jobs) == 3


def test_a_retry_goes_on_in_its_place_and_anew_does_not() -> None:
    one, two, _last = three()
    with refused("queue.not_ended"):
        door.retry([one])
    ends(one, "failed", place="/somewhere", message="why", starts=3)
    door.retry([one])
    again = read_queue().jobs[one]
    assert (again.state, again.life, again.place, again.message, again.starts) == ("waiting", 2, "/somewhere", "", 0)
    assert order()[-1] == one
    ends(two, "done", place="/elsewhere")
    with refused("queue.done"):
        door.retry([two])
    door.retry([two], anew=True)
    assert read_queue().jobs[two].place == ""


def test_what_is_at_work_is_not_removed_and_a_removed_number_is_given_to_no_other(tmp_path: Path) -> None:
    one, two, last = three()
    with turn() as change:
        change.put(replace(change.queue.jobs[one], state="running", place=str(tmp_path)))
    with RunLock.acquire(tmp_path / "lock"):
        _it_stays_and_numbers_are_given_once(one, two, last)


def _it_stays_and_numbers_are_given_once(one: int, two: int, last: int) -> None:
    with refused("queue.working"):
        door.remove([last, one])
    assert len(read_queue().jobs) == 3, "all or none"
    with refused("queue.not_waiting"):
        door.hold([one])
    with refused("queue.not_working"):
        door.stop_jobs([two])
    door.remove([two, last])
    (new,) = add([Wish(("captions", "list"), folder="/")])
    assert new.id == last + 1


def test_clearing_keeps_what_others_wait_for() -> None:
    one, two, last = three()
    door.come_after(last, [one])
    ends(one, "failed")
    ends(two, "done")
    assert [job.id for job in door.clear()] == [two]
    assert set(read_queue().jobs) == {one, last}


def test_a_training_keeps_its_configuration_as_it_was_when_it_was_added() -> None:
    (job,) = add([Wish(("--runs", "/runs"), config="schema_version = 1\n", folder="/")])
    kept = job_dir(job.id) / "config.toml"
    assert job.command == ("train", str(kept), "--runs", "/runs")
    assert job.kind == "train"
    assert kept.read_text() == "schema_version = 1\n"
    door.remove([job.id])
    assert not kept.exists()


@pytest.mark.parametrize(("device", "told", "gpus"), [("cuda:1", "cuda", 1), ("cpu", "cpu", 0), ("auto", "auto", 1)])
def test_a_command_works_on_the_gpu_that_it_is_given(device: str, told: str, gpus: int) -> None:
    wishes = [Wish(("tag", "x", *words), folder="/") for words in (["--device", device], [f"--device={device}"])]
    one, two = add(wishes)
    assert one.command[-2:] == ("--device", told) and two.command[-1] == f"--device={told}"
    assert (one.gpus, two.gpus) == (gpus, gpus)


def test_a_chain_is_added_whole() -> None:
    jobs = add([Wish(("captions", "list", word), folder="/") for word in "abc"], chained=True)
    assert [job.after for job in jobs] == [(), (jobs[0].id,), (jobs[1].id,)]


def test_what_ended_while_the_queue_was_stopped_can_be_retried_and_removed(tmp_path: Path) -> None:
    one, two, last = three()
    run = write_run(tmp_path / "runs", name="one", steps=3, ending="stopped")
    with turn() as change:
        change.put(replace(change.queue.jobs[one], state="running", place=str(run.root)))
        change.put(*(replace(change.queue.jobs[number], state="starting", starts=1) for number in (two, last)))
    folder = job_dir(last)
    folder.mkdir(parents=True)
    answer_path(read_queue().jobs[last]).write_text('{"status": 2, "message": "no such file"}')
    door.retry([one])
    assert (read_queue().jobs[one].state, read_queue().jobs[one].place) == ("waiting", str(run.root))
    assert read_queue().jobs[last].message == "no such file"
    assert read_queue().jobs[two].waits, "its starter is gone, and nobody has started it"
    door.remove([one, two])
    assert [job.id for job in door.clear()] == [last]
