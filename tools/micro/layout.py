"""The micro model's parts: the block structure of Stable Diffusion 1.5 with small widths, and its scheduler."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

ASSETS = Path(__file__).parents[2] / "lora_tui" / "assets" / "sd15"
"""The real model's configurations, tokenizer and scheduler."""
SHIPPED = ASSETS.parent / "micro"
"""Where the finished model lies in the package."""
SIDE = 128
"""Pictures of the finished model, in px."""
LATENT = SIDE // 8
VAE_WIDTHS = (16, 32, 64, 64)
UNET_WIDTHS = (64, 80, 80, 80)
TEXT_WIDTH = 64
TEXT_LAYERS = 3
TOKENS = 77


def real(part: str, **changed: Any) -> dict[str, Any]:
    """The real model's configuration of ``part`` with some values changed."""
    return {**json.loads((ASSETS / part / "config.json").read_text(encoding="utf-8")), **changed}


def make_vae() -> AutoencoderKL:
    """AutoencoderKL, 1.3 M parameters, 8x downsampling to 4 channels."""
    return AutoencoderKL.from_config(real("vae", block_out_channels=VAE_WIDTHS, norm_num_groups=4, sample_size=SIDE))


def make_unet() -> UNet2DConditionModel:
    """UNet2DConditionModel, 5.9 M parameters; the setting called attention_head_dim is the number of heads."""
    return UNet2DConditionModel.from_config(
        real(
            "unet",
            block_out_channels=UNET_WIDTHS,
            norm_num_groups=16,
            attention_head_dim=4,
            cross_attention_dim=TEXT_WIDTH,
            sample_size=LATENT,
        )
    )


def make_text_encoder(words: int) -> CLIPTextModel:
    """CLIPTextModel for a vocabulary of ``words`` entries; the last two are the beginning and the end of a text."""
    config = real(
        "text_encoder",
        vocab_size=words,
        hidden_size=TEXT_WIDTH,
        intermediate_size=4 * TEXT_WIDTH,
        num_hidden_layers=TEXT_LAYERS,
        num_attention_heads=4,
        projection_dim=TEXT_WIDTH,
        bos_token_id=words - 2,
        eos_token_id=words - 1,
        pad_token_id=words - 1,
    )
    model = CLIPTextModel(CLIPTextConfig(**config))
    torch.nn.init.normal_(model.get_input_embeddings().weight, std=0.1)
    return model


def make_scheduler() -> DDIMScheduler:
    """The real model's noise schedule."""
    settings = json.loads((ASSETS / "scheduler" / "scheduler_config.json").read_text(encoding="utf-8"))
    return DDIMScheduler(
        beta_start=settings["beta_start"],
        beta_end=settings["beta_end"],
        beta_schedule=settings["beta_schedule"],
        num_train_timesteps=settings["num_train_timesteps"],
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )
