"""A pause frees the device, and what comes after it is as if there had been none."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from lives import LAST_LEVEL, events, lean_config, live_here, lora, micro_config, new_run, same_tensors
from PIL import Image
from safetensors.torch import load_file
from support import until
from torch import Tensor

from lora_tui.config.schema import Config
from lora_tui.families.devices import choose_device, choose_dtype
from lora_tui.jobs.control import ControlInbox, request
from lora_tui.jobs.events import EventWriter
from lora_tui.runs.folder import RunFolder
from lora_tui.trainer.control import Controls
from lora_tui.trainer.loop import Loop
from lora_tui.trainer.run import prepare
from lora_tui.trainer.session import Session
from lora_tui.weights.kinds import LYCORIS


def _config(base: Path, folder: Path, /, **changes: Any) -> Config:
    return lean_config(base, folder, **changes)


def _loop(runs: Path, config: Config, place: str = "") -> Loop:
    """A run before its first step; ``place``: another device than that of the settings."""
    if place:
        config.memory.device = place
    run = new_run(runs, config)
    writer, device = EventWriter(run.events_path), choose_device(config.memory.device)
    controls = Controls(ControlInbox(run.root), writer)
    session = Session(run, config, writer, controls, device, choose_dtype(config.memory.precision, device))
    return Loop(session, *prepare(session))


def _weights(loop: Loop) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in loop.trainee.adapter.tensors().items()}


def _held(loop: Loop) -> Iterator[Tensor]:
    """Every tensor that a pause takes along."""
    for module in loop.trainee.model.loaded():
        yield from module.parameters()
        yield from module.buffers()
        yield from (parameter.grad for parameter in module.parameters() if parameter.grad is not None)
    for state in loop.trainee.stepper.optimizer.state.values():
        yield from (value for value in state.values() if isinstance(value, Tensor))


WAYS: dict[str, dict[str, Any]] = {
    "text encoder trained": {"network": {"text_encoder": True}},
    "text encoder cached": {},
    "fp16": {"memory": {"precision": "fp16"}},
    "accumulated": {"steps": {"gradient_accumulation": 2, "epochs": 4}},
}


@pytest.mark.parametrize("way", WAYS)
def test_the_step_after_it_is_the_same_to_the_bit(way: str, base: Path, few: Path, tmp_path: Path) -> None:
    config = _config(base, few, **WAYS[way])
    one, other = _loop(tmp_path / "one", config), _loop(tmp_path / "other", config)
    steps, paused = one.updates(), other.updates()
    for number in range(4):
        next(steps)
        if number in (0, 2):
            other.park()
            other.unpark()
        next(paused)
        assert same_tensors(_weights(one), _weights(other)), f"step {number + 1}"


def test_a_whole_run_that_was_paused_ends_with_the_same_bits(base: Path, few: Path, tmp_path: Path) -> None:
    config = _config(base, few, steps={"epochs": 3}, saving={"name": "blob", "precision": "fp32"})
    reference, run = new_run(tmp_path / "reference", config), new_run(tmp_path / "paused", config)
    assert live_here(reference) == 0
    person = threading.Thread(target=_pause_and_resume, args=(run,))
    person.start()
    assert live_here(run) == 0
    person.join(60)
    assert [event["phase"] for event in events(run, "phase")].count("paused") == 1
    assert same_tensors(lora(reference), lora(run))


def test_a_pause_within_a_sample_saves_what_learns_and_changes_no_bit(base: Path, few: Path, tmp_path: Path) -> None:
    """Samples are drawn with an average of what such optimizers draw with; the state has what learns."""
    config = micro_config(
        base, few, network={**LAST_LEVEL, "rank": 2}, validation={"mode": "off"},
        optimizer={"type": "adamw_schedulefree"}, learning={"ema_decay": 0.9, "ema_in_use": True},
    )  # fmt: skip
    one, other = _loop(tmp_path / "one", config), _loop(tmp_path / "other", config)
    steps, paused = one.updates(), other.updates()
    for _step in range(2):
        next(steps), next(paused)
    learning, run = _weights(other), other.session.folder
    one._sample()
    other.session.controls.park, other.session.controls.unpark = other.park, other.unpark
    person = threading.Thread(target=_resume_when_paused, args=(run,))
    request(run.root, "pause")
    person.start()
    other._sample()
    person.join(60)
    (state,) = run.state_dir.iterdir()
    assert same_tensors(load_file(state / "adapter.safetensors"), learning)
    assert _pictures(other) == _pictures(one)
    assert same_tensors(_weights(other), learning)
    next(steps), next(paused)
    assert same_tensors(_weights(one), _weights(other))


def _pictures(loop: Loop) -> list[bytes]:
    return [Image.open(path).tobytes() for path in sorted(loop.session.folder.samples_dir.iterdir())]


def _pause_and_resume(run: RunFolder) -> None:
    until(lambda: len(events(run, "step")) >= 3, 60)
    request(run.root, "pause")
    _resume_when_paused(run)


def _resume_when_paused(run: RunFolder) -> None:
    until(lambda: events(run)[-1].get("phase") == "paused", 60)
    request(run.root, "resume")


@pytest.mark.gpu
@pytest.mark.parametrize("way", WAYS)
def test_a_gpu_is_left_and_taken_again(way: str, base: Path, data: Path, tmp_path: Path) -> None:
    config = _config(base, data, **WAYS[way])
    config.memory.device, config.network.layers = "cuda", []
    one, other = _loop(tmp_path / "one", config), _loop(tmp_path / "other", config)
    steps, paused = one.updates(), other.updates()
    next(steps), next(paused)
    before = torch.cuda.memory_allocated()
    places = [tensor.device.type for tensor in _held(other)]
    other.park()
    assert {tensor.device.type for tensor in _held(other)} == {"cpu"}
    assert torch.cuda.memory_allocated() < 0.6 * before  # the other run's half is still there
    other.unpark()
    assert [tensor.device.type for tensor in _held(other)] == places
    next(steps), next(paused)
    one_weights, other_weights = _weights(one), _weights(other)
    assert all(torch.allclose(one_weights[name], other_weights[name], atol=1e-6) for name in one_weights)


@pytest.mark.gpu
@pytest.mark.parametrize("text_encoder", [True, False])
@pytest.mark.parametrize(
    ("kind", "weights"),
    [("lora", "full"), *((kind, "full") for kind in LYCORIS), ("lora", "int8"), ("lora", "fp8"), ("lora", "nf4"),
     ("dylora", "nf4"), ("lokr", "nf4"), ("oft", "nf4")],
)  # fmt: skip
def test_a_step_never_waits_for_the_gpu(
    kind: str, weights: str, text_encoder: bool, base: Path, data: Path, tmp_path: Path
) -> None:
    network = {"type": kind, "text_encoder": text_encoder, "layers": []}
    config = _config(base, data, network=network, memory={"precision": "bf16", "base_weights": weights})
    _take_without_waiting(_loop(tmp_path, config, "cuda"))


WITH: dict[str, dict[str, Any]] = {
    "fp16": {"memory": {"precision": "fp16"}},
    "prodigy": {"optimizer": {"type": "prodigy"}, "learning": {"unet_lr": 1.0}},
    "average": {"learning": {"ema_decay": 0.99}},
    "accumulated": {"steps": {"gradient_accumulation": 2, "epochs": 8}},
    "graphs": {"memory": {"cuda_graphs": True}, "steps": {"gradient_accumulation": 2, "epochs": 8}},
}


@pytest.mark.gpu
@pytest.mark.parametrize("way", WITH)
def test_no_step_waits_for_the_gpu_whatever_it_is_taken_with(way: str, base: Path, few: Path, tmp_path: Path) -> None:
    _take_without_waiting(_loop(tmp_path, _config(base, few, **WITH[way]), "cuda"))


def _take_without_waiting(loop: Loop) -> None:
    steps = loop.updates()
    for _warm_up in range(6):
        next(steps)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _step in range(3):
            next(steps)
    finally:
        torch.cuda.set_sync_debug_mode("default")
