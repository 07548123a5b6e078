"""The tensors of a Chroma transformer in its makers' layout, as diffusers has them."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from lora_tui.families.separate.model_file import pieces
from lora_tui.weights.names.chroma_original import APPROXIMATOR, ORIGINAL, approximator_path
from lora_tui.weights.names.flux_original import split_name


def original_to_diffusers(name: str, tensor: Tensor, width: int) -> Iterator[tuple[str, Tensor]]:
    """The tensors of diffusers that the original ``tensor`` called ``name`` holds, for hidden states of ``width``.

    Raises:
        KeyError: a Chroma transformer has no such tensor.
    """
    path, kind = split_name(name)
    if path.startswith(f"{APPROXIMATOR}."):
        yield f"{approximator_path(path)}.{kind}", tensor
    else:
        yield from pieces(ORIGINAL, path, kind, tensor, width)
