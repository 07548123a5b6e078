"""Every optimizer that can be chosen: built as its library means it, its arguments checked, its state exact."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import torch
from prodigyopt import Prodigy as Authors
from torch import nn

from lora_tui.config.arguments import full_place, parameters_of, read_arguments
from lora_tui.config.optimizers import LIBRARY, OPTIMIZER_FACTS
from lora_tui.config.schema import OptimizerSection
from lora_tui.errors import UserError
from lora_tui.trainer.optim.optimizers import recipe
from lora_tui.trainer.optim.prodigy import Prodigy
from lora_tui.trainer.optim.stepper import Stepper, own_rate
from lora_tui.trainer.state import _flatten, _unflatten

CPU = torch.device("cpu")
HERE = [name for name, facts in OPTIMIZER_FACTS.items() if facts.place and not facts.cuda]


def _weights() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(1)
    return [nn.Parameter(torch.randn(6, 4, generator=generator)), nn.Parameter(torch.zeros(4, 6))]


def _stepper(weights: list[nn.Parameter], lr: float, **section: Any) -> Stepper:
    groups = [{"params": [weight], "lr": lr, "name": str(number)} for number, weight in enumerate(weights)]
    return Stepper(recipe(OptimizerSection(**section)).build(groups), 1.0, None)


def _learn(stepper: Stepper, weights: list[nn.Parameter], steps: range) -> None:
    for step in steps:
        target = torch.randn(6, 6, generator=torch.Generator().manual_seed(step))
        stepper.backward(((weights[0] @ weights[1] + weights[0] @ weights[0].T - target) ** 2).mean())
        stepper.update()


def _rate(name: str) -> float:
    return 1.0 if OPTIMIZER_FACTS[name].adaptive else 1e-2


@pytest.mark.parametrize("name", HERE)
def test_it_moves_the_weights_and_goes_on_from_a_saved_state_to_the_bit(name: str) -> None:
    whole, first, second = _weights(), _weights(), _weights()
    _learn(_stepper(whole, _rate(name), type=name), whole, range(6))
    before = _stepper(first, _rate(name), type=name)
    _learn(before, first, range(3))
    with before.weights_in_use():  # as for a sample and a file, which an undisturbed run would not have taken
        pass
    tensors: dict[str, torch.Tensor] = {}
    text = json.dumps(_flatten(before.optimizer.state_dict(), "", tensors))
    after = _stepper(second, _rate(name), type=name)
    with torch.no_grad():
        for weight, saved in zip(second, first, strict=True):
            weight.copy_(saved)
    after.optimizer.load_state_dict(copy.deepcopy(_unflatten(json.loads(text), tensors)))
    after.train()
    _learn(after, second, range(3, 6))
    assert all(torch.equal(one, other) for one, other in zip(whole, second, strict=True))
    assert all(not torch.equal(one, start) for one, start in zip(whole, _weights(), strict=True))
    assert all(torch.isfinite(weight).all() for weight in whole)


@pytest.mark.parametrize("name", HERE)
def test_an_update_with_nan_moves_neither_weights_nor_averages(name: str) -> None:
    """Momentum would, though the gradients are put to zero; the next good update is then another one, too."""
    weights = _weights()
    stepper = _stepper(weights, _rate(name), type=name)
    _learn(stepper, weights, range(3))
    moved, kept = [weight.detach().clone() for weight in weights], _kept(stepper)
    for _lost in range(2):
        stepper.backward((weights[0] @ weights[1]).sum() * float("nan"))
        assert stepper.update().skipped.item() == 1
        assert all(torch.equal(one, before) for one, before in zip(weights, moved, strict=True))
        assert all(torch.equal(one, before) for one, before in zip(_kept(stepper), kept, strict=True))
    _learn(stepper, weights, range(3, 4))
    assert not any(torch.equal(one, before) for one, before in zip(weights, moved, strict=True))


def _kept(stepper: Stepper) -> list[torch.Tensor]:
    """Copies of what the optimizer keeps beside the weights."""
    states = stepper.optimizer.state.values()
    return [value.clone() for state in states for value in state.values() if isinstance(value, torch.Tensor)]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"weight_decay": 0.1, "use_bias_correction": True, "safeguard_warmup": True, "d_coef": 2.0},
        {"weight_decay": 0.1, "decouple": False, "growth_rate": 1.5, "betas": (0.8, 0.95), "beta3": 0.9},
    ],
    ids=["plain", "guarded", "coupled"],
)
def test_prodigy_takes_the_steps_of_its_authors_library(settings: dict[str, Any]) -> None:
    """prodigyopt 1.1.2 is the reference: weights and estimate after each of forty steps, two groups, one at rest."""
    ours, theirs = _weights(), _weights()
    still = [nn.Parameter(torch.ones(3)) for _side in range(2)]
    pairs = []
    for kind, weights, rest in ((Prodigy, ours, still[0]), (Authors, theirs, still[1])):
        pairs.append((kind([{"params": weights}, {"params": [rest], "lr": 0.0}], lr=1.0, **settings), weights, rest))
    for step in range(40):
        target = torch.randn(6, 6, generator=torch.Generator().manual_seed(0))
        for optimizer, weights, rest in pairs:
            optimizer.zero_grad()
            ((weights[0] @ weights[1] - target) ** 2).mean().backward()
            rest.grad = torch.ones(3)
            for group in optimizer.param_groups[:1]:
                group["lr"] = 1.0 - step / 80
            optimizer.step()
        assert own_rate(pairs[0][0]).item() == pytest.approx(pairs[1][0].param_groups[0]["d"], rel=1e-4)
        for one, other in zip(ours, theirs, strict=True):
            assert torch.allclose(one, other, rtol=1e-3, atol=1e-5), step  # sums are taken in another order
    assert own_rate(pairs[0][0]) > 3e-6  # it has grown
    assert torch.equal(still[0], torch.ones(3))


def test_the_step_size_that_is_found_is_told() -> None:
    weights = _weights()
    for name in ("prodigy", "dadapt_adam"):
        stepper = _stepper(weights, 1.0, type=name)
        _learn(stepper, weights, range(12))
        assert float(own_rate(stepper.optimizer)) > 1e-6
    assert own_rate(_stepper(weights, 1.0).optimizer) is None
    assert own_rate(torch.optim.Adafactor(weights)) is None  # its d is another


def test_weights_in_use_are_another_point_and_come_back_to_the_bit() -> None:
    weights = _weights()
    stepper = _stepper(weights, 1e-2, type="adamw_schedulefree")
    _learn(stepper, weights, range(5))
    learning = [weight.detach().clone() for weight in weights]
    with stepper.weights_in_use():
        assert not torch.equal(weights[0], learning[0])
    assert all(torch.equal(one, other) for one, other in zip(weights, learning, strict=True))


def test_any_class_can_be_named() -> None:
    assert recipe(OptimizerSection(type="other", kind="torch.optim.RAdam")).kind is torch.optim.RAdam
    made = recipe(OptimizerSection(type="other", kind="adopt", weight_decay=0.2, args=["betas=(0.9", "0.99)"]))
    assert made.kind.__name__ == "ADOPT"
    assert made.arguments == {"weight_decay": 0.2, "betas": (0.9, 0.99)}
    made.try_out(CPU)
    with pytest.raises(UserError, match="there is no optimizer"):
        recipe(OptimizerSection(type="other", kind="torch.optim.Nothing"))


@pytest.mark.parametrize(
    "section",
    [
        {"args": ["colour=red"]},
        {"type": "prodigy", "args": ["d0=-1"]},
        {"type": "other", "kind": "torch.optim.LBFGS"},
    ],
)
def test_what_does_not_work_is_known_before_anything_is_loaded(section: dict[str, Any]) -> None:
    with pytest.raises(UserError) as caught:
        recipe(OptimizerSection(**section)).try_out(CPU)
    assert caught.value.code == "optimizer.unusable"


def test_arguments_are_read_as_they_are_written() -> None:
    texts = ["d_coef=2", "betas=(0.9", "0.99)", "decouple=True", "eps = 1e-30", "mode=fast", "none=None"]
    assert read_arguments(texts) == {
        "d_coef": 2, "betas": (0.9, 0.99), "decouple": True, "eps": 1e-30, "mode": "fast", "none": None,
    }  # fmt: skip
    for wrong in (["d_coef"], ["a=1", "a=2"], ["=3"], ["a b=1"]):
        with pytest.raises(UserError):
            read_arguments(wrong)


def test_what_a_class_takes_is_read_from_its_source() -> None:
    """Held against the signatures of the classes themselves."""
    import inspect

    for name in HERE:
        known = parameters_of(OPTIMIZER_FACTS[name].place)
        kind = recipe(OptimizerSection(type=name)).kind
        taken = inspect.signature(kind).parameters.values()
        named = {one.name for one in taken if one.kind is not one.VAR_KEYWORD} - {"params"}
        assert known is not None
        assert named <= set(known.names)
        assert not known.required or known.required == ("lr",)
        assert set(recipe(OptimizerSection(type=name)).arguments) <= named, name
    assert full_place("Adopt", LIBRARY).endswith(":ADOPT")
    assert full_place("no such thing", LIBRARY) == ""
    assert parameters_of("torch.optim:RAdam") is not None
    assert parameters_of("torch.optim:Nothing") is None
