"""The micro base model: a diffusers folder that real libraries load, with the real model's structure."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lora_tui.bench.model import write_model
from lora_tui.families.unet.particulars import TOKENIZER

ASSETS = TOKENIZER.parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "base", seed=3)


def test_diffusers_loads_it_without_network(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(folder, local_files_only=True)
    assert pipeline.unet.config.cross_attention_dim == pipeline.text_encoder.config.hidden_size
    assert pipeline.vae_scale_factor == 8
    assert pipeline.tokenizer("a photo of a cat").input_ids == [49406, 320, 1125, 539, 320, 2368, 49407]


def test_the_layers_are_those_of_the_real_unet(folder: Path) -> None:
    import torch
    from diffusers import UNet2DConditionModel

    with torch.device("meta"):
        real = UNet2DConditionModel.from_config(json.loads((ASSETS / "unet" / "config.json").read_text()))
        micro = UNet2DConditionModel.from_config(json.loads((folder / "unet" / "config.json").read_text()))
    attention = [name for name in real.state_dict() if ".attentions." in name]
    assert len(attention) > 300
    assert [name for name in micro.state_dict() if ".attentions." in name] == attention
    assert set(micro.state_dict()) <= set(real.state_dict())


def test_latents_have_unit_variance(folder: Path) -> None:
    import torch
    from diffusers import AutoencoderKL

    vae = AutoencoderKL.from_pretrained(folder / "vae").float()
    blobs = torch.nn.functional.interpolate(torch.rand(4, 3, 6, 6) * 2 - 1, size=64, mode="bilinear")
    with torch.no_grad():
        latents = vae.encode(blobs).latent_dist.mean * vae.config.scaling_factor
        assert torch.isfinite(vae.decode(latents / vae.config.scaling_factor).sample).all()
    assert 0.5 < float(latents.std()) < 2.0


def test_the_seed_names_the_weights(folder: Path, tmp_path: Path) -> None:
    name = "unet/diffusion_pytorch_model.safetensors"
    again, other = write_model(tmp_path / "again", seed=3), write_model(tmp_path / "other", seed=4)
    assert (again / name).read_bytes() == (folder / name).read_bytes()
    assert (other / name).read_bytes() != (folder / name).read_bytes()
