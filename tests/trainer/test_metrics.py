"""Numbers of steps arrive whole, in order, and without a step waiting for them."""

from __future__ import annotations

import time
from typing import Any

import pytest
import torch

from lora_tui.trainer import metrics
from lora_tui.trainer.metrics import BEHIND, Drain, StepNumbers

CPU = torch.device("cpu")


def _push(drain: Drain, step: int, device: torch.device = CPU, *, skipped: bool = False) -> None:
    loss, norm = torch.tensor(step / 2, device=device), torch.tensor(float(step), device=device)
    drain.push(loss, norm, torch.tensor(float(skipped), device=device), {"step": step})


def test_each_step_is_delivered_once_with_its_fields() -> None:
    found: list[StepNumbers] = []
    drain = Drain(CPU, found.append)
    for step in range(5):
        _push(drain, step, skipped=step == 3)
    drain.collect(wait=True)
    assert found == [StepNumbers(step / 2, float(step), step == 3, {"step": step}) for step in range(5)]


def test_numbers_of_half_precision_and_of_graphs_are_plain_floats() -> None:
    found: list[StepNumbers] = []
    weight = torch.ones((), requires_grad=True)
    Drain(CPU, found.append).push(
        (weight * 2).to(torch.bfloat16), torch.tensor(3.0, dtype=torch.float64), torch.tensor(0.0), {}
    )
    assert (found[0].loss, found[0].grad_norm, found[0].skipped) == (2.0, 3.0, False)
    assert type(found[0].loss) is float


def test_nan_arrives_as_it_is() -> None:
    found: list[StepNumbers] = []
    Drain(CPU, found.append).push(torch.tensor(float("nan")), torch.tensor(float("inf")), torch.tensor(1.0), {})
    assert found[0].loss != found[0].loss
    assert found[0].grad_norm == float("inf")
    assert found[0].skipped


def test_an_error_of_the_receiver_comes_out_and_loses_no_other_step() -> None:
    found: list[int] = []

    def deliver(numbers: StepNumbers) -> None:
        if numbers.fields["step"] == 1:
            raise ValueError("enough")
        found.append(numbers.fields["step"])

    drain = Drain(CPU, deliver)
    _push(drain, 0)
    with pytest.raises(ValueError, match="enough"):
        _push(drain, 1)
    _push(drain, 2)
    drain.collect(wait=True)
    assert found == [0, 2]


def test_a_step_takes_the_time_since_the_one_before_it_or_since_a_lap(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([0.0, 10.0, 12.0, 15.0, 20.0, 21.0])
    monkeypatch.setattr(metrics.time, "perf_counter", lambda: next(moments))
    found: list[StepNumbers] = []
    drain = Drain(CPU, found.append)
    for lap in (True, False, True):
        if lap:
            drain.lap()
        _push(drain, 1)
    assert [numbers.seconds for numbers in found] == [2.0, 3.0, 1.0]


@pytest.mark.gpu
def test_a_step_takes_as_long_as_a_gpu_is_at_it_and_not_as_long_as_it_is_asked() -> None:
    device, found = torch.device("cuda"), list[StepNumbers]()
    drain, work = Drain(device, found.append), torch.randn(4096, 4096, device=device)
    for _warm_up in range(20):
        work = (work @ work).tanh()
    torch.cuda.synchronize()
    begun = time.perf_counter()
    drain.lap()
    for step in range(BEHIND):
        for _again in range(20):
            work = (work @ work).tanh()
        _push(drain, step, device)
    drain.collect(wait=True)
    taken, seconds = time.perf_counter() - begun, [numbers.seconds for numbers in found]
    assert 0.5 * taken < sum(seconds) < 1.1 * taken
    assert min(seconds) > 0.5 * max(seconds)


@pytest.mark.gpu
def test_a_gpu_is_not_waited_for_until_it_is_far_behind() -> None:
    device = torch.device("cuda")
    found: list[Any] = []
    drain = Drain(device, found.append)
    work = torch.randn(4096, 4096, device=device)
    _push(drain, -1, device)
    drain.collect(wait=True)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for step in range(BEHIND):
            work = (work @ work).tanh()
            drain.push(work.mean(), work.std(), work[0, 0], {"step": step})
    finally:
        torch.cuda.set_sync_debug_mode("default")
    drain.collect(wait=True)
    assert [numbers.fields["step"] for numbers in found] == list(range(-1, BEHIND))
