"""One update, whatever the optimizer: NaN never gets in, gradients are scaled, states and settings survive a resume."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from test_parts import NETWORK, TARGETS, Small
from torch import nn
from toy.parts import Wandering

from lora_tui.config.schema import LearningSection, OptimizerSection
from lora_tui.trainer.adapters.kinds import attach
from lora_tui.trainer.optim.optimizers import recipe
from lora_tui.trainer.optim.stepper import Stepper
from lora_tui.trainer.trainee import MismatchError, Trainee

CPU = torch.device("cpu")


def _rmsprop(weight: nn.Parameter) -> torch.optim.Optimizer:
    """One of those that cannot be told to skip."""
    return torch.optim.RMSprop([{"params": [weight], "lr": 0.1, "name": "unet"}], weight_decay=0.0)


@pytest.mark.parametrize("half", [False, True], ids=["plain", "scaled"])
def test_no_nan_gets_into_an_optimizer_that_cannot_skip(half: bool) -> None:
    weight, twin = nn.Parameter(torch.ones(4)), nn.Parameter(torch.ones(4))
    stepper = Stepper(_rmsprop(weight), 1.0, torch.amp.GradScaler("cpu") if half else None)
    other = Stepper(_rmsprop(twin), 1.0, None)
    for loss in (2.0, float("nan"), 2.0):
        stepper.backward((weight * loss).sum())
        update = stepper.update()
        if loss == loss:
            other.backward((twin * loss).sum())
            other.update()
        assert update.skipped.item() == (loss != loss)
        assert torch.allclose(weight, twin)
    assert torch.isfinite(weight).all()


def test_gradients_are_multiplied_before_they_are_measured_and_clipped() -> None:
    weight = nn.Parameter(torch.zeros(4))
    stepper = Stepper(torch.optim.SGD([weight], lr=1.0), 100.0, None)
    stepper.backward((weight * torch.tensor([3.0, 4.0, 0.0, 0.0])).sum())
    assert stepper.update(factor=2.0).norm.item() == pytest.approx(10.0)
    assert torch.allclose(weight, torch.tensor([-6.0, -8.0, 0.0, 0.0]))


def test_gradients_of_an_update_that_was_broken_off_are_dropped() -> None:
    weight = nn.Parameter(torch.zeros(4))
    stepper = Stepper(torch.optim.SGD([weight], lr=1.0), 0.0, None)
    stepper.backward(weight.sum() * 100)
    stepper.discard()
    stepper.backward(weight.sum())
    stepper.update()
    assert torch.equal(weight, torch.full((4,), -1.0))


def test_an_optimizer_is_told_when_its_weights_are_used() -> None:
    weight = nn.Parameter(torch.zeros(4))
    stepper = Stepper(Wandering([{"params": [weight], "lr": 0.5}], growth=1.0), 0.0, None)
    for _step in range(2):
        stepper.backward(weight.sum())
        stepper.update()
    learning = weight.detach().clone()
    with pytest.raises(KeyError), stepper.weights_in_use():
        assert not torch.equal(weight, learning)  # the mean of what was learned
        raise KeyError
    assert torch.equal(weight, learning)


def _trainee(**optimizer: Any) -> Trainee:
    adapter = attach(NETWORK, {"unet": Small()}, TARGETS, seed=3, device=CPU)
    built = recipe(OptimizerSection(**optimizer)).build(adapter.groups({"unet": 1e-2}))
    return Trainee(None, adapter, Stepper(built, 1.0, None))  # type: ignore[arg-type]


def _learn(trainee: Trainee, step: int) -> None:
    trainee.set_rates(LearningSection(), step, 10)
    generator = torch.Generator().manual_seed(step)
    loss = sum(
        (tensor * torch.randn(tensor.shape, generator=generator)).sum() for tensor in trainee.adapter.tensors().values()
    )
    trainee.stepper.backward(loss)  # type: ignore[arg-type]
    trainee.stepper.update()


def test_what_was_learned_goes_on_and_a_changed_setting_holds() -> None:
    first, second, changed = _trainee(), _trainee(), _trainee(weight_decay=0.5)
    for step in range(3):
        _learn(first, step)
    for later in (second, changed):
        later.restore(copy.deepcopy(first.learned()))
    for trainee in (first, second):
        _learn(trainee, 3)
    pairs = zip(first.adapter.tensors().values(), second.adapter.tensors().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
    assert [group["weight_decay"] for group in changed.stepper.optimizer.param_groups] == [0.5]
    assert [group["weight_decay"] for group in second.stepper.optimizer.param_groups] == [0.01]


def test_a_state_of_fewer_layers_does_not_fit() -> None:
    small = attach(NETWORK, {"unet": Small()}, TARGETS[:1], seed=3, device=CPU)
    built = recipe(OptimizerSection()).build(small.groups({"unet": 1e-2}))
    other = Trainee(None, small, Stepper(built, 1.0, None))  # type: ignore[arg-type]
    with pytest.raises(MismatchError):
        _trainee().restore(other.learned())


def test_rates_are_told_by_part() -> None:
    learning = LearningSection(schedule="linear", warmup=2)
    trainee = _trainee()
    assert trainee.set_rates(learning, 0, 10) == {"unet": pytest.approx(1e-2 / 3)}
    assert trainee.set_rates(learning, 2, 10) == {"unet": pytest.approx(1e-2)}
    assert trainee.stepper.optimizer.param_groups[0]["lr"] == pytest.approx(1e-2)
