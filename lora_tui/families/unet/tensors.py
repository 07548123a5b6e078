"""Names and shapes of every tensor of a model with such a UNet, in diffusers' layout. Knows no torch."""

from __future__ import annotations

from functools import lru_cache

from lora_tui.families.separate.tensors import Tensors, convolution, linears, norms, vae_tensors
from lora_tui.families.unet.shape import Shape
from lora_tui.families.unet.targets import convolution_targets, resnets, transformer_targets, transformers

_BARE = ("to_q", "to_k", "to_v")
"""Layers without a bias."""


@lru_cache(maxsize=16)
def unet_tensors(shape: Shape) -> Tensors:
    """Of diffusers' ``UNet2DConditionModel``; matrices around transformers without the 1x1 of convolutions."""
    width, latent = shape.unet_channels[0], shape.latent_channels
    time = 4 * width
    found = linears({"time_embedding.linear_1": (width, time), "time_embedding.linear_2": (time, time)})
    if shape.told_width:
        found |= linears({"add_embedding.linear_1": (shape.told_width, time), "add_embedding.linear_2": (time, time)})
    found |= convolution("conv_in", latent, width) | convolution("conv_out", width, latent)
    found |= norms(("conv_norm_out",), width, bias=True)
    for target in transformer_targets(shape):
        bias = not target.path.endswith(_BARE)
        found |= linears({target.path: (target.inputs, target.outputs)}, bias=bias)
    for path, inner, depth, _level in transformers(shape):
        own = (f"{path}.transformer_blocks.{block}.norm{number}" for block in range(depth) for number in (1, 2, 3))
        found |= norms((f"{path}.norm", *own), inner, bias=True)
    for target in convolution_targets(shape):
        if target.convolution:
            found |= convolution(target.path, target.inputs, target.outputs, target.kernel)
        else:
            found |= linears({target.path: (target.inputs, target.outputs)})
    for path, inputs, outputs, _level in resnets(shape):
        found |= norms((f"{path}.norm1",), inputs, bias=True) | norms((f"{path}.norm2",), outputs, bias=True)
    return found


def own_vae_tensors(shape: Shape) -> Tensors:
    """Of the VAE, with convolutions around its latents."""
    return vae_tensors(shape.vae_channels, shape.latent_channels, around=(True, True))


def plain_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A matrix is the same as its 1x1 convolution, as which files of several makers hold it."""
    return shape[:2] if shape[2:] == (1, 1) else shape
