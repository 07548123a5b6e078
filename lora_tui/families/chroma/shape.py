"""Widths and depths of a Chroma model, read from headers or configuration files. Knows no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lora_tui.families.blocks import block_count
from lora_tui.families.flux.shape import AXES, HEAD_WIDTH
from lora_tui.families.separate.reading import part_configs
from lora_tui.families.separate.shapes import (
    VAE_SCALE,
    VAE_SHIFT,
    XXL,
    T5Shape,
    rotary_axes,
    t5_of_config,
    vae_config,
)

PATCH = 2
"""Latent cells along each side of one token."""


@dataclass(frozen=True)
class Shape:
    """The whole model; the defaults are those of Chroma1.

    Attributes:
        double: blocks with separate weights for image and text.
        single: blocks with common weights.
        channels: of a token of the image: latent channels times the cells of a patch.
        told: numbers that tell the network which gives the modulations what it is asked for.
        hidden: width of that network.
        deep: its layers.
    """

    double: int = 19
    single: int = 38
    heads: int = 24
    head_width: int = HEAD_WIDTH
    channels: int = 64
    text_width: int = 4096
    told: int = 64
    hidden: int = 5120
    deep: int = 5
    t5: T5Shape = XXL
    vae_channels: tuple[int, ...] = (128, 256, 512, 512)
    latent_channels: int = 16

    @property
    def width(self) -> int:
        """Of the hidden states of one token."""
        return self.heads * self.head_width

    def transformer_config(self) -> dict[str, Any]:
        """Arguments of diffusers' ``ChromaTransformer2DModel``."""
        return {
            "_class_name": "ChromaTransformer2DModel",
            "patch_size": 1,
            "in_channels": self.channels,
            "num_layers": self.double,
            "num_single_layers": self.single,
            "attention_head_dim": self.head_width,
            "num_attention_heads": self.heads,
            "joint_attention_dim": self.text_width,
            "axes_dims_rope": list(rotary_axes(self.head_width, AXES)),
            "approximator_num_channels": self.told,
            "approximator_hidden_dim": self.hidden,
            "approximator_layers": self.deep,
        }

    def vae_config(self) -> dict[str, Any]:
        """Arguments of diffusers' ``AutoencoderKL``."""
        return vae_config(self.vae_channels, self.latent_channels, scale=VAE_SCALE, shift=VAE_SHIFT)


def shape_of_folder(folder: Path, full: Shape) -> Shape:
    """The shape of a diffusers folder, from its configuration files.

    Raises:
        OSError, ValueError, KeyError, UserError: a file is missing or says something else.
    """
    network, vae, t5 = part_configs(folder, "transformer", "vae", "text_encoder")
    return replace(
        full,
        double=int(network["num_layers"]),
        single=int(network["num_single_layers"]),
        heads=int(network["num_attention_heads"]),
        head_width=int(network["attention_head_dim"]),
        channels=int(network["in_channels"]),
        text_width=int(network["joint_attention_dim"]),
        told=int(network.get("approximator_num_channels", full.told)),
        hidden=int(network.get("approximator_hidden_dim", full.hidden)),
        deep=int(network.get("approximator_layers", full.deep)),
        t5=t5_of_config(t5),
        vae_channels=tuple(vae["block_out_channels"]),
        latent_channels=int(vae["latent_channels"]),
    )


def shape_of_tensors(shapes: Mapping[str, tuple[int, ...]], full: Shape) -> Shape:
    """The shape of a transformer in its makers' layout; of the other parts ``full`` holds.

    Raises:
        KeyError: a tensor that every Chroma transformer has is missing.
    """
    width, channels = shapes["img_in.weight"]
    head = shapes["double_blocks.0.img_attn.norm.query_norm.scale"][0]
    hidden, told = shapes["distilled_guidance_layer.in_proj.weight"]
    return replace(
        full,
        double=block_count(shapes, "double_blocks."),
        single=block_count(shapes, "single_blocks."),
        heads=width // head,
        head_width=head,
        channels=channels,
        text_width=shapes["txt_in.weight"][1],
        told=told,
        hidden=hidden,
        deep=block_count(shapes, "distilled_guidance_layer.layers."),
    )
