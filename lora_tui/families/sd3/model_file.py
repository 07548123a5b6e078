"""The tensors of an SD3 transformer in Stability's layout, as diffusers has them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from lora_tui.families.sd3.shape import Shape
from lora_tui.families.separate.model_file import pieces
from lora_tui.weights.names.sd3_original import BLOCKS, LAST_MODULATION, ORIGINAL, POSITIONS, TEXT_MODULATION


def original_to_diffusers(name: str, tensor: Tensor, shape: Shape) -> Iterator[tuple[str, Tensor]]:
    """The tensors of diffusers that the original ``tensor`` called ``name`` holds.

    Raises:
        KeyError: an SD3 transformer has no such tensor.
    """
    if name == POSITIONS:
        yield f"{POSITIONS}.{POSITIONS}", tensor
        return
    path, _dot, kind = name.rpartition(".")
    if path in (LAST_MODULATION, f"{BLOCKS}.{shape.blocks - 1}.{TEXT_MODULATION}"):
        shift, scale = tensor.chunk(2)
        tensor = torch.cat([scale, shift])
    yield from pieces(ORIGINAL, path, kind, tensor, shape.width)
