"""Widths and depths of a Qwen-Image model, read from headers or configuration files. Knows no torch.

The topology is fixed: blocks in which image and text have weights of their own and meet in attention. Counts and widths
are read, so that small models of the same topology load through the same door as the published one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lora_tui.families.blocks import block_count
from lora_tui.families.qwen.language import QWEN_VL_7B, text_config, vl_of_config
from lora_tui.families.separate.language import LanguageShape
from lora_tui.families.separate.reading import part_configs

PATCH = 2
"""Latent cells along each side of one token."""
FEED = 4
"""How many times as wide as the hidden states the feed-forward layers are."""
LEVELS = (1, 2, 4, 4)
"""Widths of the VAE's levels, in those of its first."""
#: What latents are normed by, channel by channel: ``(latents - mean) / spread``. The VAE's configuration says it; where
#: it comes as a single file, these are the published model's.
MEAN = (
    -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508,
    0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921,
)  # fmt: skip
SPREAD = (
    2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743,
    3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160,
)  # fmt: skip
#: What the configuration of a transformer that also reads pictures, or draws in layers, says in place of ``False``.
SPECIAL = ("zero_cond_t", "use_additional_t_cond", "use_layer3d_rope")
SPECIAL_TENSORS = ("time_text_embed.addition_t_embedding.weight", "__index_timestep_zero__")
"""Tensors by which a single file tells the same."""


@dataclass(frozen=True)
class Shape:
    """The whole model; the defaults are those of Qwen-Image.

    Attributes:
        channels: of a token of the image: latent channels times the cells of a patch.
        special: what says that it reads pictures or draws in layers; empty where nothing does.
        vae_width: of the first level of the VAE.
    """

    blocks: int = 60
    heads: int = 24
    head_width: int = 128
    channels: int = 64
    text_width: int = 3584
    special: str = ""
    language: LanguageShape = QWEN_VL_7B
    vae_width: int = 96

    @property
    def width(self) -> int:
        """Of the hidden states of one token."""
        return self.heads * self.head_width

    def transformer_config(self) -> dict[str, Any]:
        """Arguments of diffusers' ``QwenImageTransformer2DModel``."""
        return {
            "_class_name": "QwenImageTransformer2DModel",
            "patch_size": PATCH,
            "in_channels": self.channels,
            "out_channels": self.channels // PATCH**2,
            "num_layers": self.blocks,
            "attention_head_dim": self.head_width,
            "num_attention_heads": self.heads,
            "joint_attention_dim": self.text_width,
            "guidance_embeds": False,
            "axes_dims_rope": list(rotary_sides(self.head_width)),
        }

    def vae_config(self) -> dict[str, Any]:
        """Arguments of diffusers' ``AutoencoderKLQwenImage``."""
        return vae_config(self.vae_width, self.channels // PATCH**2)


QWEN = Shape()


def vae_config(width: int, channels: int) -> dict[str, Any]:
    """Arguments of diffusers' ``AutoencoderKLQwenImage`` of so many ``channels``, ``width`` wide at its first level."""
    return {
        "_class_name": "AutoencoderKLQwenImage",
        "base_dim": width,
        "z_dim": channels,
        "dim_mult": list(LEVELS),
        "num_res_blocks": 2,
        "attn_scales": [],
        "temperal_downsample": [False, True, True],
        "latents_mean": list(MEAN),
        "latents_std": list(SPREAD),
    }


def rotary_sides(head_width: int) -> tuple[int, int, int]:
    """How a head's width is shared among the three axes of a token's place: an eighth, and the rest by halves.

    16, 56 and 56 for the published heads of 128.
    """
    first = head_width // 8
    return first, (head_width - first) // 2, (head_width - first) // 2


def shape_of_folder(folder: Path, full: Shape) -> Shape:
    """The shape of a diffusers folder, from its configuration files.

    Raises:
        OSError, ValueError, KeyError, TypeError, UserError: a file is missing or says something else.
    """
    network, vae, language = part_configs(folder, "transformer", "vae", "text_encoder")
    return replace(
        full,
        blocks=int(network["num_layers"]),
        heads=int(network["num_attention_heads"]),
        head_width=int(network["attention_head_dim"]),
        channels=int(network["in_channels"]),
        text_width=int(network["joint_attention_dim"]),
        special=next((name for name in SPECIAL if network.get(name)), ""),
        language=vl_of_config(text_config(language)),
        vae_width=int(vae["base_dim"]),
    )


def shape_of_tensors(shapes: Mapping[str, tuple[int, ...]], full: Shape) -> Shape:
    """The shape of a transformer in a single file; of the other parts ``full`` holds.

    Raises:
        KeyError: a tensor that every such transformer has is missing.
    """
    width, channels = shapes["img_in.weight"]
    head = shapes["transformer_blocks.0.attn.norm_q.weight"][0]
    return replace(
        full,
        blocks=block_count(shapes, "transformer_blocks."),
        heads=width // head,
        head_width=head,
        channels=channels,
        text_width=shapes["txt_in.weight"][1],
        special=next((name for name in SPECIAL_TENSORS if name in shapes), ""),
    )
