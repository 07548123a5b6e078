"""Whole lives of runs on a GPU: what begins there, pauses, stops and goes on, in every family and with every saving."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import lora_models
import pytest
import torch
from kills import every_phase
from lives import events, live_here, lora, new_run
from PIL import Image

from lora_tui.bench.model import write_model
from lora_tui.jobs.control import request
from lora_tui.jobs.events import EventWriter
from lora_tui.jobs.resources import PRODUCT_CAPABILITIES
from lora_tui.runs.folder import RunFolder

DEVICE = "cuda"
WRITERS: dict[str, Callable[..., Path]] = {
    **{family: partial(write_model, family=family) for family in ("sd15", "sdxl")},
    **lora_models.WRITERS,
}
BF16 = {"precision": "bf16"}
WAYS: dict[str, dict[str, Any]] = {
    "bf16": {"memory": BF16},
    "fp16": {"memory": {"precision": "fp16"}},
    "text encoders that learn": {"memory": BF16, "network": {"text_encoder": True}},
    "images encoded in the step": {"memory": {**BF16, "cache_latents": False}, "data": {"crop": "middle"}},
    "as much computed again as there is no room for": {
        "memory": {**BF16, "gradient_checkpointing": True, "when_room": "adapt"},
    },
    "fp8, streamed": {"memory": {**BF16, "base_weights": "fp8", "streamed_blocks": 2, "gradient_checkpointing": True}},
    "fp8 products": {"memory": {**BF16, "base_weights": "fp8", "products": "8bit"}},
    "int8 products": {"memory": {**BF16, "base_weights": "int8", "products": "8bit"}},
    "nf4, DoRA, an average, Prodigy": {
        "memory": {**BF16, "base_weights": "nf4"},
        "network": {"dora": True},
        "optimizer": {"type": "prodigy"},
        "learning": {"unet_lr": 1.0, "ema_decay": 0.9},
    },
}


class Asking(EventWriter):
    """Asks a run for something once it has told of a step, and has it go on when it pauses."""

    def __init__(self, run: RunFolder, wishes: dict[int, str]) -> None:
        super().__init__(run.events_path)
        self._root, self._wishes = run.root, wishes

    def emit(self, kind: str, **fields: Any) -> None:
        super().emit(kind, **fields)
        if kind == "step" and fields["step"] in self._wishes:
            request(self._root, self._wishes.pop(fields["step"]))
        if kind == "phase" and fields["phase"] == "paused":
            request(self._root, "resume")


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {family: write(tmp_path_factory.mktemp(family) / "model", seed=1) for family, write in WRITERS.items()}


@pytest.mark.gpu
@pytest.mark.timeout(300)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("family", WRITERS)
def test_a_run_pauses_stops_and_goes_on_to_its_end(
    family: str, way: str, bases: dict[str, Path], data: Path, tmp_path: Path
) -> None:
    if way == "fp8 products" and DEVICE == "cuda" and torch.cuda.get_device_capability() < PRODUCT_CAPABILITIES["fp8"]:
        pytest.skip("this card has none")
    settings = {name: dict(changes) for name, changes in WAYS[way].items()}
    settings["memory"] |= {"device": DEVICE}
    settings["data"] = {"bucket_step": 16, **settings.get("data", {})}
    config = every_phase(bases[family], data, **{"model": {"family": family}, "steps": {"epochs": 10}, **settings})
    run = new_run(tmp_path, config)

    assert live_here(run, writer=Asking(run, {2: "pause", 6: "stop"})) == 0
    assert [event["reason"] for event in events(run, "finished")] == ["stopped"]
    assert any(event["phase"] == "paused" for event in events(run, "phase"))
    assert live_here(run, resume=True) == 0

    assert events(run, "finished")[-1]["reason"] == "completed" and not events(run, "failed")
    total = events(run, "run")[0]["total_steps"]
    assert [event["step"] for event in events(run, "step")] == [*range(1, total + 1)]
    assert all(isinstance(event["loss"], float) and event["step_seconds"] > 0 for event in events(run, "step"))
    assert {event["device"] for event in events(run, "run")} == {f"{DEVICE}:0"}
    surprises = [event for event in events(run, "warning") if event["code"] != "memory.room"]
    assert not surprises, surprises
    assert all(torch.isfinite(tensor).all() for tensor in lora(run).values())
    drawn = sorted(run.samples_dir.iterdir())
    assert len(drawn) > total // 3
    assert all(Image.open(path).convert("L").getextrema()[1] > 0 for path in drawn)
