"""Widths and depths of a FLUX.2 model, read from headers or configuration files. Knows no torch.

The topology is fixed: double blocks, then single ones, whose feed-forward layers are three times as wide as the model.
Counts and widths are read, so that small models of the same topology load through the same door as the published ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lora_tui.families.blocks import block_count
from lora_tui.families.separate.language import QWEN3_4B, QWEN3_8B, LanguageShape, language_of_config
from lora_tui.families.separate.reading import part_configs
from lora_tui.weights.names.flux2_original import FEED, GUIDANCE

PATCH = 2
"""Latent cells along each side of one token."""
CELL = 8 * PATCH
"""Side of a token in an image, px."""
HEAD_WIDTH = 128
READ_LAYERS = (9, 18, 27)
"""Layers of the text encoder whose states stand side by side as the text: ``Flux2KleinPipeline``."""
ENCODERS = (QWEN3_4B, QWEN3_8B)
"""The published text encoders, which the width of the text tells."""
ROTARY_BASE = 2000
VAE_NORM = 1e-4
"""Added to the variance of a patch's channels."""


@dataclass(frozen=True)
class Shape:
    """The whole model; the defaults are those of FLUX.2 klein 4B.

    Attributes:
        double: blocks with separate weights for image and text.
        single: blocks with common weights.
        text_width: of the text that the transformer reads, the states of all layers that are read.
        guidance: whether the strength of guidance goes in, which is so in FLUX.2 dev alone.
        latent_channels: of the VAE before it is patched.
    """

    double: int = 5
    single: int = 20
    heads: int = 24
    head_width: int = HEAD_WIDTH
    text_width: int = 7680
    channels: int = 128
    guidance: bool = False
    text: LanguageShape = QWEN3_4B
    vae_channels: tuple[int, ...] = (128, 256, 512, 512)

    @property
    def width(self) -> int:
        """Of the hidden states of one token."""
        return self.heads * self.head_width

    @property
    def latent_channels(self) -> int:
        return self.channels // PATCH**2

    def transformer_config(self) -> dict[str, Any]:
        """Arguments of diffusers' ``Flux2Transformer2DModel``."""
        return {
            "_class_name": "Flux2Transformer2DModel",
            "patch_size": 1,
            "in_channels": self.channels,
            "num_layers": self.double,
            "num_single_layers": self.single,
            "attention_head_dim": self.head_width,
            "num_attention_heads": self.heads,
            "joint_attention_dim": self.text_width,
            "mlp_ratio": float(FEED),
            "axes_dims_rope": [self.head_width // 4] * 4,
            "rope_theta": ROTARY_BASE,
            "guidance_embeds": self.guidance,
        }

    def vae_config(self) -> dict[str, Any]:
        """Arguments of diffusers' ``AutoencoderKLFlux2``."""
        return vae_config(self.vae_channels, self.latent_channels)


KLEIN_4B = Shape()
KLEIN_9B = replace(KLEIN_4B, double=8, single=24, heads=32, text_width=12288, text=QWEN3_8B)


def vae_config(channels: tuple[int, ...], latent: int) -> dict[str, Any]:
    """Arguments of diffusers' ``AutoencoderKLFlux2`` with so many ``channels`` in each level and of its latents."""
    return {
        "_class_name": "AutoencoderKLFlux2",
        "in_channels": 3,
        "out_channels": 3,
        "down_block_types": ["DownEncoderBlock2D"] * len(channels),
        "up_block_types": ["UpDecoderBlock2D"] * len(channels),
        "block_out_channels": list(channels),
        "layers_per_block": 2,
        "act_fn": "silu",
        "latent_channels": latent,
        "norm_num_groups": 32,
        "sample_size": 1024,
        "use_quant_conv": True,
        "use_post_quant_conv": True,
        "batch_norm_eps": VAE_NORM,
        "patch_size": [PATCH, PATCH],
    }


def shape_of_folder(folder: Path, full: Shape) -> Shape:
    """The shape of a diffusers folder, from its configuration files.

    Raises:
        OSError, ValueError, KeyError, UserError: a file is missing or says something else.
    """
    network, vae, text = part_configs(folder, "transformer", "vae", "text_encoder")
    if float(network.get("mlp_ratio", FEED)) != FEED:
        raise ValueError(f"the feed-forward layers are {network['mlp_ratio']} times as wide")
    return replace(
        full,
        double=int(network["num_layers"]),
        single=int(network["num_single_layers"]),
        heads=int(network["num_attention_heads"]),
        head_width=int(network["attention_head_dim"]),
        text_width=int(network["joint_attention_dim"]),
        channels=int(network["in_channels"]),
        guidance=bool(network.get("guidance_embeds", True)),
        text=language_of_config(text),
        vae_channels=tuple(vae["block_out_channels"]),
    )


def shape_of_tensors(shapes: Mapping[str, tuple[int, ...]], full: Shape) -> Shape:
    """The shape of a transformer in the makers' layout; the text encoder is the published one of that width.

    Raises:
        KeyError: a tensor that every FLUX.2 transformer has is missing.
    """
    width, channels = shapes["img_in.weight"]
    head = shapes["double_blocks.0.img_attn.norm.query_norm.scale"][0]
    text_width = shapes["txt_in.weight"][1]
    return replace(
        full,
        double=block_count(shapes, "double_blocks."),
        single=block_count(shapes, "single_blocks."),
        heads=width // head,
        head_width=head,
        text_width=text_width,
        channels=channels,
        guidance=f"{GUIDANCE}.weight" in shapes,
        text=next((one for one in ENCODERS if len(READ_LAYERS) * one.width == text_width), full.text),
    )
