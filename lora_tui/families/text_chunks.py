"""Captions longer than CLIP's 75 tokens: split into chunks for encoding, joined afterwards.

The rule is sd-scripts': each chunk gets its own start and end token and is encoded by itself; of the joined
states the first start and the last end are kept.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

CHUNK = 75


def chunk_ids(rows: Sequence[Sequence[int]], chunks: int, *, start: int, end: int, pad: int) -> Tensor:
    """Token ids as [batch, chunks, 77]; rows longer than ``chunks`` x 75 tokens are cut."""
    result = torch.full((len(rows), chunks, CHUNK + 2), pad, dtype=torch.long)
    for row, ids in enumerate(rows):
        for chunk in range(chunks):
            part = list(ids[chunk * CHUNK : (chunk + 1) * CHUNK])
            line = [start, *part, end]
            result[row, chunk, : len(line)] = torch.tensor(line, dtype=torch.long)
    return result


def join_chunks(states: Tensor) -> Tensor:
    """[batch, chunks, 77, width] joined to [batch, chunks * 75 + 2, width]."""
    inner = states[:, :, 1:-1].flatten(1, 2)
    return torch.cat([states[:, 0, :1], inner, states[:, -1, -1:]], dim=1)


def chunk_weights(rows: Sequence[Sequence[float]], chunks: int) -> Tensor:
    """What each position of :func:`chunk_ids` weighs, [batch, chunks, 77] float32: starts, ends and padding 1."""
    result = torch.ones((len(rows), chunks, CHUNK + 2))
    for row, weights in enumerate(rows):
        for chunk in range(chunks):
            part = weights[chunk * CHUNK : (chunk + 1) * CHUNK]
            result[row, chunk, 1 : 1 + len(part)] = torch.tensor(part)
    return result


def weighed(states: Tensor, weights: Tensor) -> Tensor:
    """``states`` ([batch, positions, width], joined) times what their positions weigh, with the mean they had before.

    ``weights`` is what :func:`chunk_weights` gave. The rule is that of sd-scripts and of A1111's web interface: the
    mean over a caption's whole states is brought back to what it was, so that a weight moves tags against each
    other and does not strengthen all of them.
    """
    factors = join_chunks(weights[..., None]).to(states)
    before = states.float().mean(dim=(1, 2), keepdim=True)
    heavier = states * factors
    after = heavier.float().mean(dim=(1, 2), keepdim=True)
    scale = torch.where((factors == 1).all(dim=1, keepdim=True) | (after == 0), torch.ones_like(after), before / after)
    return heavier * scale.to(states.dtype)
