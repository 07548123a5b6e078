"""The family follows from the base model, and sizes from the family; what was chosen by hand stays."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from model_headers import write_checkpoint
from weights.files import model

from lora_tui.config.family import family_of, with_family, with_family_of_base
from lora_tui.config.fresh import NEGATIVE, new_config
from lora_tui.config.presets import find_preset
from lora_tui.config.schema import Config, SamplePrompt
from lora_tui.project import Project

SDXL = {
    "model.diffusion_model.input_blocks.0.0.weight": (320, 4, 3, 3),
    "conditioner.embedders.1.model.token_embedding.weight": (10, 10),
    "first_stage_model.encoder.conv_in.weight": (128, 3, 3, 3),
}


def test_a_base_model_brings_its_family_and_the_usual_sizes(tmp_path: Path) -> None:
    base = model(tmp_path / "xl", SDXL)
    config = Config(samples=[SamplePrompt(prompt="x"), SamplePrompt(prompt="y", width=640)])
    config.model.base = str(base)
    found = with_family_of_base(config)
    assert (config.model.family, config.data.resolution) == ("sd15", 512)
    assert (found.model.family, found.data.resolution) == ("sdxl", 1024)
    assert (found.data.bucket_min, found.data.bucket_max) == (512, 2048)
    assert [(sample.width, sample.height) for sample in found.samples] == [(1024, 1024), (640, 512)]
    found.model.base = str(write_checkpoint(tmp_path / "old.safetensors"))
    assert with_family_of_base(found).data == config.data


def test_sizes_that_were_chosen_stay_and_what_cannot_be_told_changes_nothing(tmp_path: Path) -> None:
    config = Config()
    config.data.resolution = 768
    assert with_family(config, "sdxl").data.resolution == 768
    (tmp_path / "no.safetensors").write_bytes(b"x")
    for base in ("", "owner/model", str(tmp_path / "no.safetensors"), str(tmp_path)):
        assert family_of(base) == ""
        config.model.base = base
        assert with_family_of_base(config) is config


def test_a_preset_of_another_family_begins_a_configuration_of_it() -> None:
    config = new_config(None, [find_preset("sdxl-style"), find_preset("sdxl-12gb")])
    assert (config.model.family, config.data.resolution, config.network.text_encoder) == ("sdxl", 1024, False)
    assert config.memory.gradient_checkpointing and config.steps.batch_size == 2


def test_a_new_configuration_draws_its_samples_as_the_family_is_drawn(tmp_path: Path) -> None:
    for family, usual in (("flux", ("euler", 3.5, 1024, "")), ("sd15", ("euler_a", 7.0, 512, NEGATIVE))):
        pipeline = {"flux": "FluxPipeline", "sd15": "StableDiffusionPipeline"}[family]
        base = tmp_path / family
        base.mkdir()
        (base / "model_index.json").write_text(json.dumps({"_class_name": pipeline}))
        made = Project.create(tmp_path / f"of-{family}", purpose="character", trigger="hat", base_model=str(base))
        samples = new_config(made).samples
        assert {(one.sampler, one.guidance, one.width, one.negative) for one in samples} == {usual}
        assert all("hat" in one.prompt for one in samples)


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("black-forest-labs/FLUX.1-dev", "flux"),
        ("lodestones/Chroma1-HD", "chroma"),
        ("Tongyi-MAI/Z-Image-Turbo", "zimage"),
        ("Qwen/Qwen-Image", "qwen"),
        ("Qwen/Qwen-Image-2512", "qwen"),
        ("Qwen/Qwen-Image-Edit-2509", ""),
        ("black-forest-labs/FLUX.2-dev", ""),
        ("black-forest-labs/FLUX.2-klein-base-4B", "flux2"),
        ("stabilityai/stable-diffusion-xl-base-1.0", "sdxl"),
        ("stabilityai/stable-diffusion-xl-refiner-1.0", ""),
        ("stabilityai/stable-diffusion-2-1", "sd2"),
        ("stabilityai/stable-diffusion-3.5-medium", "sd3"),
        ("stable-diffusion-v1-5/stable-diffusion-v1-5", "sd15"),
        ("someone/model", ""),
    ],
)
def test_a_name_on_the_hub_tells_the_family_of_what_is_not_here(name: str, family: str) -> None:
    assert family_of(name) == family
