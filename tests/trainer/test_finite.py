"""Weights that are NaN or Inf are never written: neither as a LoRA file nor as a state."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lives import events, micro_config, new_run
from safetensors.torch import load
from torch import Tensor

from lora_tui.errors import UserError
from lora_tui.jobs.events import EventWriter
from lora_tui.runs.folder import RunFolder
from lora_tui.trainer.copies import Copies
from lora_tui.trainer.outputs import AVERAGE, Checkpoints
from lora_tui.trainer.state import Learned, Position, Snapshot, newest_step, states, take_state

BAD = float("nan"), float("inf"), float("-inf")


def snapshot(step: int, value: float, average: float = 1.0) -> Snapshot:
    weights = {"unet:q.down": torch.ones(3, 2), "unet:q.up": torch.tensor([1.0, value]), "unet:q.on": torch.ones(0)}
    averaged = {"unet:q.up": torch.tensor([average])}
    return Snapshot(Position(step), Learned(weights, {"state": {}}, [{"lr": 1.0}], {}, averaged), {})


@pytest.mark.parametrize("value", BAD)
def test_a_state_of_nan_or_inf_is_refused_and_the_last_good_one_stays(tmp_path: Path, value: float) -> None:
    with pytest.raises(UserError, match=r"at step 10 .* unet:q\.up") as caught:
        take_state(tmp_path / "state", snapshot(10, value), Copies(), keep=2).write()
    assert caught.value.code == "nan" and "No state had been written" in caught.value.remedy
    assert newest_step(tmp_path / "state") is None
    take_state(tmp_path / "state", snapshot(10, 2.0), Copies(), keep=1).write()
    for spoilt in (snapshot(20, value), snapshot(20, 2.0, average=value)):
        with pytest.raises(UserError, match="at step 20") as caught:
            take_state(tmp_path / "state", spoilt, Copies(), keep=1).write()
        assert "that of step 10, is kept" in caught.value.remedy
    assert [path.name for path in states(tmp_path / "state")] == ["step-00000010"]


class OneLayer:
    """An adapter with one layer whose up matrix is of one number."""

    def __init__(self, value: float) -> None:
        self.up = torch.full((4, 1), value)

    def tensors(self) -> dict[str, Tensor]:
        return {"unet:q.up": self.up}

    def export(self) -> dict[tuple[str, str], dict[str, Tensor]]:
        path = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
        own = {"lora_down.weight": torch.ones(1, 4), "lora_up.weight": self.up, "alpha": torch.tensor(1.0)}
        return {("unet", path): own}


def checkpoints(run: RunFolder, config: Any, value: float) -> Checkpoints:
    writer = EventWriter(run.events_path)
    session = SimpleNamespace(
        config=config, folder=run, events=writer,
        warn=lambda code, message: writer.emit("warning", code=code, message=message),
    )  # fmt: skip
    metadata = SimpleNamespace(at=lambda *_numbers, **_facts: {})
    return Checkpoints(session, OneLayer(value), metadata)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", BAD)
def test_no_file_is_written_of_nan_or_inf_and_an_older_one_of_its_name_stays(tmp_path: Path, value: float) -> None:
    config = micro_config(tmp_path / "base", tmp_path)
    run = new_run(tmp_path, config)
    good = checkpoints(run, config, 1.0).take(5, 1, Copies(), final=True).write().read_bytes()
    for kind, final in (("", False), ("", True), (AVERAGE, True)):
        with pytest.raises(UserError, match="at step 9") as caught:
            checkpoints(run, config, value).take(9, 1, Copies(), final=final, kind=kind)
        assert caught.value.code == "nan"
    assert [path.read_bytes() for path in run.checkpoints_dir.iterdir()] == [good]


def test_numbers_too_large_for_half_precision_are_written_in_full(tmp_path: Path) -> None:
    config = micro_config(tmp_path / "base", tmp_path, saving={"precision": "fp16"})
    run = new_run(tmp_path, config)
    written = load(checkpoints(run, config, 70_000.0).take(5, 1, Copies()).write().read_bytes())
    up = next(tensor for name, tensor in written.items() if name.endswith("lora_up.weight"))
    assert up.dtype == torch.float32 and up.max() == 70_000.0
    (warning,) = events(run, "warning")
    assert warning["code"] == "saving.precision" and "fp16" in warning["message"]
