"""The layers that adapters attach to, with their widths; and the blocks they stand in. Knows no torch.

The choice is that of sd-scripts: everything linear in the transformers and their projections (192 layers of the
published UNet of SD1.x, 722 of SDXL's); for LoCon also what the blocks of convolutions hold; attention and feed-forward
of the text encoders.
"""

from __future__ import annotations

from collections.abc import Iterator

from lora_tui.families.protocol import TargetModule
from lora_tui.families.unet.shape import LAYERS, Shape, TextShape


def transformers(shape: Shape) -> list[tuple[str, int, int, int]]:
    """Name, width, depth and level of the UNet's transformers, in the order of the forward pass.

    Level 0 has as many cells as the latents, each next one half as many a side.
    """
    widths, depths, last = shape.unet_channels, shape.depths, len(shape.depths) - 1
    levels = [level for level in range(last + 1) if depths[level]]
    found = [
        (f"down_blocks.{b}.attentions.{i}", widths[b], depths[b], b) for b in levels for i in range(LAYERS)
    ]  # fmt: skip
    found.append(("mid_block.attentions.0", widths[last], shape.middle, last))
    found += [
        (f"up_blocks.{last - b}.attentions.{i}", widths[b], depths[b], b)
        for b in reversed(levels)
        for i in range(LAYERS + 1)
    ]
    return found


def resnets(shape: Shape) -> Iterator[tuple[str, int, int, int]]:
    """Each of the UNet's resnets, in the order of the forward pass: name, channels in and out, level."""
    widths, last = shape.unet_channels, len(shape.unet_channels) - 1
    skips, inputs = [widths[0]], widths[0]
    for block, width in enumerate(widths):
        for layer in range(LAYERS):
            yield f"down_blocks.{block}.resnets.{layer}", inputs, width, block
            inputs = width
            skips.append(width)
        if block < last:
            skips.append(width)
    for layer in range(2):
        yield f"mid_block.resnets.{layer}", inputs, inputs, last
    for block, width in enumerate(reversed(widths)):
        for layer in range(LAYERS + 1):
            yield f"up_blocks.{block}.resnets.{layer}", inputs + skips.pop(), width, last - block
            inputs = width


def resamplers(shape: Shape) -> Iterator[tuple[str, int, int]]:
    """Name, width and level of the convolution in each of the UNet's down- and upsamplers."""
    widths, last = shape.unet_channels, len(shape.unet_channels) - 1
    for block in range(last):
        yield f"down_blocks.{block}.downsamplers.0.conv", widths[block], block
    for block in range(last):
        yield f"up_blocks.{block}.upsamplers.0.conv", widths[last - block], last - block - 1


def transformer_targets(shape: Shape) -> list[TargetModule]:
    """What LoRA attaches to in the UNet."""
    found = []
    for path, width, depth, _level in transformers(shape):
        found.append(TargetModule("unet", f"{path}.proj_in", width, width, convolution=not shape.linear))
        for number in range(depth):
            found += _block_targets(f"{path}.transformer_blocks.{number}", width, shape.cross_width)
        found.append(TargetModule("unet", f"{path}.proj_out", width, width, convolution=not shape.linear))
    return found


def _block_targets(block: str, width: int, cross: int) -> Iterator[TargetModule]:
    for attention, context in (("attn1", width), ("attn2", cross)):
        yield TargetModule("unet", f"{block}.{attention}.to_q", width, width)
        yield TargetModule("unet", f"{block}.{attention}.to_k", context, width)
        yield TargetModule("unet", f"{block}.{attention}.to_v", context, width)
        yield TargetModule("unet", f"{block}.{attention}.to_out.0", width, width)
    yield TargetModule("unet", f"{block}.ff.net.0.proj", width, width * 8)
    yield TargetModule("unet", f"{block}.ff.net.2", width * 4, width)


def convolution_targets(shape: Shape) -> list[TargetModule]:
    """What LoCon attaches to besides: resnets (their time projection and shortcut, too), down- and upsamplers."""
    time = shape.unet_channels[0] * 4
    found = []
    for path, inputs, outputs, _level in resnets(shape):
        found.append(TargetModule("unet", f"{path}.conv1", inputs, outputs, convolution=True, kernel=3))
        found.append(TargetModule("unet", f"{path}.time_emb_proj", time, outputs))
        found.append(TargetModule("unet", f"{path}.conv2", outputs, outputs, convolution=True, kernel=3))
        if inputs != outputs:
            found.append(TargetModule("unet", f"{path}.conv_shortcut", inputs, outputs, convolution=True))
    for path, width, _level in resamplers(shape):
        found.append(TargetModule("unet", path, width, width, convolution=True, kernel=3))
    return found


def text_targets(part: str, shape: TextShape) -> list[TargetModule]:
    """What both attach to in the text encoder ``part``."""
    width, inner = shape.width, shape.inner
    found = []
    for layer in range(shape.layers):
        path = f"encoder.layers.{layer}"
        found += [
            TargetModule(part, f"{path}.self_attn.{name}", width, width)
            for name in ("q_proj", "k_proj", "v_proj", "out_proj")
        ]
        found.append(TargetModule(part, f"{path}.mlp.fc1", width, inner))
        found.append(TargetModule(part, f"{path}.mlp.fc2", inner, width))
    return found
