"""Conditioning of captions one by one and in batches: rows of different lengths are filled up and told apart by a mask.

Entries are tensors with the batch first. ``text`` has the positions second; ``text_mask`` ([batch, positions], bool)
says which of them are the caption's own, where not all of them are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

TEXT, MASK = "text", "text_mask"


def rows_of(told: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    """Each caption's own entries without the batch dimension; what only fills its row up is cut off.

    Asks the device how long the rows are, where there is a mask: not for the middle of a step.
    """
    rest = {name: tensor for name, tensor in told.items() if name != MASK}
    count = len(next(iter(rest.values())))
    rows = [{name: tensor[number] for name, tensor in rest.items()} for number in range(count)]
    for row, mask in zip(rows, told.get(MASK, ()), strict=False):
        row[TEXT] = row[TEXT][: int(mask.sum())]
    return rows


def batch_of(rows: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The entries of ``rows`` stacked; where their texts differ in length, filled up with zeros, with a mask."""
    lengths = [len(row[TEXT]) for row in rows if TEXT in row]
    longest = max(lengths, default=0)
    found = {
        name: torch.stack([_filled(row[name], longest) if name == TEXT else row[name] for row in rows])
        for name in rows[0]
    }
    if lengths and min(lengths) < longest:
        found[MASK] = torch.arange(longest)[None, :] < torch.tensor(lengths)[:, None]
    return found


def _filled(text: Tensor, length: int) -> Tensor:
    """[positions, width] with zeros behind it, up to ``length`` positions."""
    if len(text) == length:
        return text
    return torch.cat([text, text.new_zeros(length - len(text), *text.shape[1:])])
