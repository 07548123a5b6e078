"""Widths and depths of an SD3 or SD3.5 model, read from headers or configuration files. Knows no torch.

The topology is fixed: joint blocks, whose feed-forward layers are four times as wide as the model, the first of them
with a second attention in SD3.5 medium. Counts and widths are read, so that small models of the same topology load
through the same door as the published ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lora_tui.families.blocks import block_count
from lora_tui.families.separate.reading import clip_of_config, part_configs
from lora_tui.families.separate.shapes import XXL, T5Shape, t5_of_config, vae_config
from lora_tui.families.told import unusual
from lora_tui.families.unet.shape import TextShape

FEED = 4
"""Width of the feed-forward layers, in widths of the model."""
PATCH = 2
"""Latent cells along each side of one token."""
HEAD_WIDTH = 64
VAE_SCALE, VAE_SHIFT = 1.5305, 0.0609
"""Latents are trained as ``(latents - shift) * scale``."""

CLIP_L = TextShape(projection=768)
CLIP_G = TextShape(width=1280, layers=32, inner=5120, projection=1280)


@dataclass(frozen=True)
class Shape:
    """The whole model; the defaults are those of SD3.5 large.

    Attributes:
        blocks: joint blocks.
        dual: how many of the first blocks attend a second time, to the image alone.
        norms: whether queries and keys are normed (SD3.5).
        positions: side of the table of positions, in tokens: no image may be larger.
        channels: of the latents.
    """

    blocks: int = 38
    heads: int = 38
    head_width: int = HEAD_WIDTH
    dual: int = 0
    norms: bool = True
    positions: int = 192
    channels: int = 16
    text_width: int = 4096
    pooled_width: int = 2048
    clip_l: TextShape = CLIP_L
    clip_g: TextShape = CLIP_G
    t5: T5Shape = XXL
    vae_channels: tuple[int, ...] = (128, 256, 512, 512)

    @property
    def width(self) -> int:
        """Of the hidden states of one token."""
        return self.heads * self.head_width

    @property
    def largest_side(self) -> int:
        """Of an image, in px."""
        return self.positions * PATCH * 8

    def transformer_config(self) -> dict[str, Any]:
        """Arguments of diffusers' ``SD3Transformer2DModel``."""
        return {
            "_class_name": "SD3Transformer2DModel",
            "sample_size": 128,
            "patch_size": PATCH,
            "in_channels": self.channels,
            "out_channels": self.channels,
            "num_layers": self.blocks,
            "attention_head_dim": self.head_width,
            "num_attention_heads": self.heads,
            "joint_attention_dim": self.text_width,
            "caption_projection_dim": self.width,
            "pooled_projection_dim": self.pooled_width,
            "pos_embed_max_size": self.positions,
            "dual_attention_layers": list(range(self.dual)),
            "qk_norm": "rms_norm" if self.norms else None,
        }

    def vae_config(self) -> dict[str, Any]:
        """Arguments of diffusers' ``AutoencoderKL``."""
        return vae_config(self.vae_channels, self.channels, scale=VAE_SCALE, shift=VAE_SHIFT)


SD35_LARGE = Shape()
SD35_MEDIUM = replace(SD35_LARGE, blocks=24, heads=24, dual=13, positions=384)
SD3_MEDIUM = replace(SD35_LARGE, blocks=24, heads=24, norms=False)


def shape_of_folder(folder: Path, full: Shape) -> Shape:
    """The shape of a diffusers folder, from its configuration files.

    Raises:
        OSError, ValueError, KeyError, UserError: a file is missing or says something else.
    """
    encoders = ("text_encoder", "text_encoder_2", "text_encoder_3")
    network, vae, clip_l, clip_g, t5 = part_configs(folder, "transformer", "vae", *encoders)
    dual = network.get("dual_attention_layers") or []
    if not isinstance(dual, list) or dual != list(range(len(dual))) or len(dual) > network["num_layers"]:
        raise unusual(folder / "transformer" / "config.json", "dual_attention_layers", dual)
    return replace(
        full,
        blocks=int(network["num_layers"]),
        heads=int(network["num_attention_heads"]),
        head_width=int(network["attention_head_dim"]),
        dual=len(dual),
        norms=network.get("qk_norm") is not None,
        positions=int(network["pos_embed_max_size"]),
        channels=int(network["in_channels"]),
        text_width=int(network["joint_attention_dim"]),
        pooled_width=int(network["pooled_projection_dim"]),
        clip_l=clip_of_config(clip_l, projected=True),
        clip_g=clip_of_config(clip_g, projected=True),
        t5=t5_of_config(t5),
        vae_channels=tuple(vae["block_out_channels"]),
    )


def shape_of_tensors(shapes: Mapping[str, tuple[int, ...]], full: Shape) -> Shape:
    """The shape of a transformer in Stability's layout; of the other parts ``full`` holds.

    Raises:
        KeyError: a tensor that every such transformer has is missing.
        ValueError: its positions are no square.
    """
    width, channels = shapes["x_embedder.proj.weight"][:2]
    blocks = block_count(shapes, "joint_blocks.")
    norm = shapes.get("joint_blocks.0.x_block.attn.ln_q.weight")
    head = norm[0] if norm else HEAD_WIDTH
    cells = shapes["pos_embed"][1]
    side = math.isqrt(cells)
    if side * side != cells:
        raise ValueError("pos_embed")
    return replace(
        full,
        blocks=blocks,
        heads=width // head,
        head_width=head,
        dual=block_count(shapes, "joint_blocks.", "x_block.attn2.qkv.weight"),
        norms=norm is not None,
        positions=side,
        channels=channels,
        text_width=shapes["context_embedder.weight"][1],
        pooled_width=shapes["y_embedder.mlp.0.weight"][1],
    )
