"""Numbers of steps arrive whole, in order, and without a step waiting for them."""

from __future__ import annotations

from typing import Any

import pytest
import torch

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
