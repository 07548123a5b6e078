"""The layers of FLUX.1 that adapters attach to, with their widths. Knows no torch.

The choice is that of sd-scripts: everything linear in the double and the single blocks, modulations too; attention and
feed-forward of CLIP.
"""

from __future__ import annotations

from collections.abc import Iterator

from lora_tui.families.flux.shape import FEED, Shape
from lora_tui.families.protocol import TargetModule
from lora_tui.families.separate.targets import block_targets

CLIP = "text_encoder"


def transformer_targets(shape: Shape) -> Iterator[TargetModule]:
    """What LoRA attaches to in the transformer, in the order of the forward pass."""
    width, feed = shape.width, FEED * shape.width
    attention = ("to_q", "to_k", "to_v")
    double = {
        "norm1.linear": (width, 6 * width),
        "norm1_context.linear": (width, 6 * width),
        **{f"attn.{name}": (width, width) for name in (*attention, "add_q_proj", "add_k_proj", "add_v_proj")},
        "attn.to_out.0": (width, width),
        "attn.to_add_out": (width, width),
        "ff.net.0.proj": (width, feed),
        "ff.net.2": (feed, width),
        "ff_context.net.0.proj": (width, feed),
        "ff_context.net.2": (feed, width),
    }
    single = {
        "norm.linear": (width, 3 * width),
        **{f"attn.{name}": (width, width) for name in attention},
        "proj_mlp": (width, feed),
        "proj_out": (width + feed, width),
    }
    yield from block_targets("transformer_blocks", shape.double, double)
    yield from block_targets("single_transformer_blocks", shape.single, single)
