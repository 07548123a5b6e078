"""Reading an SD3 transformer from a single file in Stability's layout, whatever its weights are stored as."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
from diffusers import SD3Transformer2DModel
from torch import Tensor

from lora_tui.families.sd3.shape import Shape
from lora_tui.families.separate import model_file
from lora_tui.weights.names.sd3_original import BLOCKS, LAST_MODULATION, ORIGINAL, POSITIONS, TEXT_MODULATION


def transformer_of_file(path: Path, shape: Shape, dtype: torch.dtype, *, prefix: str = "") -> SD3Transformer2DModel:
    """The transformer in ``path``: see :func:`lora_tui.families.separate.model_file.transformer_of_file`.

    Raises:
        UserError: a tensor is missing, or one is of another shape, or the file is torn.
    """
    convert = partial(original_to_diffusers, shape=shape)
    config = shape.transformer_config()
    found: SD3Transformer2DModel = model_file.transformer_of_file(
        SD3Transformer2DModel, config, convert, path, dtype, prefix=prefix
    )
    return found


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
    for piece in ORIGINAL.layer_of(path):
        stop = None if piece.stop is None else piece.stop * shape.width
        whole = piece.start == 0 and stop is None
        yield f"{piece.path}.{kind}", tensor if whole else tensor[piece.start * shape.width : stop]
