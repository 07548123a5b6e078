"""The widths and depths of an SD1.x model, read from its headers or configuration files. Knows no torch.

The topology of Stable Diffusion 1.x is fixed (four blocks, transformers in the first three, two layers a block,
eight heads, group norms of 32); only widths, the text encoder's depth and the vocabulary are read, so that small
models of the same topology load through the same door as the full one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from lora_tui.errors import UserError
from lora_tui.places import exists, expand
from lora_tui.weights.header import read_header

UNET_PREFIX = "model.diffusion_model."
VAE_PREFIX = "first_stage_model."
CLIP_PREFIX = "cond_stage_model.transformer."
LAYERS = 2
HEADS = 8
GROUPS = 32
CLIP_HEAD_WIDTH = 64


@dataclass(frozen=True)
class Shape:
    """Widths and depths; the defaults are the published model's."""

    unet_channels: tuple[int, ...] = (320, 640, 1280, 1280)
    cross_width: int = 768
    clip_width: int = 768
    clip_layers: int = 12
    clip_inner: int = 3072
    vocabulary: int = 49408
    positions: int = 77
    vae_channels: tuple[int, ...] = (128, 256, 512, 512)
    latent_channels: int = 4

    def unet_config(self) -> dict[str, Any]:
        """Arguments of diffusers' ``UNet2DConditionModel``."""
        return {
            "_class_name": "UNet2DConditionModel",
            "sample_size": 64,
            "in_channels": self.latent_channels,
            "out_channels": self.latent_channels,
            "layers_per_block": LAYERS,
            "block_out_channels": list(self.unet_channels),
            "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
            "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
            "cross_attention_dim": self.cross_width,
            "attention_head_dim": HEADS,
            "norm_num_groups": GROUPS,
            "act_fn": "silu",
            "flip_sin_to_cos": True,
            "freq_shift": 0,
        }

    def vae_config(self) -> dict[str, Any]:
        """Arguments of diffusers' ``AutoencoderKL``."""
        return {
            "_class_name": "AutoencoderKL",
            "in_channels": 3,
            "out_channels": 3,
            "down_block_types": ["DownEncoderBlock2D"] * 4,
            "up_block_types": ["UpDecoderBlock2D"] * 4,
            "block_out_channels": list(self.vae_channels),
            "layers_per_block": LAYERS,
            "act_fn": "silu",
            "latent_channels": self.latent_channels,
            "norm_num_groups": GROUPS,
            "sample_size": 512,
            "scaling_factor": 0.18215,
        }

    def clip_config(self) -> dict[str, Any]:
        """Arguments of transformers' ``CLIPTextConfig``."""
        return {
            "vocab_size": self.vocabulary,
            "hidden_size": self.clip_width,
            "intermediate_size": self.clip_inner,
            "num_hidden_layers": self.clip_layers,
            "num_attention_heads": max(1, self.clip_width // CLIP_HEAD_WIDTH),
            "max_position_embeddings": self.positions,
            "hidden_act": "quick_gelu",
            "layer_norm_eps": 1e-5,
            "projection_dim": self.clip_width,
            "bos_token_id": self.vocabulary - 2,
            "eos_token_id": self.vocabulary - 1,
            "pad_token_id": self.vocabulary - 1,
        }


FULL = Shape()


def shape_of(base: str | Path) -> Shape:
    """The shape of the model at ``base``; the published model's where nothing can be read (a hub name, say)."""
    path = expand(base) if str(base) else None
    if path is None or not exists(path):
        return FULL
    return _shape_of(str(path), path.stat().st_mtime_ns)


@lru_cache(maxsize=32)
def _shape_of(path: str, stamp: int) -> Shape:
    place = Path(path)
    try:
        if place.is_dir():
            return shape_of_folder(place)
        return shape_of_tensors(tensor_shapes(place))
    except (UserError, OSError, ValueError, KeyError, TypeError):
        return FULL


def shape_of_folder(folder: Path) -> Shape:
    """The shape of a diffusers folder, from its configuration files.

    Raises:
        OSError, ValueError, KeyError: a file is missing or says something else.
    """
    unet = json.loads((folder / "unet" / "config.json").read_text("utf-8"))
    clip = json.loads((folder / "text_encoder" / "config.json").read_text("utf-8"))
    vae = json.loads((folder / "vae" / "config.json").read_text("utf-8"))
    return Shape(
        unet_channels=tuple(unet["block_out_channels"]),
        cross_width=int(unet["cross_attention_dim"]),
        clip_width=int(clip["hidden_size"]),
        clip_layers=int(clip["num_hidden_layers"]),
        clip_inner=int(clip["intermediate_size"]),
        vocabulary=int(clip["vocab_size"]),
        positions=int(clip["max_position_embeddings"]),
        vae_channels=tuple(vae["block_out_channels"]),
        latent_channels=int(vae["latent_channels"]),
    )


def tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a ``.safetensors`` file's tensors, from its header alone.

    Raises:
        UserError: it cannot be read, or is torn or damaged.
    """
    return {name: info.shape for name, info in read_header(path).tensors.items()}


def shape_of_tensors(shapes: Mapping[str, tuple[int, ...]]) -> Shape:
    """The shape of a single-file checkpoint in the original (LDM) layout.

    Raises:
        KeyError: a tensor that every SD1.x checkpoint has is missing.
    """
    clip = _clip_prefix(shapes)
    channels = [shapes[f"{UNET_PREFIX}input_blocks.{1 + 3 * block}.0.out_layers.3.weight"][0] for block in range(4)]
    attention = f"{UNET_PREFIX}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
    depth = 0
    while f"{clip}encoder.layers.{depth}.mlp.fc1.weight" in shapes:
        depth += 1
    first = shapes[f"{clip}encoder.layers.0.mlp.fc1.weight"]
    vocabulary, width = shapes[f"{clip}embeddings.token_embedding.weight"]
    return Shape(
        unet_channels=tuple(channels),
        cross_width=shapes[attention][1],
        clip_width=width,
        clip_layers=depth,
        clip_inner=first[0],
        vocabulary=vocabulary,
        positions=shapes[f"{clip}embeddings.position_embedding.weight"][0],
        vae_channels=vae_channels(shapes, VAE_PREFIX),
        latent_channels=shapes[f"{UNET_PREFIX}input_blocks.0.0.weight"][1],
    )


def vae_channels(shapes: Mapping[str, tuple[int, ...]], prefix: str = "") -> tuple[int, ...]:
    """The widths of the VAE whose tensors' names begin with ``prefix``, in the original layout or in diffusers'.

    Raises:
        KeyError: a tensor that every such VAE has is missing.
    """
    middle = (
        "down.{}.block.0" if f"{prefix}encoder.down.0.block.0.conv2.weight" in shapes else "down_blocks.{}.resnets.0"
    )
    return tuple(shapes[f"{prefix}encoder.{middle.format(block)}.conv2.weight"][0] for block in range(4))


def _clip_prefix(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Field files name the text encoder with or without ``text_model.``."""
    for prefix in (f"{CLIP_PREFIX}text_model.", CLIP_PREFIX):
        if f"{prefix}embeddings.token_embedding.weight" in shapes:
            return prefix
    raise KeyError("text encoder")
