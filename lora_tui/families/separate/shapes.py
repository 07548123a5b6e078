"""Widths and depths of T5 and of the VAE with 16 channels, and how many parameters they have. Knows no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lora_tui.families.blocks import block_count
from lora_tui.families.separate.tensors import Tensors, parameters, t5_tensors, vae_tensors

VAE_SCALE, VAE_SHIFT = 0.3611, 0.1159
"""Latents of FLUX.1's VAE, which other families use too, are trained as ``(latents - shift) * scale``."""


@dataclass(frozen=True)
class T5Shape:
    """The encoder of T5 1.1; the defaults are those of XXL."""

    width: int = 4096
    layers: int = 24
    inner: int = 10240
    heads: int = 64
    head_width: int = 64
    vocabulary: int = 32128

    def config(self) -> dict[str, Any]:
        """Arguments of transformers' ``T5Config``."""
        return {
            "vocab_size": self.vocabulary,
            "d_model": self.width,
            "d_kv": self.head_width,
            "d_ff": self.inner,
            "num_layers": self.layers,
            "num_heads": self.heads,
            "feed_forward_proj": "gated-gelu",
            "dropout_rate": 0.0,
        }

    def tensors(self) -> Tensors:
        """Names and shapes of all its tensors."""
        return t5_tensors(self.width, self.layers, self.inner, self.vocabulary, self.heads, self.head_width)


XXL = T5Shape()


def t5_of_config(config: Mapping[str, Any]) -> T5Shape:
    """The shape that a ``config.json`` of transformers tells.

    Raises:
        KeyError, ValueError, TypeError: it says something else.
    """
    return T5Shape(
        width=int(config["d_model"]),
        layers=int(config["num_layers"]),
        inner=int(config["d_ff"]),
        heads=int(config["num_heads"]),
        head_width=int(config["d_kv"]),
        vocabulary=int(config["vocab_size"]),
    )


def t5_shape(shapes: Mapping[str, tuple[int, ...]], prefix: str = "") -> T5Shape:
    """The shape of the T5 encoder whose tensors' names begin with ``prefix``.

    Raises:
        KeyError: a tensor that every such encoder has is missing.
    """
    own = {name.removeprefix(prefix): shape for name, shape in shapes.items() if name.startswith(prefix)}
    vocabulary, width = own["shared.weight"] if "shared.weight" in own else own["encoder.embed_tokens.weight"]
    block = "encoder.block.0.layer."
    heads = own[f"{block}0.SelfAttention.relative_attention_bias.weight"][1]
    return T5Shape(
        width=width,
        layers=block_count(own, "encoder.block."),
        inner=own[f"{block}1.DenseReluDense.wi_0.weight"][0],
        heads=heads,
        head_width=own[f"{block}0.SelfAttention.q.weight"][0] // heads,
        vocabulary=vocabulary,
    )


def t5_parameters(shape: T5Shape) -> int:
    return parameters(shape.tensors())


def vae_config(channels: tuple[int, ...], latent: int, *, scale: float, shift: float) -> dict[str, Any]:
    """Arguments of diffusers' ``AutoencoderKL`` for a VAE without convolutions around its latents.

    Args:
        channels: of each level.
        latent: channels of its latents.
        scale, shift: latents are trained as ``(latents - shift) * scale``.
    """
    return {
        "_class_name": "AutoencoderKL",
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
        "scaling_factor": scale,
        "shift_factor": shift,
        "use_quant_conv": False,
        "use_post_quant_conv": False,
    }


def vae_parameters(channels: tuple[int, ...], latent: int) -> int:
    """Parameters of the VAE that :func:`vae_config` describes."""
    return parameters(vae_tensors(channels, latent))


def rotary_axes(head_width: int, share: int) -> tuple[int, int, int]:
    """How a head's width is shared among the three axes of a token's place: one part in ``share``, the rest by halves.

    All three are even, as rotations turn pairs.

    Raises:
        ValueError: no head is so wide.
    """
    if head_width < 6 or head_width % 2:
        raise ValueError(f"attention_head_dim {head_width}")
    first = max(2, head_width // share)
    while (head_width - first) % 4 or first % 2:
        first += 1
    rest = (head_width - first) // 2
    return first, rest, rest


def linear(inputs: int, outputs: int) -> int:
    """Parameters of a linear layer with a bias."""
    return inputs * outputs + outputs
