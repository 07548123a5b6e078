"""How many parameters the parts have, and what one training step keeps for its backward pass. Knows no torch."""

from __future__ import annotations

from lora_tui.families.separate.tensors import clip_tensors, parameters
from lora_tui.families.unet.shape import LAYERS, Shape, TextShape
from lora_tui.families.unet.targets import resamplers, resnets, transformers
from lora_tui.families.unet.tensors import own_vae_tensors, unet_tensors

#: Widths of input to all adapted layers of one transformer block (q k v, out, q, out, gate, 4 x for the feed-forward's
#: second layer) and of the two projections around the blocks.
INPUTS_OF_BLOCK, INPUTS_OF_PROJECTIONS = 11, 2
ADAPTER_BYTES = 4  # the adapter works in float32
#: Bytes that autograd keeps for each input value of an adapted layer besides the base model's own, measured
#: with half precision: most inputs are also kept as float32 copies, but for those of linear layers whose adapter is two
#: matrices alone.
KEPT_INPUT_BYTES = 3.0
#: Maps that a layer of a text encoder keeps for its backward pass, and its float32 copies in half precision.
CLIP_MAPS, CLIP_COPIES = 20.0, 6.2
#: Maps of its width that a resnet keeps, a transformer around its blocks, and each of its blocks.
RESNET_MAPS, FRAME_MAPS, BLOCK_MAPS = 8.5, 4.0, 27.9
#: Maps of gradients on their way through a transformer's block, its feed-forward's of 8 x the width among them.
BACKWARD_MAPS = 12.0


def unet_parameters(shape: Shape) -> int:
    return parameters(unet_tensors(shape))


def text_parameters(shape: TextShape) -> int:
    return parameters(clip_tensors(shape))


def vae_parameters(shape: Shape) -> int:
    return parameters(own_vae_tensors(shape))


def unet_activations(shape: Shape, width: int, height: int, checkpointing: bool) -> float:
    """Values kept for the backward pass of one image of ``width`` x ``height`` latent cells.

    Counted by kind: a resnet keeps about 8.5 maps of its width, a transformer 4 and each of its blocks about 28
    (inputs of norms, projections, attention, a feed-forward of 8x width with its gate). Counted by autograd's own
    saved tensors on the full models: SD1.5 at 512 px 463 million values, SD2 at 768 px 1.04 billion, SDXL at 1024 px
    3.37 billion. Checkpointing keeps what goes into each resnet (on the way up with what skipped the levels below)
    and into each block, the inside of the largest pair of them, and the gradients on their way through it.
    """
    last = len(shape.unet_channels) - 1

    def cells(channels: int, level: int) -> int:
        return channels * (width >> level) * (height >> level)

    if checkpointing:
        kept = sum(cells(inputs, level) for _, inputs, _outputs, level in resnets(shape))
        kept += sum(cells(channels, level) * depth for _, channels, depth, level in transformers(shape))
        levels = zip(shape.unet_channels, shape.depths, strict=True)
        largest = (
            cells(one, level) * _inside(min(depth, 1), BACKWARD_MAPS) for level, (one, depth) in enumerate(levels)
        )
        return kept + max(largest)
    layers, total = 2 * LAYERS + 1, 0.0
    for level, channels in enumerate(shape.unet_channels):
        total += layers * cells(channels, level) * _inside(shape.depths[level])
    return total + cells(shape.unet_channels[last], last) * (RESNET_MAPS + _inside(shape.middle))


def _inside(depth: int, more: float = 0.0) -> float:
    """Maps that a resnet and the transformer of so many blocks behind it keep; ``more`` in the transformer."""
    return RESNET_MAPS + (FRAME_MAPS + BLOCK_MAPS * depth + more if depth else 0.0)


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
    shape: Shape,
    cells: tuple[int, int],
    bytes_per_value: int,
    *,
    checkpointing: bool,
    convolutions: bool,
    lean: bool = False,
) -> float:
    """Bytes that the UNet keeps for one image of ``cells`` (width, height of its latents)."""
    kept = unet_activations(shape, *cells, checkpointing) * bytes_per_value
    if bytes_per_value < ADAPTER_BYTES and not checkpointing and not lean:
        kept += KEPT_INPUT_BYTES * adapter_inputs(shape, *cells)
    if convolutions and not checkpointing:
        kept += (bytes_per_value + KEPT_INPUT_BYTES) * convolution_inputs(shape, *cells)
    return kept
