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
