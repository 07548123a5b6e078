"""LoRA files of transformers in kohya's layout, whose layers are those of the makers: several of ours in one.

Both ways are exact. To read one apart, each of ours takes its own rows of the up matrix and the ranks that reach them;
to write several as one, their ranks stand one below the other, and each reaches its own rows alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from lora_tui.weights.names.original import Original, Piece
from lora_tui.weights.names.originals import ORIGINALS

FEED = 4
"""Width of the feed-forward layers, in hidden widths."""
#: A layer as its two matrices ([rank, inputs], [outputs, rank]) and its alpha.
Matrices = tuple[Tensor, Tensor, float]


def split(name: str, layer: Matrices) -> dict[str, Matrices]:
    """The layers of diffusers in the original layer that a file calls ``name``, by path below the transformer.

    Empty where it is no such layer, or its matrices have other sizes.
    """
    rows, columns = layer[1].shape[0], layer[0].shape[1]
    for original in ORIGINALS.values():
        path = original.named(name)
        if path is None or not original.fits(path, rows, columns):
            continue
        try:
            pieces = original.layer_of(path)
        except KeyError:
            continue
        return _pieces(layer, pieces, turned=original.is_turned(path, rows, columns))
    return {}


def _pieces(layer: Matrices, pieces: tuple[Piece, ...], *, turned: bool) -> dict[str, Matrices]:
    down, up, alpha = layer
    if len(pieces) == 1:
        return {pieces[0].path: (down, torch.cat(up.chunk(2)[::-1]), alpha) if turned else layer}
    width = down.shape[1]
    whole = width * (len(pieces) if len(pieces) == 3 else 3 + FEED)
    if up.shape[0] != whole:
        return {}
    rows = [up[piece.start * width : None if piece.stop is None else piece.stop * width] for piece in pieces]
    ranks = _own_ranks(rows)
    return {
        piece.path: (down[own], part[:, own], alpha * (own.stop - own.start) / down.shape[0])
        for piece, part, own in zip(pieces, rows, ranks, strict=True)
    }


def _own_ranks(rows: list[Tensor]) -> list[slice]:
    """The ranks that reach each piece: all of them, or its own where the pieces were trained apart.

    Pieces were trained apart where no rank reaches two of them and those of a piece stand together; what reaches none
    (a layer that has learned nothing) is shared out evenly.
    """
    rank = rows[0].shape[1]
    even = rank // len(rows)
    reached = [part.any(dim=0) for part in rows]
    if even * len(rows) == rank:
        shares = [slice(number * even, (number + 1) * even) for number in range(len(rows))]
        if not any(
            mask[: own.start].any() or mask[own.stop :].any() for mask, own in zip(reached, shares, strict=True)
        ):
            return shares
    owners = torch.stack(reached)
    if bool((owners.sum(dim=0) == 1).all()):
        whose = owners.int().argmax(dim=0)
        counts = [int((whose == number).sum()) for number in range(len(rows))]
        if bool((whose[1:] >= whose[:-1]).all()):
            stops = torch.tensor(counts).cumsum(0).tolist()
            nothing = slice(0, 1)  # of a piece that is not there: its rows are empty in every rank
            return [slice(stop - count, stop) if count else nothing for stop, count in zip(stops, counts, strict=True)]
    return [slice(0, rank)] * len(rows)


def fuse(family: str, layers: Mapping[str, Matrices]) -> dict[str, Matrices]:
    """Layers of diffusers' transformer, by path, as the original layers they belong to; what they add is the same.

    The rank of the one is the sum of theirs, and so is its alpha where their scales are equal; other scales than the
    first's are multiplied into the up matrices. A layer that is not there adds nothing in its rows. Layers with one
    down matrix, as those of a file that held them in one, share it again: it is the file's own then, to the bit.

    Raises:
        KeyError: a path is none of the transformer's, or its makers keep each layer by itself.
    """
    original = ORIGINALS[family]
    found: dict[str, dict[int, Matrices]] = {}
    for path, layer in layers.items():
        whole, place = original.original_of(path)
        found.setdefault(whole, {})[place] = layer
    return {path: _one(original, path, pieces) for path, pieces in found.items()}


def _one(original: Original, path: str, pieces: dict[int, Matrices]) -> Matrices:
    count = len(original.layer_of(path))
    if count == 1:
        down, up, alpha = pieces[0]
        turned = original.is_turned(path, up.shape[0], down.shape[1])
        return (down, torch.cat(up.chunk(2)[::-1]), alpha) if turned else (down, up, alpha)
    ordered = sorted(pieces.items())
    if len(pieces) == count and _share(tuple(pieces.values())):
        down, _up, alpha = pieces[0]
        return down, torch.cat([up for _place, (_down, up, _alpha) in ordered]), alpha
    first_down, first_up, first_alpha = ordered[0][1]
    width = first_down.shape[1]
    heights = [width] * 3 + [FEED * width] * (count - 3)
    rank = sum(down.shape[0] for _place, (down, _up, _alpha) in ordered)
    scale = first_alpha / first_down.shape[0]
    whole = first_up.new_zeros(sum(heights), rank)
    at = 0
    for place, (down, up, alpha) in ordered:
        own = alpha / down.shape[0]
        start = sum(heights[:place])
        whole[start : start + heights[place], at : at + down.shape[0]] = up if own == scale else up * (own / scale)
        at += down.shape[0]
    return torch.cat([down for _place, (down, _up, _alpha) in ordered]), whole, first_alpha * rank / first_down.shape[0]


def _share(layers: tuple[Matrices, ...]) -> bool:
    """Whether all have the same down matrix and alpha."""
    down, _up, alpha = layers[0]
    return all(alpha == own and torch.equal(down, other) for other, _other_up, own in layers[1:])
