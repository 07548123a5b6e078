"""A whole small training of SDXL: pooled vectors cached, sizes told, samples drawn, a file that says what it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from lives import draw_dataset, events, live_here, lora, micro_config, new_run
from safetensors.torch import load_file

from lora_tui.bench.model import write_model
from lora_tui.caches.store import SUFFIX
from lora_tui.config.schema import CaptionSection, ModelSection
from lora_tui.families import facts_for, open_model
from lora_tui.families.unet.model import UnetModel
from lora_tui.families.unet.model_file import write_single_file
from lora_tui.sampling.lora import apply_lora
from lora_tui.trainer.prepare import text_store
from lora_tui.weights.header.format import read_header
from lora_tui.weights.header.loras import lora_info


def test_it_trains_from_a_single_file_that_predicts_velocity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORA_TUI_HOME", str(tmp_path / "home"))
    velocity = {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True}
    folder = write_model(tmp_path / "base", seed=1, family="sdxl", schedule=velocity)
    base = write_single_file(folder, tmp_path / "noob.safetensors")
    config = micro_config(
        base,
        draw_dataset(tmp_path / "data", 6),
        model={"family": "sdxl"},
        network={"text_encoder": False},
        steps={"epochs": 2, "batch_size": 2},
        validation={"mode": "on"},
    )
    run = new_run(tmp_path / "runs", config)
    seen: set[frozenset[str]] = set()
    predict = UnetModel.predict

    def watched(self: UnetModel, *given: Any) -> torch.Tensor:
        seen.add(frozenset(type(part).__name__ for part in self.loaded()))
        return predict(self, *given)

    monkeypatch.setattr(UnetModel, "predict", watched)
    assert live_here(run) == 0
    assert seen == {frozenset({"UNet2DConditionModel"})}  # in steps, in the validation and while samples are drawn
    steps = events(run, "step")
    assert steps and all(0 < event["loss"] < 10 for event in steps)
    assert [event["loss"] for event in events(run, "validation")]
    assert list(run.samples_dir.glob("*.png"))

    path = run.checkpoints_dir / "blob.safetensors"
    metadata = read_header(path).metadata
    assert metadata["ss_base_model_version"] == "sdxl_base_v1-0"
    assert metadata["modelspec.architecture"] == "stable-diffusion-xl-v1-base/lora"
    assert metadata["modelspec.prediction_type"] == "v"
    assert (metadata["ss_clip_skip"], metadata["modelspec.encoder_layer"]) == ("None", "2")
    assert (lora_info(path).family, lora_info(path).text_encoder_modules) == ("sdxl", 0)
    assert len(lora(run)) == 3 * len(facts_for("sdxl").targets(base, text_encoder=False))

    cached = [load_file(file) for file in text_store().folder.rglob(f"*{SUFFIX}")]
    assert cached and all(tensors.keys() == {"text", "pooled"} for tensors in cached)
    section = ModelSection(base=str(base), family="sdxl")
    model = open_model(section, CaptionSection(), device=torch.device("cpu"), dtype=torch.float32)
    assert apply_lora(model, path).layers == len(facts_for("sdxl").targets(base, text_encoder=False))
    assert json.loads(metadata["ss_network_args"]) == {}
