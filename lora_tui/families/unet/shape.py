"""Widths and depths of a model with such a UNet, read from headers or configuration files. Knows no torch.

The topology of a family is fixed (levels, transformers in some of them, two layers a level, group norms of 32). Widths,
depths of transformers and text encoders, and the vocabulary are read, so that small models of the same topology load
through the same door as the published one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_tui.errors import UserError
from lora_tui.families.blocks import block_count
from lora_tui.families.told import read_config
from lora_tui.places import exists, expand
from lora_tui.weights.header.format import read_header

if TYPE_CHECKING:
    from lora_tui.families.unet.facts import UnetFacts

UNET_PREFIX = "model.diffusion_model."
VAE_PREFIX = "first_stage_model."
LAYERS = 2
GROUPS = 32
HEAD_WIDTH = 64


@dataclass(frozen=True)
class TextShape:
    """One text encoder; the defaults are CLIP-L's. ``projection`` is the width of its pooled vector, 0 without one."""

    width: int = 768
    layers: int = 12
    inner: int = 3072
    vocabulary: int = 49408
    positions: int = 77
    projection: int = 0

    def config(self, activation: str) -> dict[str, Any]:
        """Arguments of transformers' ``CLIPTextConfig``."""
        return {
            "vocab_size": self.vocabulary,
            "hidden_size": self.width,
            "intermediate_size": self.inner,
            "num_hidden_layers": self.layers,
            "num_attention_heads": max(1, self.width // HEAD_WIDTH),
            "max_position_embeddings": self.positions,
            "hidden_act": activation,
            "layer_norm_eps": 1e-5,
            "projection_dim": self.projection or self.width,
            "bos_token_id": self.vocabulary - 2,
            "eos_token_id": self.vocabulary - 1,
            "pad_token_id": self.vocabulary - 1,
        }


@dataclass(frozen=True)
class Shape:
    """The whole model; the defaults are those of the published Stable Diffusion 1.5.

    Attributes:
        unet_channels: width of each level of the UNet.
        depths: transformer blocks in each transformer of a level; 0 where it has no transformers.
        middle: the same in the middle of the UNet.
        linear: whether transformers project with matrices rather than 1x1 convolutions.
        heads: attention heads on every level; 0 gives each head a width of 64.
        told_width: of the vector that is told besides the text: pooled text and sizes; 0 when nothing is.
        side: in latent cells, of the square it learned at.
        vae_scale: what latents are multiplied by.
    """

    unet_channels: tuple[int, ...] = (320, 640, 1280, 1280)
    depths: tuple[int, ...] = (1, 1, 1, 0)
    middle: int = 1
    linear: bool = False
    heads: int = 8
    cross_width: int = 768
    told_width: int = 0
    text: tuple[TextShape, ...] = (TextShape(),)
    vae_channels: tuple[int, ...] = (128, 256, 512, 512)
    vae_scale: float = 0.18215
    latent_channels: int = 4
    side: int = 64

    @property
    def size_width(self) -> int:
        """Width of the embedding of each of the six numbers that tell of sizes; 0 when none are told."""
        return (self.told_width - self.text[-1].projection) // 6 if self.told_width else 0

    def unet_config(self) -> dict[str, Any]:
        """Arguments of diffusers' ``UNet2DConditionModel``."""
        attends = [depth > 0 for depth in self.depths]
        config = {
            "_class_name": "UNet2DConditionModel",
            "sample_size": self.side,
            "in_channels": self.latent_channels,
            "out_channels": self.latent_channels,
            "layers_per_block": LAYERS,
            "block_out_channels": list(self.unet_channels),
            "down_block_types": ["CrossAttnDownBlock2D" if yes else "DownBlock2D" for yes in attends],
            "up_block_types": ["CrossAttnUpBlock2D" if yes else "UpBlock2D" for yes in reversed(attends)],
            "cross_attention_dim": self.cross_width,
            "attention_head_dim": self.heads or [max(1, width // HEAD_WIDTH) for width in self.unet_channels],
            "norm_num_groups": GROUPS,
            "act_fn": "silu",
            "flip_sin_to_cos": True,
            "freq_shift": 0,
        }
        if self.linear:
            config["use_linear_projection"] = True
        if any(depth > 1 for depth in (*self.depths, self.middle)):
            last = self.depths[-1] or self.middle
            config["transformer_layers_per_block"] = [*(depth or 1 for depth in self.depths[:-1]), last]
        if self.told_width:
            config |= {
                "addition_embed_type": "text_time",
                "addition_time_embed_dim": self.size_width,
                "projection_class_embeddings_input_dim": self.told_width,
            }
        return config

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
            "sample_size": self.side * 8,
            "scaling_factor": self.vae_scale,
        }


def shape_of(facts: UnetFacts, base: str | Path) -> Shape:
    """The shape of the model at ``base``; the published one's where nothing can be read (a hub name, say)."""
    path = expand(base) if str(base) else None
    if path is None or not exists(path):
        return facts.full
    return _shape_of(facts, str(path), path.stat().st_mtime_ns)


@lru_cache(maxsize=32)
def _shape_of(facts: UnetFacts, path: str, _stamp: int) -> Shape:
    place = Path(path)
    try:
        if place.is_dir():
            return shape_of_folder(facts, place)
        return shape_of_tensors(facts, tensor_shapes(place))
    except (UserError, OSError, ValueError, KeyError, TypeError, IndexError):
        return facts.full


def shape_of_folder(facts: UnetFacts, folder: Path) -> Shape:
    """The shape of a diffusers folder, from its configuration files.

    Raises:
        OSError, ValueError, KeyError, UserError: a file is missing or says something else.
    """
    unet = _config(folder / "unet")
    vae = _config(folder / "vae")
    texts = [_config(folder / encoder.part) for encoder in facts.encoders]
    channels = tuple(unet["block_out_channels"])
    if len(channels) != len(facts.full.unet_channels):
        raise ValueError("block_out_channels")
    depths, middle = depths_of(unet, facts.full)
    return replace(
        facts.full,
        unet_channels=channels,
        depths=depths,
        middle=middle,
        cross_width=int(unet["cross_attention_dim"]),
        told_width=int(unet.get("projection_class_embeddings_input_dim") or 0) if facts.full.told_width else 0,
        text=tuple(
            TextShape(
                width=int(text["hidden_size"]),
                layers=int(text["num_hidden_layers"]),
                inner=int(text["intermediate_size"]),
                vocabulary=int(text["vocab_size"]),
                positions=int(text["max_position_embeddings"]),
                projection=int(text["projection_dim"]) if encoder.pooled else 0,
            )
            for encoder, text in zip(facts.encoders, texts, strict=True)
        ),
        vae_channels=tuple(vae["block_out_channels"]),
        latent_channels=int(vae["latent_channels"]),
    )


def depths_of(unet: Mapping[str, Any], full: Shape) -> tuple[tuple[int, ...], int]:
    """Depths of the transformers on each level and in the middle, from a UNet's configuration.

    Raises:
        ValueError, TypeError: it says something that the family's UNets do not.
    """
    told = unet.get("transformer_layers_per_block", 1)
    attends = [depth > 0 for depth in full.depths]
    layers = [int(told)] * len(attends) if isinstance(told, int) else [int(depth) for depth in told]
    depths = tuple(depth if yes else 0 for depth, yes in zip(layers, attends, strict=True))
    return depths, layers[-1]


def tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a ``.safetensors`` file's tensors, from its header alone.

    Raises:
        UserError: it cannot be read, or is torn or damaged.
    """
    return {name: info.shape for name, info in read_header(path).tensors.items()}


def shape_of_tensors(facts: UnetFacts, shapes: Mapping[str, tuple[int, ...]]) -> Shape:
    """The shape of a single-file checkpoint in the original (LDM, SGM) layout; one may come without its VAE.

    Raises:
        KeyError: a tensor that every checkpoint of the family has is missing.
        ValueError: of more blocks than any model has.
    """
    text = tuple(encoder.shape_of(shapes) for encoder in facts.encoders)
    full, unet = facts.full, UNET_PREFIX
    levels = range(len(full.depths))
    depths = [_depth(shapes, _transformers(level, len(full.depths))) if full.depths[level] else 0 for level in levels]
    attending = next(level for level in levels if full.depths[level])
    attention = f"{unet}input_blocks.{1 + 3 * attending}.1.transformer_blocks.0.attn2.to_k.weight"
    return replace(
        full,
        unet_channels=tuple(shapes[f"{unet}input_blocks.{1 + 3 * b}.0.out_layers.3.weight"][0] for b in levels),
        depths=tuple(depths),
        middle=_depth(shapes, ["middle_block"]),
        cross_width=shapes[attention][1],
        told_width=shapes[f"{unet}label_emb.0.0.weight"][1] if full.told_width else 0,
        text=text,
        vae_channels=vae_channels(shapes, VAE_PREFIX) if holds_vae(shapes) else full.vae_channels,
        latent_channels=shapes[f"{unet}input_blocks.0.0.weight"][1],
    )


def holds_vae(names: Iterable[str]) -> bool:
    """Whether there is a VAE among the tensors of a single file."""
    return any(name.startswith(VAE_PREFIX) for name in names)


def vae_channels(shapes: Mapping[str, tuple[int, ...]], prefix: str = "") -> tuple[int, ...]:
    """The widths of the VAE whose tensors' names begin with ``prefix``, in the original layout or in diffusers'.

    Raises:
        KeyError: a tensor that every such VAE has is missing.
    """
    middle = (
        "down.{}.block.0" if f"{prefix}encoder.down.0.block.0.conv2.weight" in shapes else "down_blocks.{}.resnets.0"
    )
    return tuple(shapes[f"{prefix}encoder.{middle.format(block)}.conv2.weight"][0] for block in range(4))


def _depth(shapes: Mapping[str, tuple[int, ...]], transformers: Iterable[str]) -> int:
    """How many blocks the ``transformers`` of a level have, by the highest number in any of them.

    Raises:
        KeyError: there is none.
        ValueError: there are more than any model has.
    """
    starts = [f"{UNET_PREFIX}{place}.1.transformer_blocks." for place in transformers]
    depth = max(block_count(shapes, start) for start in starts)
    if not depth:
        raise KeyError(f"{starts[0]}0.attn2.to_k.weight")
    return depth


def _transformers(level: int, levels: int) -> list[str]:
    """The places of a level's transformers, on the way down and up."""
    up = 3 * (levels - 1 - level)
    down = 1 + 3 * level
    return [
        *(f"input_blocks.{down + i}" for i in range(LAYERS)),
        *(f"output_blocks.{up + i}" for i in range(LAYERS + 1)),
    ]


def _config(folder: Path) -> Any:
    return read_config(folder / "config.json")
