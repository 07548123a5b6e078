"""Batches come in the plan's order, whatever their threads do, and the threads go when nobody wants any more."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import pytest
import torch
from support import until

from lora_tui.dataset.batches import Batch, DataPlan, PlannedImage
from lora_tui.dataset.buckets import Fit, Size
from lora_tui.dataset.facts import ImageFacts
from lora_tui.dataset.scan import DatasetImage
from lora_tui.trainer.data.loader import AHEAD, Loader
from lora_tui.trainer.data.prepared import Prepared

CPU = torch.device("cpu")
Prepare = Callable[[int, Batch], Prepared]


def _plan(images: int = 11, batch_size: int = 3) -> DataPlan:
    size = Size(64, 64)
    facts = ImageFacts(64, 64, "PNG", False, False, 1, 100, 0)
    train = tuple(
        PlannedImage(DatasetImage(Path(f"{n}.png"), f"{n}.png", 0, 1, facts, None), Fit(size, size, 0, 0))
        for n in range(images)
    )
    return DataPlan(train, (), batch_size, 1, 5, 100, 0)


def _named(epoch: int, batch: Batch) -> Prepared:
    """A batch that says which it is."""
    return Prepared(len(batch.items), {"place": torch.tensor([epoch, *(item.index for item in batch.items)])})


def _expected(plan: DataPlan, epoch: int, start: int, count: int) -> list[list[int]]:
    def walk() -> Iterator[list[int]]:
        at, begin = epoch, start
        while True:
            for batch in plan.epoch(at)[begin:]:
                yield [at, *(item.index for item in batch.items)]
            at, begin = at + 1, 0

    return list(islice(walk(), count))


def _taken(loader: Loader, epoch: int, start: int, count: int) -> list[list[int]]:
    with contextlib.closing(loader.batches(epoch, start)) as batches:
        return [prepared.inputs["place"].tolist() for prepared in islice(batches, count)]


def _threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("loader")]


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize(("epoch", "start"), [(0, 0), (2, 1), (1, 3)])
def test_the_plans_order_from_any_place_and_over_the_ends_of_epochs(workers: int, epoch: int, start: int) -> None:
    plan = _plan()
    assert _taken(Loader(_named, plan, CPU, workers=workers), epoch, start, 13) == _expected(plan, epoch, start, 13)
    assert not _threads()


def test_a_batch_that_is_ready_early_waits_for_its_turn() -> None:
    plan = _plan()
    first, third = plan.epoch(0)[0], plan.epoch(0)[2]
    third_done = threading.Event()

    def prepare(epoch: int, batch: Batch) -> Prepared:
        if epoch == 0 and batch == first:
            assert third_done.wait(30)
        if epoch == 0 and batch == third:
            third_done.set()
        return _named(epoch, batch)

    assert _taken(Loader(prepare, plan, CPU, workers=3), 0, 0, 6) == _expected(plan, 0, 0, 6)


@pytest.mark.parametrize("workers", [1, 3])
def test_an_error_comes_in_the_place_of_its_batch(workers: int) -> None:
    plan = _plan()
    bad = plan.epoch(1)[1]

    def prepare(epoch: int, batch: Batch) -> Prepared:
        if epoch == 1 and batch == bad:
            raise OSError("gone")
        return _named(epoch, batch)

    batches = Loader(prepare, plan, CPU, workers=workers).batches(0, 0)
    found = [next(batches).inputs["place"].tolist() for _count in range(5)]
    assert found == _expected(plan, 0, 0, 5)
    with pytest.raises(OSError, match="gone"):
        next(batches)
    assert not _threads()
    with pytest.raises(StopIteration):
        next(batches)


@pytest.mark.parametrize("workers", [1, 4])
def test_no_more_is_read_ahead_than_agreed_and_nothing_after_the_end(workers: int) -> None:
    made: list[int] = []

    def prepare(epoch: int, batch: Batch) -> Prepared:
        made.append(epoch)
        return _named(epoch, batch)

    batches = Loader(prepare, _plan(), CPU, workers=workers).batches(0, 0)
    for taken in range(1, 8):
        next(batches)
        assert len(made) <= taken + AHEAD + workers
    batches.close()
    assert not _threads()
    left = len(made)
    assert left <= 7 + AHEAD + workers
    assert _threads() == []
    assert len(made) == left


def test_what_is_at_work_when_it_is_closed_is_waited_for() -> None:
    """Nothing reads files any more once the loader is closed."""
    begun, may_end, ended = threading.Event(), threading.Event(), threading.Event()
    plan = _plan()
    second = plan.epoch(0)[1]

    def prepare(epoch: int, batch: Batch) -> Prepared:
        if batch == second:
            begun.set()
            assert may_end.wait(30)
            ended.set()
        return _named(epoch, batch)

    batches = Loader(prepare, plan, CPU, workers=2).batches(0, 0)
    next(batches)
    assert begun.wait(30)
    closing = threading.Thread(target=batches.close)
    closing.start()
    may_end.set()
    closing.join(30)
    assert ended.is_set()
    assert not _threads()


def test_the_wait_for_data_is_told_once() -> None:
    loader = Loader(_named, _plan(), CPU)
    _taken(loader, 0, 0, 3)
    assert loader.take_waited() > 0
    assert loader.take_waited() == 0


def test_everything_for_a_gpu_is_pinned_by_the_threads_ahead_of_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """With stand-ins for the two calls that need CUDA: copies to it then wait for nothing."""
    pinned: list[tuple[str, int]] = []

    def pin(tensor: torch.Tensor) -> torch.Tensor:
        pinned.append((threading.current_thread().name, int(tensor.flatten()[0])))
        return tensor

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    monkeypatch.setattr(torch.cuda, "set_device", lambda _device: None)

    def prepare(_epoch: int, _batch: Batch) -> Prepared:
        names = ({"latents": 1, "noise": 2}, {"text": 3, "pooled": 4}, {"ids": 5})
        return Prepared(1, *({name: torch.full((2,), n) for name, n in group.items()} for group in names))

    loader = Loader(prepare, _plan(), torch.device("cuda"))
    with contextlib.closing(loader.batches(0, 0)) as batches:
        next(batches)
        until(lambda: len(pinned) >= 5 * (1 + AHEAD))
    assert {number for _thread, number in pinned} == {1, 2, 3, 4, 5}
    assert all(thread.startswith("loader") for thread, _number in pinned)
