"""Averages of the weights, the best file, and a run that ends when nothing becomes better."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.training_utils import EMAModel
from lives import events, lean_config, live_here, new_run, same_tensors
from safetensors.torch import load
from torch import nn

from lora_tui.jobs.events import EventWriter
from lora_tui.runs.folder import RunFolder
from lora_tui.trainer.best import Best
from lora_tui.trainer.optim.average import Average


def test_averages_are_those_of_diffusers() -> None:
    """diffusers' EMAModel with the same highest decay, over weights that wander."""
    weight = nn.Parameter(torch.zeros(5, 3))
    ours, theirs = Average({"w": weight}, 0.8), EMAModel([weight], decay=0.8)
    for step in range(1, 30):
        with torch.no_grad():
            weight.add_(torch.randn(5, 3, generator=torch.Generator().manual_seed(step)))
        ours.update(step)
        theirs.step([weight])
        assert torch.allclose(ours.tensors()["w"], theirs.shadow_params[0], atol=1e-5), step


def test_the_average_stands_in_for_the_weights_and_leaves_them_as_they_were() -> None:
    weight = nn.Parameter(torch.randn(4))
    average = Average({"w": weight}, 0.9)
    with torch.no_grad():
        weight.add_(1.0)
    average.update(5)
    before = weight.detach().clone()
    with pytest.raises(KeyError), average.in_use():
        assert torch.equal(weight, average.tensors()["w"])
        assert not torch.equal(weight, before)
        raise KeyError
    assert torch.equal(weight, before)
    other = Average({"w": weight}, 0.9)
    other.load(average.tensors())
    assert torch.equal(other.tensors()["w"], average.tensors()["w"])
    other.load({})
    assert torch.equal(other.tensors()["w"], weight)


def test_the_best_is_the_lowest_by_enough() -> None:
    best = Best()
    assert [best.note(loss, step, 0.1) for step, loss in enumerate((1.0, 0.95, 0.85, 0.9))] == [
        True,
        False,
        True,
        False,
    ]
    assert best == Best(0.85, 2, 1)
    assert Best.of(best.as_notes()) == best
    assert Best.of({}) == Best()
    assert not Best().note(float("nan"), 3, 0.0)


def _files(run: RunFolder) -> dict[str, dict[str, Any]]:
    return {path.name: load(path.read_bytes()) for path in sorted(run.checkpoints_dir.glob("*.safetensors"))}


def test_a_resumed_run_has_the_same_average_and_the_same_best(
    base: Path, few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = lean_config(
        base, few, learning={"ema_decay": 0.9, "ema_in_use": True}, validation={"mode": "on", "keep_best": True},
        saving={"precision": "fp32"}, steps={"epochs": 3, "batch_size": 3},
        network={
            "rank": 2, "alpha": 1.0, "dropout": 0.1, "rank_dropout": 0.2, "module_dropout": 0.1,
            "lora_plus": 4.0, "max_norm": 0.5, "rslora": True,
        },
    )  # fmt: skip
    reference, run = new_run(tmp_path / "one", config), new_run(tmp_path / "two", config)
    assert live_here(reference) == 0
    emit = EventWriter.emit

    def stop_at_three(self: EventWriter, kind: str, **fields: Any) -> None:
        emit(self, kind, **fields)
        if kind == "step" and fields["step"] == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(EventWriter, "emit", stop_at_three)
        live_here(run)
    assert events(run, "finished")[-1]["step"] == 3
    live_here(run, resume=True)
    whole, resumed = _files(reference), _files(run)
    assert {"blob.safetensors", "blob-ema.safetensors", "blob-best.safetensors"} <= whole.keys()
    assert whole.keys() <= resumed.keys()
    assert all(same_tensors(whole[name], resumed[name]) for name in whole)
    assert not same_tensors(whole["blob.safetensors"], whole["blob-ema.safetensors"])
    validation = events(reference, "validation")
    best = min(validation[1:], key=lambda event: event["loss"])
    name = "blob-ema.safetensors" if best["step"] == 6 else f"blob-{best['step']:06d}-ema.safetensors"
    assert same_tensors(whole["blob-best.safetensors"], whole[name])


def test_a_run_that_becomes_no_better_ends_by_itself(base: Path, few: Path, tmp_path: Path) -> None:
    config = lean_config(
        base, few, learning={"unet_lr": 1e-12},
        validation={"mode": "on", "every_epochs": 0, "every_steps": 1, "patience": 2, "least_change": 0.01},
    )  # fmt: skip
    run = new_run(tmp_path, config)
    assert live_here(run) == 0
    ended = events(run, "finished")[-1]
    assert (ended["reason"], ended["step"]) == ("completed", 2)
    assert [event["code"] for event in events(run, "warning")][-1] == "stopped_early"
    assert ended["path"] == "checkpoints/blob.safetensors"
