"""The tensors of a FLUX transformer in the original layout, as diffusers has them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from lora_tui.families.separate.model_file import pieces
from lora_tui.weights.names.flux_original import LAST_MODULATION, ORIGINAL, split_name


def original_to_diffusers(name: str, tensor: Tensor, width: int) -> Iterator[tuple[str, Tensor]]:
    """The tensors of diffusers that the original ``tensor`` called ``name`` holds, for hidden states of ``width``.

    Raises:
        KeyError: a FLUX transformer has no such tensor.
    """
    path, kind = split_name(name)
    if path == LAST_MODULATION:
        shift, scale = tensor.chunk(2)
        tensor = torch.cat([scale, shift])
    yield from pieces(ORIGINAL, path, kind, tensor, width)
