"""How many parameters the parts have, and what one training step keeps for its backward pass. Knows no torch."""

from __future__ import annotations

from lora_tui.families.unet.shape import LAYERS, Shape, TextShape
from lora_tui.families.unet.targets import resamplers, resnets, transformers

#: Widths of input to all adapted layers of one transformer block (q k v, out, q, out, gate, 4 x for the feed-forward's
#: second layer) and of the two projections around the blocks.
INPUTS_OF_BLOCK, INPUTS_OF_PROJECTIONS = 11, 2
ADAPTER_BYTES = 4  # the adapter works in float32
#: Bytes that autograd keeps for each input value of an adapted layer besides the base model's own, measured
#: with half precision: most inputs are also kept as float32 copies.
KEPT_INPUT_BYTES = 3.0
#: Maps that a layer of a text encoder keeps for its backward pass, and its float32 copies in half precision.
CLIP_MAPS, CLIP_COPIES = 20.0, 6.2
#: Maps of its width that a resnet keeps, a transformer around its blocks, and each of its blocks.
RESNET_MAPS, FRAME_MAPS, BLOCK_MAPS = 8.5, 4.0, 27.9


def unet_parameters(shape: Shape) -> int:
    widths, time = shape.unet_channels, shape.unet_channels[0] * 4
    total = _linear(widths[0], time) + _linear(time, time)
    total += _linear(shape.told_width, time) + _linear(time, time) if shape.told_width else 0
    total += _convolution(shape.latent_channels, widths[0]) + 2 * widths[0]
    total += _convolution(widths[0], shape.latent_channels)
    for _, width, depth, _ in transformers(shape):
        total += depth * _block_parameters(width, shape.cross_width) + 2 * width + 2 * _convolution(width, width, 1)
    total += sum(_resnet(inputs, outputs, time) for _, inputs, outputs, _ in resnets(shape))
    total += sum(_convolution(width, width) for _, width, _ in resamplers(shape))
    return total


def text_parameters(shape: TextShape) -> int:
    width, inner = shape.width, shape.inner
    layer = 4 * _linear(width, width) + _linear(width, inner) + _linear(inner, width) + 4 * width
    whole = shape.vocabulary * width + shape.positions * width + shape.layers * layer + 2 * width
    return whole + _linear(width, shape.projection, False)


def vae_parameters(shape: Shape) -> int:
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


def _convolution(inputs: int, outputs: int, kernel: int = 3) -> int:
    return inputs * outputs * kernel * kernel + outputs


def _linear(inputs: int, outputs: int, bias: bool = True) -> int:
    return inputs * outputs + (outputs if bias else 0)


def _resnet(inputs: int, outputs: int, time: int = 0) -> int:
    total = 2 * inputs + _convolution(inputs, outputs) + 2 * outputs + _convolution(outputs, outputs)
    total += _linear(time, outputs) if time else 0
    return total + (_convolution(inputs, outputs, 1) if inputs != outputs else 0)


def _block_parameters(width: int, cross: int) -> int:
    attention = 2 * _linear(width, width, False) + 2 * _linear(width, width)  # q of both, out of both
    attention += 2 * _linear(width, width, False) + 2 * _linear(cross, width, False)  # k and v of both
    feed = _linear(width, width * 8) + _linear(width * 4, width)
    return attention + feed + 3 * 2 * width


def unet_activations(shape: Shape, width: int, height: int, checkpointing: bool) -> float:
    """Values kept for the backward pass of one image of ``width`` x ``height`` latent cells.

    Counted by kind: a resnet keeps about 8.5 maps of its width, a transformer 4 and each of its blocks about 28
    (inputs of norms, projections, attention, a feed-forward of 8x width with its gate). Counted by autograd's own
    saved tensors on the full models: SD1.5 at 512 px 463 million values, SD2 at 768 px 1.04 billion, SDXL at 1024 px
    3.37 billion. Checkpointing keeps what goes into each resnet and block, and the inside of the
    largest pair of them.
    """
    total, largest = 0.0, 0.0
    for level, channels in enumerate(shape.unet_channels):
        area = (width >> level) * (height >> level)
        layers = 2 * LAYERS + 1
        depth = shape.depths[level]
        cells = channels * area
        total += layers * (cells * _kept(depth) if checkpointing else cells * _inside(depth))
        largest = max(largest, cells * _inside(min(depth, 1)))
    last = len(shape.unet_channels) - 1
    cells = shape.unet_channels[last] * (width >> last) * (height >> last)
    total += cells * (1 + _kept(shape.middle) if checkpointing else RESNET_MAPS + _inside(shape.middle))
    return total + (largest if checkpointing else 0.0)


def _inside(depth: int) -> float:
    """Maps that a resnet and the transformer of so many blocks behind it keep."""
    return RESNET_MAPS + (FRAME_MAPS + BLOCK_MAPS * depth if depth else 0.0)


def _kept(depth: int) -> float:
    """The same where they are computed again: what goes into the resnet and into each block."""
    return 1.0 + max(depth, 1)


def adapter_inputs(shape: Shape, width: int, height: int) -> int:
    """Values that go into the UNet's adapted layers for one image; text is small beside them and left out."""
    return sum(
        channels * (width >> level) * (height >> level) * (INPUTS_OF_BLOCK * depth + INPUTS_OF_PROJECTIONS)
        for _, channels, depth, level in transformers(shape)
    )


def convolution_inputs(shape: Shape, width: int, height: int) -> int:
    """Values that go into the UNet's adapted convolutions for one image; the base alone would not keep them."""
    layers = [(inputs + outputs, level) for _, inputs, outputs, level in resnets(shape)]
    layers += [(channels, level) for _, channels, level in resamplers(shape)]
    return sum(channels * (width >> level) * (height >> level) for channels, level in layers)


def text_activation_bytes(shape: TextShape, bytes_per_value: int) -> float:
    """Bytes that a trained text encoder keeps for one caption of one chunk."""
    copies = CLIP_COPIES * ADAPTER_BYTES if bytes_per_value < ADAPTER_BYTES else 0
    return shape.layers * shape.positions * shape.width * (CLIP_MAPS * bytes_per_value + copies)


def step_bytes(
    shape: Shape, cells: tuple[int, int], bytes_per_value: int, *, checkpointing: bool, convolutions: bool
) -> float:
    """Bytes that the UNet keeps for one image of ``cells`` (width, height of its latents)."""
    kept = unet_activations(shape, *cells, checkpointing) * bytes_per_value
    if bytes_per_value < ADAPTER_BYTES and not checkpointing:
        kept += KEPT_INPUT_BYTES * adapter_inputs(shape, *cells)
    if convolutions and not checkpointing:
        kept += (bytes_per_value + KEPT_INPUT_BYTES) * convolution_inputs(shape, *cells)
    return kept
