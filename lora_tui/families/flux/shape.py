"""Widths and depths of a FLUX.1 model, read from headers or configuration files. Knows no torch.

The topology is fixed: double blocks, then single ones, whose feed-forward layers are four times as wide as the model.
Counts and widths are read, so that small models of the same topology load through the same door as the published one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lora_tui.families.blocks import block_count
from lora_tui.families.separate.reading import clip_of_config, part_configs
from lora_tui.families.separate.shapes import (
    VAE_SCALE,
    VAE_SHIFT,
    XXL,
    T5Shape,
    rotary_axes,
    t5_of_config,
    vae_config,
)
from lora_tui.families.unet.shape import TextShape

FEED = 4
"""Width of the feed-forward layers, in widths of the model."""
PATCH = 2
"""Latent cells along each side of one token."""
HEAD_WIDTH = 128
AXES = 8
"""The first of the three axes of a token's place has one part in so many of a head: 16, 56 and 56 of 128."""


CLIP_L = TextShape()
"""CLIP-L, of which only the pooled vector is read."""


@dataclass(frozen=True)
class Shape:
    """The whole model; the defaults are those of FLUX.1 dev.

    Attributes:
        double: blocks with separate weights for image and text.
        single: blocks with common weights.
        channels: of a token of the image: latent channels times the cells of a patch.
        guidance: whether the strength of guidance goes in (dev), or the model knows none (schnell).
    """

    double: int = 19
    single: int = 38
    heads: int = 24
    head_width: int = HEAD_WIDTH
    channels: int = 64
    text_width: int = 4096
    pooled_width: int = 768
    guidance: bool = True
    clip: TextShape = CLIP_L
    t5: T5Shape = XXL
    vae_channels: tuple[int, ...] = (128, 256, 512, 512)
    latent_channels: int = 16

    @property
    def width(self) -> int:
        """Of the hidden states of one token."""
        return self.heads * self.head_width

    def transformer_config(self) -> dict[str, Any]:
        """Arguments of diffusers' ``FluxTransformer2DModel``."""
        return {
            "_class_name": "FluxTransformer2DModel",
            "patch_size": 1,
            "in_channels": self.channels,
            "num_layers": self.double,
            "num_single_layers": self.single,
            "attention_head_dim": self.head_width,
            "num_attention_heads": self.heads,
            "joint_attention_dim": self.text_width,
            "pooled_projection_dim": self.pooled_width,
            "guidance_embeds": self.guidance,
            "axes_dims_rope": list(rotary_axes(self.head_width, AXES)),
        }

    def vae_config(self) -> dict[str, Any]:
        """Arguments of diffusers' ``AutoencoderKL``."""
        return vae_config(self.vae_channels, self.latent_channels, scale=VAE_SCALE, shift=VAE_SHIFT)


def shape_of_folder(folder: Path, full: Shape) -> Shape:
    """The shape of a diffusers folder, from its configuration files.

    Raises:
        OSError, ValueError, KeyError, UserError: a file is missing or says something else.
    """
    network, vae, clip, t5 = part_configs(folder, "transformer", "vae", "text_encoder", "text_encoder_2")
    return replace(
        full,
        double=int(network["num_layers"]),
        single=int(network["num_single_layers"]),
        heads=int(network["num_attention_heads"]),
        head_width=int(network["attention_head_dim"]),
        channels=int(network["in_channels"]),
        text_width=int(network["joint_attention_dim"]),
        pooled_width=int(network["pooled_projection_dim"]),
        guidance=bool(network.get("guidance_embeds", False)),
        clip=clip_of_config(clip, projected=False),
        t5=t5_of_config(t5),
        vae_channels=tuple(vae["block_out_channels"]),
        latent_channels=int(vae["latent_channels"]),
    )


def shape_of_tensors(shapes: Mapping[str, tuple[int, ...]], full: Shape) -> Shape:
    """The shape of a transformer in the original layout; of the other parts ``full`` holds.

    Raises:
        KeyError: a tensor that every FLUX transformer has is missing.
    """
    width, channels = shapes["img_in.weight"]
    head = shapes["double_blocks.0.img_attn.norm.query_norm.scale"][0]
    return replace(
        full,
        double=block_count(shapes, "double_blocks."),
        single=block_count(shapes, "single_blocks."),
        heads=width // head,
        head_width=head,
        channels=channels,
        text_width=shapes["txt_in.weight"][1],
        pooled_width=shapes["vector_in.in_layer.weight"][1],
        guidance="guidance_in.in_layer.weight" in shapes,
    )
