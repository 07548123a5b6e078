"""FLUX.1's LoRA files in kohya's layout, whose layers are those of the original repository: several of ours in one.

Each of ours takes the whole down matrix and its own rows of the up matrix, which is exact.
"""

from __future__ import annotations

import re

from torch import Tensor

from lora_tui.weights.names.flux_original import block_layers, layer_of

FEED = 4
"""Width of the feed-forward layers, in hidden widths."""
#: A layer as its two matrices ([rank, inputs], [outputs, rank]) and its alpha.
Matrices = tuple[Tensor, Tensor, float]
_KOHYA = re.compile(r"lora_unet_((?:double|single)_blocks)_(\d+)_(.+)")
_DOTTED = re.compile(r"(?:model\.)?(?:diffusion_model\.|transformer\.)?((?:double|single)_blocks\.\d+\..+)")


def original_path(name: str) -> str | None:
    """The original layer that a file calls ``name``, in kohya's way or with dots; none for any other name."""
    if found := _KOHYA.fullmatch(name):
        kind, number, flat = found.groups()
        inner = next((layer for layer in block_layers(kind) if layer.replace(".", "_") == flat), None)
        return f"{kind}.{number}.{inner}" if inner else None
    found = _DOTTED.fullmatch(name)
    return found[1] if found else None


def split(name: str, layer: Matrices) -> dict[str, Matrices]:
    """The layers of diffusers in the original layer that a file calls ``name``, by path below the transformer.

    Empty where it is no such layer, or its matrices have other sizes.
    """
    path = original_path(name)
    try:
        pieces = layer_of(path) if path else ()
    except KeyError:
        return {}
    down, up, alpha = layer
    if len(pieces) == 1:
        return {pieces[0].path: layer}
    width = down.shape[1]
    whole = width * (len(pieces) if len(pieces) == 3 else 3 + FEED)
    if up.shape[0] != whole:
        return {}
    rows = {piece.path: (piece.start * width, None if piece.stop is None else piece.stop * width) for piece in pieces}
    return {path: (down, up[start:stop], alpha) for path, (start, stop) in rows.items()}
