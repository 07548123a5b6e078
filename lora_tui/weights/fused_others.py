"""Layers of LyCORIS' kinds in kohya's layout of transformers, apart: each layer of diffusers takes its own rows.

LoHa, GLoRA and full differences have factors with a row for each output; of LoKr's product the rows are taken when it
is computed, because its factors have none. What (IA)^3, OFT and BOFT do to several layers in one is not taken apart.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from lora_tui.weights.fused import split
from lora_tui.weights.kinds import ROWS, SIZES

#: kind -> the tensors with a row for each output
_BY_ROWS = {"loha": ("hada_w1_a", "hada_w2_a"), "glora": ("b1.weight",), "full": ("diff", "diff_b"), "lokr": ()}


def apart(stem: str, kind: str, tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """The tensors of diffusers' layers in the original layer that a file calls ``stem``, by path below the transformer.

    Empty where it is no such layer, or of a kind that is not taken apart.

    Raises:
        ValueError: it has sizes of columns (DoRA), which belong to all of them together.
    """
    sides = _sides(kind, tensors)
    if sides is None:
        return {}
    outputs, inputs = sides
    numbers = torch.arange(outputs, dtype=torch.float64).unsqueeze(1)
    pieces = split(stem, (torch.zeros(1, inputs, dtype=torch.float64), numbers, 1.0))
    if len(pieces) > 1 and SIZES in tensors and tensors[SIZES].shape[0] == 1:
        raise ValueError(stem)
    return {path: _own(kind, tensors, up.flatten().long(), outputs) for path, (_down, up, _alpha) in pieces.items()}


def _own(kind: str, tensors: Mapping[str, Tensor], rows: Tensor, outputs: int) -> dict[str, Tensor]:
    own = {name: tensor[rows] if name in _BY_ROWS[kind] else tensor for name, tensor in tensors.items()}
    if SIZES in own and own[SIZES].shape[0] != 1:
        own[SIZES] = own[SIZES][rows]
    whole = torch.equal(rows, torch.arange(outputs))
    return own | ({ROWS: rows} if kind == "lokr" and not whole else {})


def _sides(kind: str, tensors: Mapping[str, Tensor]) -> tuple[int, int] | None:
    """Outputs and inputs of a linear layer; none for other layers and kinds."""
    if kind not in _BY_ROWS or any(tensor.dim() > 2 for tensor in tensors.values()):
        return None
    if kind == "loha":
        return int(tensors["hada_w1_a"].shape[0]), int(tensors["hada_w1_b"].shape[1])
    if kind == "glora":
        return int(tensors["b1.weight"].shape[0]), int(tensors["a1.weight"].shape[0])
    if kind == "full":
        return int(tensors["diff"].shape[0]), int(tensors["diff"][0].numel())
    sides = [1, 1]
    for name in ("lokr_w1", "lokr_w2"):
        sides[0] *= (tensors[name] if name in tensors else tensors[f"{name}_a"]).shape[0]
        sides[1] *= (tensors[name] if name in tensors else tensors[f"{name}_b"]).shape[1]
    return sides[0], sides[1]
