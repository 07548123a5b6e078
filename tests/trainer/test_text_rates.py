"""Text encoders have rates of their own, each its own, and an end of their learning."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from config_samples import config_with
from test_parts import Small

from lora_tui.config.schema import LearningSection, NetworkSection, OptimizerSection
from lora_tui.config.text_rates import text_rate, text_rates_of, text_updates
from lora_tui.config.validate import check_config
from lora_tui.families.protocol import TargetModule
from lora_tui.trainer.adapters.kinds import attach
from lora_tui.trainer.optim.optimizers import recipe
from lora_tui.trainer.optim.stepper import Stepper
from lora_tui.trainer.trainee import Trainee

CPU = torch.device("cpu")
PARTS = ("unet", "text_encoder", "text_encoder_2")


def _trainee(optimizer: str) -> Trainee:
    modules = {part: Small() for part in PARTS}
    targets = tuple(TargetModule(part, "to_q", 6, 4) for part in PARTS)
    adapter = attach(NetworkSection(rank=2, alpha=1.0), modules, targets, seed=3, device=CPU)
    built = recipe(OptimizerSection(type=optimizer)).build(adapter.groups(dict.fromkeys(PARTS, 1e-2)))  # type: ignore[arg-type]
    model: Any = SimpleNamespace(facts=SimpleNamespace(denoiser="unet"))
    trainee = Trainee(model, adapter, Stepper(built, 1.0, None))
    trainee.modules = modules  # type: ignore[attr-defined]
    return trainee


def _learn(trainee: Any, learning: LearningSection, step: int) -> dict[str, float]:
    rates: dict[str, float] = trainee.set_rates(learning, step, 10)
    x = torch.randn(5, 6, generator=torch.Generator().manual_seed(step))
    trainee.stepper.backward(sum(module(x).square().mean() for module in trainee.modules.values()))
    trainee.stepper.update()
    return rates


def _weights(trainee: Any) -> dict[str, torch.Tensor]:
    with trainee.weights_in_use():
        return {name: tensor.detach().clone() for name, tensor in trainee.adapter.tensors().items()}


@pytest.mark.parametrize("optimizer", ["adamw", "adamw_schedulefree", "prodigy"])
def test_text_encoders_stay_bit_for_bit_from_where_they_stop_and_a_resumed_run_knows_it(optimizer: str) -> None:
    """Moments, decay and averages of an optimizer would move them on at a rate of 0."""
    learning = LearningSection(text_encoder_share=0.4, schedule="constant")
    trainee, again = _trainee(optimizer), _trainee(optimizer)
    for step in range(4):
        assert _learn(trainee, learning, step)["text_encoder"] > 0
    stopped = _weights(trainee)
    for step in range(4, 7):
        rates = _learn(trainee, learning, step)
        assert rates["unet"] > 0 and rates["text_encoder"] == rates["text_encoder_2"] == 0
        with trainee.adapter.at_strength(0):
            pass
        if step == 5:
            again.restore(copy.deepcopy(trainee.learned()))
    _learn(again, learning, 6)
    ended, same = _weights(trainee), _weights(again)
    for name, tensor in ended.items():
        assert torch.equal(tensor, stopped[name]) == (not name.startswith("unet")), name
        assert torch.equal(tensor, same[name])


def test_the_step_or_the_share_ends_it_whichever_comes_first() -> None:
    ends = [
        text_updates(LearningSection(text_encoder_steps=steps, text_encoder_share=share), 200)
        for steps, share in ((0, 1.0), (30, 1.0), (0, 0.25), (30, 0.25), (30, 0.1), (900, 1.0))
    ]
    assert ends == [200, 30, 50, 30, 20, 200]


def test_each_encoder_of_xl_has_its_rate() -> None:
    both = LearningSection(text_encoder_lr=1e-5, text_encoder_2_lr=3e-6)
    assert [text_rate(both, part) for part in PARTS[1:]] == [1e-5, 3e-6]
    assert [text_rate(LearningSection(), part) for part in PARTS[1:]] == [1e-5, 1e-5]
    learning = {"text_encoder_lr": 1e-5, "text_encoder_2_lr": 0.0}
    assert text_rates_of(config_with(model={"family": "sdxl"}, learning=learning)) == (1e-5, 0.0)
    assert text_rates_of(config_with(model={"family": "sd15"}, learning=learning)) == (1e-5,)
    assert text_rates_of(config_with(network={"text_encoder": False})) == ()


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"learning": {"text_encoder_2_lr": -0.5}}, "learning.negative_rate"),
        ({"learning": {"unet_lr": 0.0, "text_encoder_share": 0.5}}, "learning.text_encoder_alone"),
        ({"learning": {"unet_lr": 1.0, "text_encoder_lr": 1.0, "text_encoder_2_lr": 0.5},
          "optimizer": {"type": "prodigy"}}, "optimizer.one_rate"),
    ],
)  # fmt: skip
def test_rates_that_make_no_sense_are_found(settings: dict[str, Any], code: str) -> None:
    assert code in {finding.code for finding in check_config(config_with(model={"family": "sdxl"}, **settings))}
