"""Facts of Stable Diffusion 1.x that need no torch: layers, sizes, names in files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lora_tui.families.protocol import TargetModule
from lora_tui.families.sd15.shape import LAYERS, Shape, shape_of
from lora_tui.families.sd15.targets import (
    convolution_targets,
    resamplers,
    resnets,
    text_targets,
    transformer_targets,
    transformers,
)

#: Widths of input to all adapted layers of one transformer: proj_in, q k v, out, q, out, gate, 4 x for the
#: feed-forward's second layer, proj_out.
INPUTS_OF_TRANSFORMER = 13
ADAPTER_BYTES = 4  # the adapter works in float32
#: Bytes that autograd keeps for each input value of an adapted layer besides the base model's own, measured
#: with half precision: most inputs are also kept as float32 copies.
KEPT_INPUT_BYTES = 3.0
#: Maps that a layer of the text encoder keeps for its backward pass, and its float32 copies in half precision.
CLIP_MAPS, CLIP_COPIES = 20.0, 6.2


@dataclass(frozen=True)
class Sd15Facts:
    """See :class:`lora_tui.families.protocol.Facts`."""

    name: str = "sd15"
    title: str = "Stable Diffusion 1.5"
    resolution: int = 512
    size_multiple: int = 8
    latent_factor: int = 8
    latent_channels: int = 4
    denoiser: str = "unet"
    model_version: str = "sd_v1"
    architecture: str = "stable-diffusion-v1"
    implementation: str = "https://github.com/Stability-AI/StableDiffusion"

    def targets(
        self, base: str | Path = "", *, text_encoder: bool = True, convolutions: bool = False
    ) -> tuple[TargetModule, ...]:
        shape = shape_of(base)
        found = transformer_targets(shape)
        found += convolution_targets(shape) if convolutions else ()
        return (*found, *text_targets(shape)) if text_encoder else tuple(found)

    def part_parameters(self, base: str | Path = "") -> dict[str, int]:
        shape = shape_of(base)
        return {
            "unet": _unet_parameters(shape),
            "text_encoder": _clip_parameters(shape),
            "vae": _vae_parameters(shape),
        }

    def activation_bytes(
        self,
        width: int,
        height: int,
        batch: int,
        *,
        bytes_per_value: int,
        checkpointing: bool,
        text_encoder: bool = False,
        convolutions: bool = False,
        base: str | Path = "",
    ) -> int:
        shape = shape_of(base)
        latent = (width // 8, height // 8)
        kept = _unet_activations(shape, *latent, checkpointing) * bytes_per_value
        if bytes_per_value < ADAPTER_BYTES and not checkpointing:
            kept += KEPT_INPUT_BYTES * _adapter_inputs(shape, *latent)
        if convolutions and not checkpointing:
            kept += (bytes_per_value + KEPT_INPUT_BYTES) * _convolution_inputs(shape, *latent)
        if text_encoder:
            values = shape.clip_layers * shape.positions * shape.clip_width
            copies = CLIP_COPIES * ADAPTER_BYTES if bytes_per_value < ADAPTER_BYTES else 0
            kept += values * (CLIP_MAPS * bytes_per_value + copies)
        return int(kept * batch)


def _convolution(inputs: int, outputs: int, kernel: int = 3) -> int:
    return inputs * outputs * kernel * kernel + outputs


def _linear(inputs: int, outputs: int, bias: bool = True) -> int:
    return inputs * outputs + (outputs if bias else 0)


def _resnet(inputs: int, outputs: int, time: int = 0) -> int:
    total = 2 * inputs + _convolution(inputs, outputs) + 2 * outputs + _convolution(outputs, outputs)
    total += _linear(time, outputs) if time else 0
    return total + (_convolution(inputs, outputs, 1) if inputs != outputs else 0)


def _transformer_parameters(width: int, cross: int) -> int:
    attention = 2 * _linear(width, width, False) + 2 * _linear(width, width)  # q of both, out of both
    attention += 2 * _linear(width, width, False) + 2 * _linear(cross, width, False)  # k and v of both
    feed = _linear(width, width * 8) + _linear(width * 4, width)
    norms = 3 * 2 * width + 2 * width
    return attention + feed + norms + 2 * _convolution(width, width, 1)


def _unet_parameters(shape: Shape) -> int:
    widths, time = shape.unet_channels, shape.unet_channels[0] * 4
    total = _linear(widths[0], time) + _linear(time, time)
    total += _convolution(shape.latent_channels, widths[0]) + 2 * widths[0]
    total += _convolution(widths[0], shape.latent_channels)
    total += sum(_transformer_parameters(width, shape.cross_width) for _, width in transformers(shape))
    total += sum(_resnet(inputs, outputs, time) for _, inputs, outputs, _ in resnets(shape))
    total += sum(_convolution(width, width) for _, width, _ in resamplers(shape))
    return total


def _clip_parameters(shape: Shape) -> int:
    width, inner = shape.clip_width, shape.clip_inner
    layer = 4 * _linear(width, width) + _linear(width, inner) + _linear(inner, width) + 4 * width
    return shape.vocabulary * width + shape.positions * width + shape.clip_layers * layer + 2 * width


def _vae_parameters(shape: Shape) -> int:
    widths, latent = shape.vae_channels, shape.latent_channels
    top = widths[-1]
    middle = 2 * _resnet(top, top) + 4 * _linear(top, top) + 2 * top
    encoder = _convolution(3, widths[0]) + 2 * top + _convolution(top, 2 * latent)
    decoder = _convolution(latent, top) + 2 * widths[0] + _convolution(widths[0], 3)
    inputs = widths[0]
    for block, width in enumerate(widths):
        encoder += sum(_resnet(inputs if i == 0 else width, width) for i in range(LAYERS))
        encoder += _convolution(width, width) if block < 3 else 0
        inputs = width
    inputs = top
    for block, width in enumerate(reversed(widths)):
        decoder += sum(_resnet(inputs if i == 0 else width, width) for i in range(LAYERS + 1))
        decoder += _convolution(width, width) if block < 3 else 0
        inputs = width
    quant = _convolution(2 * latent, 2 * latent, 1) + _convolution(latent, latent, 1)
    return encoder + decoder + 2 * middle + quant


def _unet_activations(shape: Shape, width: int, height: int, checkpointing: bool) -> float:
    """Values kept for the backward pass of one image of ``width`` x ``height`` latent cells.

    Counted by kind: a resnet keeps about 8.5 maps of its width, a transformer about 32 (inputs of norms,
    projections, attention, a feed-forward of 8x width with its gate). Measured on the full model at 512 px:
    467 million values. Checkpointing keeps two maps a layer and the inside of the largest block.
    """
    total, largest = 0.0, 0.0
    for block, channels in enumerate(shape.unet_channels):
        area = (width >> block) * (height >> block)
        layers = 2 * LAYERS + 1
        inside = 8.5 * channels * area + (31.9 * channels * area if block < 3 else 0.0)
        total += layers * (channels * area * 2.0 if checkpointing else inside)
        largest = max(largest, inside)
    return total + (largest if checkpointing else 0.0)


def _adapter_inputs(shape: Shape, width: int, height: int) -> int:
    """Values that go into the UNet's adapted layers for one image; text is small beside them and left out."""
    widths = shape.unet_channels
    layers = 2 * LAYERS + 1
    levels = [(layers, widths[b], (width >> b) * (height >> b)) for b in range(3)]
    levels.append((1, widths[3], (width >> 3) * (height >> 3)))
    return sum(count * channels * area * INPUTS_OF_TRANSFORMER for count, channels, area in levels)


def _convolution_inputs(shape: Shape, width: int, height: int) -> int:
    """Values that go into the UNet's adapted convolutions for one image; the base alone would not keep them."""
    layers = [(inputs + outputs, level) for _, inputs, outputs, level in resnets(shape)]
    layers += [(channels, level) for _, channels, level in resamplers(shape)]
    return sum(channels * (width >> level) * (height >> level) for channels, level in layers)


FACTS = Sd15Facts()
