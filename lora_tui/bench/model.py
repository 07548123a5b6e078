"""A micro base model with the topology of Stable Diffusion 1.5 and random weights.

Its blocks, layers and key names are those of the real model; only the widths are small, so that a
training step takes tens of milliseconds on a CPU. It draws nothing that a person would recognise: it is
there to measure steps, and for tests of what a model's weights do not matter to. The one that draws is the demo's.

Imports torch, diffusers and transformers inside its functions.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from lora_tui.files import default_mode

ASSETS = Path(__file__).resolve().parent.parent / "assets" / "sd15"
TOKENIZER_FILES = ("vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json")

WIDTHS = (32, 32, 64, 64)
"""Channels of the four UNet blocks; multiples of the 32 normalisation groups of the real model."""
VAE_WIDTHS = (32, 32, 32, 32)
TEXT_WIDTH = 64
"""Width of the text encoder: one head of 64, as each of the real model's twelve."""
NARROW_POSTERIOR = -12.0
"""Log-variance of the VAE's posterior: next to none, as in a trained VAE."""


def write_model(folder: Path, *, seed: int = 0, widths: tuple[int, ...] = WIDTHS) -> Path:
    """Write the model to ``folder`` as a diffusers folder in fp16 (about 12 MB) and return ``folder``.

    The same seed gives the same bytes on the same version of torch. Parts that are there already are
    replaced.
    """
    import torch

    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        parts = {"unet": _unet(widths), "vae": _vae(), "text_encoder": _text_encoder()}
    folder.mkdir(parents=True, exist_ok=True)
    for name, part in parts.items():
        part.half().save_pretrained(folder / name)
    for name, files in (("scheduler", ("scheduler_config.json",)), ("tokenizer", TOKENIZER_FILES)):
        (folder / name).mkdir(exist_ok=True)
        for file in files:
            shutil.copyfile(ASSETS / name / file, folder / name / file)
    for path in folder.rglob("*.safetensors"):
        path.chmod(default_mode())  # safetensors writes files that only their owner may read
    shutil.copyfile(ASSETS / "model_index.json", folder / "model_index.json")  # last: its presence means complete
    return folder


def _asset(name: str, **changed: Any) -> dict[str, Any]:
    """The real model's configuration of one part with some values changed."""
    return {**json.loads((ASSETS / name / "config.json").read_text(encoding="utf-8")), **changed}


def _unet(widths: tuple[int, ...]) -> Any:
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel.from_config(
        _asset("unet", block_out_channels=widths, cross_attention_dim=TEXT_WIDTH, sample_size=8)
    )


def _text_encoder() -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel

    config = _asset(
        "text_encoder",
        hidden_size=TEXT_WIDTH,
        intermediate_size=TEXT_WIDTH * 4,
        num_hidden_layers=2,
        num_attention_heads=1,
        projection_dim=TEXT_WIDTH,
    )
    return CLIPTextModel(CLIPTextConfig(**config)).eval()


def _vae() -> Any:
    """A random VAE whose latents have unit variance after the real model's scaling factor, as trained ones have."""
    import torch
    from diffusers import AutoencoderKL

    vae = AutoencoderKL.from_config(_asset("vae", block_out_channels=VAE_WIDTHS, sample_size=64)).eval()
    channels = vae.config.latent_channels
    blobs = torch.nn.functional.interpolate(torch.randn(8, 3, 8, 8), size=64, mode="bilinear").clamp(-1, 1)
    mean = vae.encode(blobs).latent_dist.mean
    wanted = 1 / vae.config.scaling_factor / mean.std(dim=(0, 2, 3))
    to_latent, from_latent = vae.quant_conv, vae.post_quant_conv
    to_latent.weight[:channels] *= wanted[:, None, None, None]
    to_latent.bias[:channels] = (to_latent.bias[:channels] - mean.mean(dim=(0, 2, 3))) * wanted
    to_latent.weight[channels:] = 0
    to_latent.bias[channels:] = NARROW_POSTERIOR
    from_latent.weight /= wanted[None, :, None, None]
    return vae
