"""What may start now, on which GPUs, and why the rest waits."""

from __future__ import annotations

from dataclasses import replace

from lora_tui.jobs.queue.needs import Box, Gpu, plan, something_to_do
from lora_tui.jobs.queue.record import Queue, QueueJob

GB = 1 << 30
TWO = Box((Gpu("GPU-a", 0, used=0, total=24 * GB), Gpu("GPU-b", 1, used=0, total=24 * GB)))
NONE = Box()


def job(number: int, gpus: int = 1, **more: object) -> QueueJob:
    return QueueJob(number, "train", ("train", "x"), gpus=gpus, rank=number, **more)  # type: ignore[arg-type]


def queue(*jobs: QueueJob, held: bool = False) -> Queue:
    return Queue({one.id: one for one in jobs}, held=held)


def started(found: Queue, box: Box) -> dict[int, list[str]]:
    return {one.id: [gpu.uuid for gpu in gpus] for one, gpus in plan(found, box).start}


def reasons(found: Queue, box: Box) -> dict[int, str]:
    return {number: why.code for number, why in plan(found, box).waits.items()}


def test_as_many_trainings_at_once_as_there_are_gpus_each_with_its_own() -> None:
    found = queue(job(1), job(2), job(3))
    assert started(found, TWO) == {1: ["GPU-a"], 2: ["GPU-b"]}
    assert reasons(found, TWO) == {3: "gpus_used"}


def test_one_after_the_other_on_the_processor_where_there_is_none() -> None:
    found = queue(job(1, or_cpu=True), job(2, or_cpu=True), job(3, 0))
    assert started(found, NONE) == {1: []}
    assert reasons(found, NONE) == {2: "turn", 3: "turn"}


def test_what_is_done_on_a_cluster_takes_nothing_of_this_machine() -> None:
    found = queue(job(1, 0, state="running", elsewhere=True), job(2, 0, elsewhere=True), job(3, 0), job(4, 0))
    for box in (NONE, TWO, Box(neighbour="mine")):
        assert started(found, box)[2] == []
    assert started(found, NONE) == {2: [], 3: []}
    assert reasons(found, NONE) == {4: "turn"}


def test_what_needs_no_gpu_goes_beside_what_has_one() -> None:
    found = queue(job(1, state="running", given=("GPU-a",), numbers=(0,)), job(2, 0), job(3, 0), job(4))
    assert started(found, TWO) == {2: [], 4: ["GPU-b"]}
    assert reasons(found, TWO) == {3: "turn"}


def test_a_job_for_two_gpus_is_not_overtaken_for_ever() -> None:
    found = queue(job(1, state="running", given=("GPU-a",)), job(2, 2), job(3, 1), job(4, 0))
    assert started(found, TWO) == {4: []}
    assert reasons(found, TWO) == {2: "gpus_used", 3: "behind"}


def test_a_gpu_of_somebody_else_is_left_alone() -> None:
    used = Box((replace(TWO.gpus[0], used=20 * GB), TWO.gpus[1]))
    found = queue(job(1), job(2))
    assert started(found, used) == {1: ["GPU-b"]}
    assert reasons(found, used) == {2: "gpus_others"}


def test_gpus_that_have_gone_are_not_made_up_for_by_the_processor() -> None:
    found = queue(job(1), job(2, 3), job(3, or_cpu=True))
    assert reasons(found, NONE) == {1: "gpus_gone", 2: "gpus_gone"}
    assert started(found, NONE) == {3: []}
    assert reasons(queue(job(2, 3)), TWO) == {2: "gpus_few"}
    assert started(queue(job(2, 3), job(4)), TWO) == {4: ["GPU-a"]}, "what can never be is waited for by nobody"


def test_what_is_held_or_comes_after_others_waits_and_the_next_goes_first() -> None:
    found = queue(job(1, held=True), job(2, after=(1,)), job(3, 0), job(4, 0, after=(9,)))
    assert started(found, TWO) == {3: []}
    assert reasons(found, TWO) == {1: "held", 2: "after", 4: "after_failed"}
    assert set(reasons(replace(found, held=True), TWO).values()) == {"held", "queue_held"}


def test_what_follows_a_failure_is_chosen() -> None:
    failed = job(1, state="failed")
    after = [job(2, if_failed="wait", after=(1,)), job(3, if_failed="run", after=(1,))]
    found = plan(queue(failed, *after, job(4, if_failed="remove", after=(1,))), TWO)
    assert [one.id for one, _gpus in found.start] == [3]
    assert [one.id for one in found.leave] == [4]
    assert found.waits[2].code == "after_failed"
    assert started(queue(replace(failed, state="done"), after[0]), TWO) == {2: ["GPU-a"]}


def test_it_has_nothing_to_do_when_only_a_person_can_say_more() -> None:
    asleep = queue(job(1, held=True), job(2, state="failed"), job(3, after=(2,)))
    assert not something_to_do(asleep, TWO)
    assert something_to_do(queue(job(1, 5)), TWO), "a GPU may come back"
    assert something_to_do(queue(job(1, state="running")), TWO)
