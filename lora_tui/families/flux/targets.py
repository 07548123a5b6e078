"""The layers of FLUX.1 that adapters attach to, with their widths. Knows no torch.

The choice is that of sd-scripts: everything linear in the double and the single blocks, modulations too; attention and
feed-forward of CLIP.
"""

from __future__ import annotations

from collections.abc import Iterator

from lora_tui.families.flux.shape import FEED, Shape
from lora_tui.families.protocol import TargetModule

DENOISER, CLIP = "transformer", "text_encoder"


def transformer_targets(shape: Shape) -> Iterator[TargetModule]:
    """What LoRA attaches to in the transformer, in the order of the forward pass."""
    width, feed = shape.width, FEED * shape.width
    for number in range(shape.double):
        layers = {
            "norm1.linear": (width, 6 * width),
            "norm1_context.linear": (width, 6 * width),
            **{f"attn.{name}": (width, width) for name in ("to_q", "to_k", "to_v")},
            **{f"attn.{name}": (width, width) for name in ("add_q_proj", "add_k_proj", "add_v_proj")},
            "attn.to_out.0": (width, width),
            "attn.to_add_out": (width, width),
            "ff.net.0.proj": (width, feed),
            "ff.net.2": (feed, width),
            "ff_context.net.0.proj": (width, feed),
            "ff_context.net.2": (feed, width),
        }
        yield from _targets(f"transformer_blocks.{number}", layers)
    for number in range(shape.single):
        layers = {
            "norm.linear": (width, 3 * width),
            **{f"attn.{name}": (width, width) for name in ("to_q", "to_k", "to_v")},
            "proj_mlp": (width, feed),
            "proj_out": (width + feed, width),
        }
        yield from _targets(f"single_transformer_blocks.{number}", layers)


def _targets(block: str, layers: dict[str, tuple[int, int]]) -> Iterator[TargetModule]:
    for path, (inputs, outputs) in layers.items():
        yield TargetModule(DENOISER, f"{block}.{path}", inputs, outputs)
