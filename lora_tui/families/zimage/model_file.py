"""The tensors of a Z-Image transformer in ComfyUI's layout, as diffusers has them."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from lora_tui.families.separate.model_file import pieces
from lora_tui.weights.names.zimage_original import ORIGINAL, OUTER, TOKENS


def original_to_diffusers(name: str, tensor: Tensor, width: int) -> Iterator[tuple[str, Tensor]]:
    """The tensors of diffusers that the ``tensor`` called ``name`` holds, for hidden states of ``width``.

    Raises:
        KeyError: a Z-Image transformer has no such tensor.
    """
    path, _dot, kind = name.rpartition(".")
    if name in TOKENS:
        yield name, tensor
    elif path in OUTER:
        yield f"{OUTER[path]}.{kind}", tensor
    else:
        yield from pieces(ORIGINAL, path, kind, tensor, width)
