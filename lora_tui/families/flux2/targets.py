"""The layers of FLUX.2 that adapters attach to, with their widths. Knows no torch.

The choice is that of musubi-tuner: everything linear in the double and the single blocks, whose modulations stand
outside of them and are left alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from lora_tui.families.flux2.shape import Shape
from lora_tui.families.protocol import TargetModule
from lora_tui.families.separate.targets import block_targets
from lora_tui.weights.names.flux2_original import FEED


def transformer_targets(shape: Shape) -> Iterator[TargetModule]:
    """What LoRA attaches to, in the order of the forward pass."""
    width, feed = shape.width, FEED * shape.width
    square = (width, width)
    double = {
        **{f"attn.{name}": square for name in ("to_q", "to_k", "to_v", "add_q_proj", "add_k_proj", "add_v_proj")},
        "attn.to_out.0": square,
        "attn.to_add_out": square,
        "ff.linear_in": (width, 2 * feed),
        "ff.linear_out": (feed, width),
        "ff_context.linear_in": (width, 2 * feed),
        "ff_context.linear_out": (feed, width),
    }
    single = {"attn.to_qkv_mlp_proj": (width, 3 * width + 2 * feed), "attn.to_out": (width + feed, width)}
    yield from block_targets("transformer_blocks", shape.double, double)
    yield from block_targets("single_transformer_blocks", shape.single, single)
