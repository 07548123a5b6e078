"""Widths and depths of a Z-Image model, read from headers or configuration files. Knows no torch.

The topology is fixed: a few blocks that refine the image, as many that refine the text, and one stream of blocks in
which both meet. Counts and widths are read, so that small models of the same topology load through the same door as
the published ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lora_tui.families.blocks import block_count
from lora_tui.families.separate.language import QWEN3_4B, LanguageShape, language_of_config
from lora_tui.families.separate.reading import part_configs
from lora_tui.families.separate.shapes import VAE_SCALE, VAE_SHIFT, rotary_axes, vae_config
from lora_tui.families.told import read_object
from lora_tui.places import is_file

PATCH = 2
"""Latent cells along each side of one token."""
MULTIPLE = 32
"""Tokens of the image and those of the text are filled up to multiples of it."""
TIME_WIDTH, TIME_INNER = 256, 1024
"""Of what the blocks are told of a timestep, at most, and of the layer before that."""
SHIFT = 3.0
"""What multiplies the odds of noise where no schedule is published with the weights: that of Z-Image-Turbo."""
AXES = 4
"""The first of the three axes of a token's place has one part in so many of a head: 32, 48 and 48 of 128."""


@dataclass(frozen=True)
class Shape:
    """The whole model; the defaults are those of Z-Image and Z-Image-Turbo.

    Attributes:
        blocks: those in which image and text meet.
        refiners: those of the image before, and as many of the text.
        pictures: whether it also reads pictures (Omni).
        shift: what multiplies the odds of noise.
    """

    blocks: int = 30
    refiners: int = 2
    heads: int = 30
    head_width: int = 128
    channels: int = 16
    text_width: int = 2560
    pictures: bool = False
    shift: float = SHIFT
    language: LanguageShape = QWEN3_4B
    vae_channels: tuple[int, ...] = (128, 256, 512, 512)

    @property
    def width(self) -> int:
        """Of the hidden states of one token."""
        return self.heads * self.head_width

    @property
    def feed(self) -> int:
        """Of the feed-forward layers."""
        return int(self.width / 3 * 8)

    @property
    def time_width(self) -> int:
        return min(self.width, TIME_WIDTH)

    def transformer_config(self) -> dict[str, Any]:
        """Arguments of diffusers' ``ZImageTransformer2DModel``."""
        return {
            "_class_name": "ZImageTransformer2DModel",
            "all_patch_size": [PATCH],
            "all_f_patch_size": [1],
            "in_channels": self.channels,
            "dim": self.width,
            "n_layers": self.blocks,
            "n_refiner_layers": self.refiners,
            "n_heads": self.heads,
            "n_kv_heads": self.heads,
            "norm_eps": 1e-5,
            "qk_norm": True,
            "cap_feat_dim": self.text_width,
            "rope_theta": 256.0,
            "t_scale": 1000.0,
            "axes_dims": list(rotary_axes(self.head_width, AXES)),
            "axes_lens": [1536, 512, 512],
        }

    def vae_config(self) -> dict[str, Any]:
        """Arguments of diffusers' ``AutoencoderKL``."""
        return vae_config(self.vae_channels, self.channels, scale=VAE_SCALE, shift=VAE_SHIFT)


ZIMAGE = Shape()


def shape_of_folder(folder: Path, full: Shape) -> Shape:
    """The shape of a diffusers folder, from its configuration files.

    Raises:
        OSError, ValueError, KeyError, TypeError, UserError: a file is missing or says something else.
    """
    network, vae, language = part_configs(folder, "transformer", "vae", "text_encoder")
    width, heads = int(network["dim"]), int(network["n_heads"])
    schedule = folder / "scheduler" / "scheduler_config.json"
    told = read_object(schedule) if is_file(schedule) else {}
    return replace(
        full,
        blocks=int(network["n_layers"]),
        refiners=int(network["n_refiner_layers"]),
        heads=heads,
        head_width=width // heads,
        channels=int(network["in_channels"]),
        text_width=int(network["cap_feat_dim"]),
        pictures=network.get("siglip_feat_dim") is not None,
        shift=float(told.get("shift", full.shift)),
        language=language_of_config(language),
        vae_channels=tuple(vae["block_out_channels"]),
    )


def shape_of_tensors(shapes: Mapping[str, tuple[int, ...]], full: Shape) -> Shape:
    """The shape of a transformer in ComfyUI's layout; of the other parts ``full`` holds.

    Raises:
        KeyError: a tensor that every such transformer has is missing.
    """
    width, cells = shapes["x_embedder.weight"]
    head = shapes["layers.0.attention.q_norm.weight"][0]
    return replace(
        full,
        blocks=block_count(shapes, "layers."),
        refiners=block_count(shapes, "noise_refiner."),
        heads=width // head,
        head_width=head,
        channels=cells // PATCH**2,
        text_width=shapes["cap_embedder.1.weight"][1],
        pictures=any(name.startswith("siglip_") for name in shapes),
    )
