"""The layers of Qwen-Image that adapters attach to, with their widths. Knows no torch.

The choice is that of musubi-tuner: attention and feed-forward of image and text; modulations stay as they are. In the
last block, which gives no text any more, the text's queries and what comes behind its attention decide nothing, and are
left alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from lora_tui.families.protocol import TargetModule
from lora_tui.families.qwen.shape import FEED, Shape
from lora_tui.families.separate.targets import DENOISER

BLOCKS = "transformer_blocks"


def transformer_targets(shape: Shape) -> Iterator[TargetModule]:
    """What LoRA attaches to in the transformer, in the order of the forward pass."""
    for number in range(shape.blocks):
        for path, (inputs, outputs) in block_layers(shape, number).items():
            yield TargetModule(DENOISER, f"{BLOCKS}.{number}.{path}", inputs, outputs)


def block_layers(shape: Shape, number: int) -> dict[str, tuple[int, int]]:
    """The layers of one block that adapters attach to, with the widths of what goes in and out."""
    width, feed, last = shape.width, FEED * shape.width, number == shape.blocks - 1
    square = (width, width)
    attention = ("to_q", "to_k", "to_v", *(() if last else ("add_q_proj",)), "add_k_proj", "add_v_proj", "to_out.0")
    layers = {f"attn.{name}": square for name in (*attention, *(() if last else ("to_add_out",)))}
    for stream in ("img_mlp",) if last else ("img_mlp", "txt_mlp"):
        layers |= {f"{stream}.net.0.proj": (width, feed), f"{stream}.net.2": (feed, width)}
    return layers
