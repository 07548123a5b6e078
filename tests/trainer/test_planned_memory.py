"""The memory that the plan names is near what torch holds in a training step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from lives import draw_dataset, lean_config, new_run

from lora_tui.bench import chroma_model, flux2_model, flux_model, qwen_model, sd3_model, zimage_model
from lora_tui.bench.loops import Loop
from lora_tui.bench.model import write_model
from lora_tui.bench.train import held_bytes, highest_use
from lora_tui.config.estimate import memory_parts
from lora_tui.config.schema import Config
from lora_tui.dataset.batches import make_plan
from lora_tui.dataset.scan import scan_datasets
from lora_tui.jobs.control import ControlInbox
from lora_tui.jobs.events import EventWriter
from lora_tui.trainer.control import Controls
from lora_tui.trainer.loop import Loop as Training
from lora_tui.trainer.run import prepare
from lora_tui.trainer.session import Session

NEAR = 0.15
TRANSFORMERS: dict[str, tuple[Any, Any]] = {
    "flux": (flux_model.write_flux_model, flux_model.MICRO),
    "flux2": (flux2_model.write_flux2_model, flux2_model.MICRO),
    "sd3": (sd3_model.write_sd3_model, sd3_model.MICRO),
    "chroma": (chroma_model.write_chroma_model, chroma_model.MICRO),
    "zimage": (zimage_model.write_zimage_model, zimage_model.MICRO),
    "qwen": (qwen_model.write_qwen_model, qwen_model.MICRO),
}
QUICK = {("sd2", True, "fp32"), ("sd3", True, "fp32")}
"""What the quick suite looks at: one of each kind."""


def _model(folder: Path, family: str) -> Path:
    """A model wide enough that its blocks are most of it: 6 heads of 32 in a transformer."""
    if family not in TRANSFORMERS:
        return write_model(folder, seed=1, family=family)
    write, micro = TRANSFORMERS[family]
    written: Path = write(folder, seed=1, shape=replace(micro, heads=6, head_width=32))
    return written


@contextmanager
def _training(config: Config, folder: Path) -> Iterator[Loop]:
    """The trainer, stopped before its second step."""
    run = new_run(folder / "runs", config)
    events = EventWriter(run.events_path)
    dtype = torch.bfloat16 if config.memory.precision == "bf16" else torch.float32
    controls = Controls(ControlInbox(run.root), events)
    session = Session(run, config, events, controls, torch.device("cpu"), dtype)
    material, trainee = prepare(session)
    steps = Training(session, material, trainee).updates()
    next(steps)
    yield Loop(lambda _count: next(steps), trainee.model.loaded(), trainee.stepper.optimizer)
    steps.close()
    events.close()


def _cases() -> list[Any]:
    ways = product(("sd15", "sd2", "sdxl", *TRANSFORMERS), (False, True), ("fp32", "bf16"))
    return [pytest.param(*case, marks=[] if case in QUICK else pytest.mark.slow) for case in ways]


@pytest.mark.parametrize(("family", "checkpointing", "precision"), _cases())
def test_planned_memory_is_near_what_torch_holds(
    family: str, checkpointing: bool, precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tensors that are held, and the highest sum of those that a step makes; the process itself is left out."""
    monkeypatch.setenv("LORA_TUI_HOME", str(tmp_path / "home"))
    data = draw_dataset(tmp_path / "data", 4)
    for caption in data.glob("*.txt"):
        caption.write_text("b")  # tokenizers of small models know no longer words, which the plan counts on
    config = lean_config(
        _model(tmp_path / "base", family), data,
        model={"family": family},
        data={"resolution": 128, "buckets": False, "bucket_step": 16},
        network={"rank": 8, "layers": [], "text_encoder": False},
        steps={"batch_size": 2},
        memory={"precision": precision, "gradient_checkpointing": checkpointing, "device": "cpu"},
    )  # fmt: skip
    with _training(config, tmp_path) as loop:
        held = held_bytes(loop) + highest_use(lambda: loop.work(1), tmp_path)
    parts = memory_parts(config, make_plan(config, scan_datasets(config)))
    planned = sum(parts.values()) - parts["process"]
    assert 1 - NEAR < planned / held < 1 + NEAR, (planned / held, parts)
