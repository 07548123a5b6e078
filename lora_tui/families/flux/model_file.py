"""Reading a FLUX transformer from a single file in the original layout, whatever its weights are stored as."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
from diffusers import FluxTransformer2DModel
from torch import Tensor

from lora_tui.families.flux.shape import Shape
from lora_tui.families.separate import model_file
from lora_tui.weights.names.flux_original import LAST_MODULATION, layer_of, split_name


def transformer_of_file(path: Path, shape: Shape, dtype: torch.dtype, *, prefix: str = "") -> FluxTransformer2DModel:
    """The transformer in ``path``: see :func:`lora_tui.families.separate.model_file.transformer_of_file`.

    Raises:
        UserError: a tensor is missing, or one is of another shape, or the file is torn.
    """
    convert = partial(original_to_diffusers, width=shape.width)
    config = shape.transformer_config()
    found: FluxTransformer2DModel = model_file.transformer_of_file(
        FluxTransformer2DModel, config, convert, path, dtype, prefix=prefix
    )
    return found


def original_to_diffusers(name: str, tensor: Tensor, width: int) -> Iterator[tuple[str, Tensor]]:
    """The tensors of diffusers that the original ``tensor`` called ``name`` holds, for hidden states of ``width``.

    Raises:
        KeyError: a FLUX transformer has no such tensor.
    """
    path, kind = split_name(name)
    if path == LAST_MODULATION:
        shift, scale = tensor.chunk(2)
        tensor = torch.cat([scale, shift])
    for piece in layer_of(path):
        stop = None if piece.stop is None else piece.stop * width
        whole = piece.start == 0 and stop is None
        yield f"{piece.path}.{kind}", tensor if whole else tensor[piece.start * width : stop]
