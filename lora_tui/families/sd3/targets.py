"""The layers of SD3 and SD3.5 that adapters attach to, with their widths. Knows no torch.

The choice is that of sd-scripts: everything linear in the joint blocks, modulations too; attention and feed-forward of
the two CLIP encoders. In the last block, which gives no text any more, the text's queries decide nothing, and programs
disagree about the order of rows in its modulation: both are left alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from lora_tui.families.protocol import TargetModule
from lora_tui.families.sd3.shape import FEED, Shape
from lora_tui.families.separate.targets import DENOISER

CLIP_L, CLIP_G = "text_encoder", "text_encoder_2"


def transformer_targets(shape: Shape) -> Iterator[TargetModule]:
    """What LoRA attaches to in the transformer, in the order of the forward pass."""
    for number in range(shape.blocks):
        for path, (inputs, outputs) in block_layers(shape, number).items():
            yield TargetModule(DENOISER, f"transformer_blocks.{number}.{path}", inputs, outputs)


def block_layers(shape: Shape, number: int) -> dict[str, tuple[int, int]]:
    """The layers of one block that adapters attach to, with the widths of what goes in and out."""
    width, feed = shape.width, FEED * shape.width
    last, dual = number == shape.blocks - 1, number < shape.dual
    square = (width, width)
    layers = {
        "norm1.linear": (width, (9 if dual else 6) * width),
        **({} if last else {"norm1_context.linear": (width, 6 * width)}),
        **{f"attn.{name}": square for name in ("to_q", "to_k", "to_v")},
        **({} if last else {"attn.add_q_proj": square}),
        **{f"attn.{name}": square for name in ("add_k_proj", "add_v_proj")},
        "attn.to_out.0": square,
        **({} if last else {"attn.to_add_out": square}),
    }
    if dual:
        layers |= {f"attn2.{name}": square for name in ("to_q", "to_k", "to_v", "to_out.0")}
    layers |= {"ff.net.0.proj": (width, feed), "ff.net.2": (feed, width)}
    if not last:
        layers |= {"ff_context.net.0.proj": (width, feed), "ff_context.net.2": (feed, width)}
    return layers
