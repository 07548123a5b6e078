"""The layers of SD1.x that adapters attach to, with their widths; and the blocks they stand in. Knows no torch.

The choice is that of sd-scripts: everything linear in the transformers and their 1x1 projections (192 layers of the
published UNet); for LoCon also what the blocks of convolutions hold (86 more); attention and feed-forward of the text
encoder (72).
"""

from __future__ import annotations

from collections.abc import Iterator

from lora_tui.families.protocol import TargetModule
from lora_tui.families.sd15.shape import LAYERS, Shape


def transformers(shape: Shape) -> list[tuple[str, int]]:
    """Dotted names and widths of the UNet's transformers, in the order of the forward pass."""
    widths = shape.unet_channels
    found = [(f"down_blocks.{b}.attentions.{i}", widths[b]) for b in range(3) for i in range(LAYERS)]
    found.append(("mid_block.attentions.0", widths[3]))
    found += [(f"up_blocks.{b}.attentions.{i}", widths[3 - b]) for b in range(1, 4) for i in range(LAYERS + 1)]
    return found


def resnets(shape: Shape) -> Iterator[tuple[str, int, int, int]]:
    """Each of the UNet's resnets, in the order of the forward pass: name, channels in and out, level.

    Level 0 has as many cells as the latents, each next one half as many a side.
    """
    widths = shape.unet_channels
    skips, inputs = [widths[0]], widths[0]
    for block, width in enumerate(widths):
        for layer in range(LAYERS):
            yield f"down_blocks.{block}.resnets.{layer}", inputs, width, block
            inputs = width
            skips.append(width)
        if block < 3:
            skips.append(width)
    for layer in range(2):
        yield f"mid_block.resnets.{layer}", inputs, inputs, 3
    for block, width in enumerate(reversed(widths)):
        for layer in range(LAYERS + 1):
            yield f"up_blocks.{block}.resnets.{layer}", inputs + skips.pop(), width, 3 - block
            inputs = width


def resamplers(shape: Shape) -> Iterator[tuple[str, int, int]]:
    """Name, width and level of the convolution in each of the UNet's three down- and three upsamplers."""
    widths = shape.unet_channels
    for block in range(3):
        yield f"down_blocks.{block}.downsamplers.0.conv", widths[block], block
    for block in range(3):
        yield f"up_blocks.{block}.upsamplers.0.conv", widths[3 - block], 2 - block


def transformer_targets(shape: Shape) -> list[TargetModule]:
    """What LoRA attaches to in the UNet."""
    found = []
    for path, width in transformers(shape):
        block = f"{path}.transformer_blocks.0"
        found.append(TargetModule("unet", f"{path}.proj_in", width, width, convolution=True))
        for attention, context in (("attn1", width), ("attn2", shape.cross_width)):
            found.append(TargetModule("unet", f"{block}.{attention}.to_q", width, width))
            found.append(TargetModule("unet", f"{block}.{attention}.to_k", context, width))
            found.append(TargetModule("unet", f"{block}.{attention}.to_v", context, width))
            found.append(TargetModule("unet", f"{block}.{attention}.to_out.0", width, width))
        found.append(TargetModule("unet", f"{block}.ff.net.0.proj", width, width * 8))
        found.append(TargetModule("unet", f"{block}.ff.net.2", width * 4, width))
        found.append(TargetModule("unet", f"{path}.proj_out", width, width, convolution=True))
    return found


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


def text_targets(shape: Shape) -> list[TargetModule]:
    """What both attach to in the text encoder."""
    width, inner = shape.clip_width, shape.clip_inner
    found = []
    for layer in range(shape.clip_layers):
        path = f"encoder.layers.{layer}"
        found += [
            TargetModule("text_encoder", f"{path}.self_attn.{name}", width, width)
            for name in ("q_proj", "k_proj", "v_proj", "out_proj")
        ]
        found.append(TargetModule("text_encoder", f"{path}.mlp.fc1", width, inner))
        found.append(TargetModule("text_encoder", f"{path}.mlp.fc2", inner, width))
    return found
