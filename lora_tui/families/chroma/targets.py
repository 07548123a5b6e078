"""The layers of Chroma that adapters attach to, with their widths. Knows no torch.

The choice is that of sd-scripts: everything linear in the double and the single blocks. The network that gives the
modulations stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator

from lora_tui.families.chroma.shape import Shape
from lora_tui.families.flux.shape import FEED
from lora_tui.families.protocol import TargetModule
from lora_tui.families.separate.targets import block_targets


def transformer_targets(shape: Shape) -> Iterator[TargetModule]:
    """What LoRA attaches to in the transformer, in the order of the forward pass."""
    width, feed = shape.width, FEED * shape.width
    attention = ("to_q", "to_k", "to_v")
    double = {
        **{f"attn.{name}": (width, width) for name in (*attention, "add_q_proj", "add_k_proj", "add_v_proj")},
        "attn.to_out.0": (width, width),
        "attn.to_add_out": (width, width),
        "ff.net.0.proj": (width, feed),
        "ff.net.2": (feed, width),
        "ff_context.net.0.proj": (width, feed),
        "ff_context.net.2": (feed, width),
    }
    single = {
        **{f"attn.{name}": (width, width) for name in attention},
        "proj_mlp": (width, feed),
        "proj_out": (width + feed, width),
    }
    yield from block_targets("transformer_blocks", shape.double, double)
    yield from block_targets("single_transformer_blocks", shape.single, single)
