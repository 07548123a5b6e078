"""Weights, gradients and moments side by side: the same steps and states as one by one, whatever has no gradient."""

from __future__ import annotations

import copy
import weakref
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lora_tui.config.schema import OptimizerSection
from lora_tui.trainer.optim.optimizers import recipe
from lora_tui.trainer.optim.stepper import Stepper

SHAPES = ((4, 6), (6, 4), (4, 6, 1, 1), (3,))


def _stepper(*, rows: bool, device: str = "cpu", **section: Any) -> Stepper:
    generator = torch.Generator().manual_seed(0)
    groups = [
        {
            "params": [nn.Parameter(torch.randn(shape, generator=generator).to(device)) for shape in SHAPES],
            "lr": 0.02,
            "name": name,
        }
        for name in ("unet", "text_encoder")
    ]
    stepper = Stepper(recipe(OptimizerSection(**section)).build(groups), 1.0, None)
    if not rows:
        stepper.rows = None
    return stepper


def _learn(stepper: Stepper, step: int, *, without: tuple[int, ...] = (), bad: bool = False) -> Tensor:
    generator = torch.Generator().manual_seed(step)
    for number, weight in enumerate(stepper.parameters):
        gradient = torch.randn(weight.shape, generator=generator) * (float("nan") if bad else 3.0)
        weight.grad = None if number in without else gradient.to(weight.device)
    return stepper.update(factor=0.5).norm


def _alike(one: Stepper, other: Stepper) -> None:
    for own, plain in zip(one.parameters, other.parameters, strict=True):
        assert own.shape == plain.shape
        torch.testing.assert_close(own, plain, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["adamw", "adafactor", "came", "lion", "sgd"])
def test_steps_are_those_that_are_taken_one_by_one(kind: str) -> None:
    """Two parts, of which one stops; single weights without a gradient; an update that is NaN."""
    one, other = _stepper(rows=True, type=kind), _stepper(rows=False, type=kind)
    second = tuple(range(len(SHAPES), 2 * len(SHAPES)))
    course: list[dict[str, Any]] = [
        {},
        {},
        {"bad": True},
        {},
        {"without": second},
        {"without": (1,)},
        {"without": second},
        {},
    ]
    for step, how in enumerate(course):
        norms = [_learn(stepper, step, **how) for stepper in (one, other)]
        torch.testing.assert_close(*norms, equal_nan=True)
        _alike(one, other)
        assert all(weight.grad is None for weight in one.parameters)


@pytest.mark.gpu
def test_on_a_gpu_steps_are_those_that_are_taken_one_by_one() -> None:
    one, other = (_stepper(rows=rows, device="cuda") for rows in (True, False))
    for step, bad in enumerate((False, True, False)):
        for stepper in (one, other):
            _learn(stepper, step, bad=bad)
        _alike(one, other)


def test_what_adamw_keeps_has_its_shapes_and_goes_on_to_the_bit() -> None:
    one, plain = _stepper(rows=True), _stepper(rows=False)
    for step in range(3):
        _learn(one, step)
        _learn(plain, step)
    kept, wanted = one.optimizer.state_dict(), plain.optimizer.state_dict()
    assert kept["param_groups"] == wanted["param_groups"]
    for number, state in wanted["state"].items():
        for name, value in state.items():
            got = kept["state"][number][name]
            assert (got.shape, got.dtype) == (value.shape, value.dtype)
            torch.testing.assert_close(got, value, rtol=1e-5, atol=1e-7)
    later = _stepper(rows=True)
    for own, learned in zip(later.parameters, one.parameters, strict=True):
        own.data.copy_(learned)
    later.optimizer.load_state_dict(copy.deepcopy(kept))
    for step in range(3, 6):
        _learn(one, step)
        _learn(later, step)
    assert all(torch.equal(own, went) for own, went in zip(later.parameters, one.parameters, strict=True))


def test_weights_that_were_elsewhere_learn_on() -> None:
    """As after a pause, which moves weights and moments one by one."""
    one, stayed = _stepper(rows=True), _stepper(rows=True)
    _learn(one, 0)
    _learn(stayed, 0)
    one.let_go()
    for weight in one.parameters:
        weight.data = weight.data.clone()
        one.optimizer.state[weight] = {name: value.clone() for name, value in one.optimizer.state[weight].items()}
    for step in (1, 2):
        _learn(one, step)
        _learn(stayed, step)
    assert all(torch.equal(own, other) for own, other in zip(one.parameters, stayed.parameters, strict=True))


def test_weights_that_never_get_a_gradient_leave_the_others_together() -> None:
    """As those of a text encoder's last layers, which are skipped, or of what nothing follows in a last block."""
    one, other = _stepper(rows=True), _stepper(rows=False)
    dead = (1, 6, 7)
    for step, bad in enumerate((False, True, False)):
        norms = [_learn(stepper, step, without=dead, bad=bad) for stepper in (one, other)]
        torch.testing.assert_close(*norms, equal_nan=True)
        _alike(one, other)
    assert len(one.optimizer.state_dict()["state"]) == len(one.parameters) - len(dead)
    assert [len({one.parameters[n].untyped_storage().data_ptr() for n in part}) for part in ((0, 2, 3), (4, 5))] == [
        1,
        1,
    ]
    assert len({weight.untyped_storage().data_ptr() for weight in one.parameters}) == 2 + len(dead)
    _learn(one, 3)  # one of them does after all
    _learn(other, 3)
    _alike(one, other)


def test_an_update_that_broke_off_leaves_no_row_in_memory() -> None:
    """Memory is short there, and a copy of what it had is about to come back."""
    stepper = _stepper(rows=True)
    _learn(stepper, 0)
    assert stepper.rows is not None
    kept = [weakref.ref(moment) for row in stepper.rows for moment in row.moments]
    stepper.forget()
    assert kept and all(reference() is None for reference in kept)


def test_an_update_of_adamw_is_one_operation_a_part() -> None:
    stepper = _stepper(rows=True)
    _learn(stepper, 0)
    for weight in stepper.parameters:
        weight.grad = torch.ones_like(weight)
    with torch.profiler.profile() as profile:
        stepper.update()
    names = [event.name for event in profile.events() or []]
    assert names.count("aten::_fused_adamw_") == 2
    assert names.count("aten::linalg_vector_norm") <= 3
    pointers = [weight.data_ptr() for weight in stepper.parameters[: len(SHAPES)]]
    assert [later - first for first, later in pairwise(pointers)] == [96, 96, 96]
