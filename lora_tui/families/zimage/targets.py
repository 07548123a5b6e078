"""The layers of Z-Image that adapters attach to, with their widths. Knows no torch.

The choice is that of musubi-tuner and OneTrainer: attention and feed-forward of the blocks in which image and text
meet. What refines each of them before, and the modulations, stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator

from lora_tui.families.protocol import TargetModule
from lora_tui.families.separate.targets import block_targets
from lora_tui.families.zimage.shape import Shape


def transformer_targets(shape: Shape) -> Iterator[TargetModule]:
    """What LoRA attaches to in the transformer, in the order of the forward pass."""
    yield from block_targets("layers", shape.blocks, block_layers(shape))


def block_layers(shape: Shape) -> dict[str, tuple[int, int]]:
    """The layers of one block that adapters attach to, with the widths of what goes in and out."""
    square = (shape.width, shape.width)
    return {
        **{f"attention.{name}": square for name in ("to_q", "to_k", "to_v", "to_out.0")},
        "feed_forward.w1": (shape.width, shape.feed),
        "feed_forward.w2": (shape.feed, shape.width),
        "feed_forward.w3": (shape.width, shape.feed),
    }
