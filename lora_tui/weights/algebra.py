"""What the kinds of adapters do to a weight, as functions of the tensors in their files.

Names and shapes are those of LyCORIS (Yeh et al. 2024, "Navigating Text-to-Image Customization: From LyCORIS
Fine-Tuning to Model Evaluation"), which ComfyUI, A1111 and Forge read. A weight is [outputs, inputs(, k, k)].
Numbers are float32; gradients flow.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from lora_tui.weights.kinds import ROWS

Tensors = Mapping[str, Tensor]


def lora(tensors: Tensors) -> Tensor:
    """``lora_up`` @ ``lora_down``; with ``lora_mid`` between them (Tucker's form) where a file has it."""
    up, down = tensors["lora_up.weight"].float(), tensors["lora_down.weight"].float()
    if "lora_mid.weight" in tensors:
        middle = tensors["lora_mid.weight"].float()
        return torch.einsum("mn...,im,nj->ij...", middle, up.flatten(1), down.flatten(1))
    return (up.flatten(1) @ down.flatten(1)).view(up.shape[0], *down.shape[1:])


def loha(tensors: Tensors) -> Tensor:
    """The elementwise product of two products of rank r (Hyeon-Woo et al. 2021, "FedPara").

    A convolution's is [outputs, inputs * k * k] unless it has Tucker's form: then ``hada_t1`` and ``hada_t2`` are
    [r, r, k, k], and both ``_a`` are [r, outputs].
    """
    halves = []
    for number in ("1", "2"):
        first, second = tensors[f"hada_w{number}_a"].float(), tensors[f"hada_w{number}_b"].float()
        core = tensors.get(f"hada_t{number}")
        halves.append(
            first @ second if core is None else torch.einsum("ij...,jr,ip->pr...", core.float(), second, first)
        )
    return halves[0] * halves[1]


def lokr(tensors: Tensors) -> Tensor:
    """The Kronecker product of ``lokr_w1`` and ``lokr_w2``, each whole or a product of two (``_a``, ``_b``)."""
    first = tensors["lokr_w1"].float() if "lokr_w1" in tensors else _product(tensors, "lokr_w1")
    if "lokr_w2" in tensors:
        second = tensors["lokr_w2"].float()
    elif "lokr_t2" in tensors:
        core = tensors["lokr_t2"].float()
        outer, inner = tensors["lokr_w2_a"].float(), tensors["lokr_w2_b"].float()
        second = torch.einsum("ij...,jr,ip->pr...", core, inner, outer)
    else:
        second = _product(tensors, "lokr_w2")
    while first.dim() < second.dim():
        first = first.unsqueeze(-1)
    return torch.kron(first.contiguous(), second.contiguous())


def update(kind: str, tensors: Tensors) -> Tensor:
    """What is added to a weight by LoHa, LoKr or a full difference, before alpha; its shape may be flat."""
    if kind == "loha":
        return loha(tensors)
    if kind == "full":
        return tensors["diff"].float()
    found = lokr(tensors)
    return found[tensors[ROWS]] if ROWS in tensors else found


def _product(tensors: Tensors, name: str) -> Tensor:
    return tensors[f"{name}_a"].float() @ tensors[f"{name}_b"].float()


def norms(weight: Tensor, *, columns: bool) -> Tensor:
    """The sizes of a weight's columns, [1, inputs(, 1, 1)], or of its rows, [outputs, 1(, 1, 1)].

    Never 0: the smallest step of float32 is added, as LyCORIS and ComfyUI do.
    """
    ones = [1] * (weight.dim() - 2)
    if columns:
        found = weight.float().transpose(0, 1).flatten(1).norm(dim=1).view(1, -1, *ones)
    else:
        found = weight.float().flatten(1).norm(dim=1).view(-1, 1, *ones)
    return found + torch.finfo(torch.float32).eps


def by_columns(sizes: Tensor) -> bool:
    """Whether a DoRA's sizes are those of columns (ComfyUI, Forge, A1111), not of rows, as peft has them."""
    return int(sizes.shape[0]) == 1


def size_factors(whole: Tensor, sizes: Tensor) -> Tensor:
    """What brings the columns, or rows, of ``whole`` to a DoRA's ``sizes``; the norms count as constants.

    Liu et al. 2024, "DoRA: Weight-Decomposed Low-Rank Adaptation", section 4.3 on what flows through the norms.
    """
    own = norms(whole.detach(), columns=by_columns(sizes))
    return sizes.float().to(own.device).view(own.shape) / own


def rotations(blocks: Tensor, constraint: float = 0.0) -> Tensor:
    """Orthogonal matrices [..., b, b] by Cayley's transform of ``blocks`` (Qiu et al. 2023, "OFT").

    (1 + Q)(1 - Q)^-1 for Q = blocks minus their transpose; where ``constraint`` is above 0, Q is scaled down to that
    norm first, all blocks of a layer together. 1 - Q always has an inverse, so that nothing waits to be told of one
    that has none; what is no number gives what is no number.
    """
    blocks = within(blocks.float(), constraint)
    skew = blocks - blocks.transpose(-1, -2)
    one = torch.eye(skew.shape[-1], device=skew.device)
    found: Tensor = torch.linalg.solve_ex(one - skew, one + skew, left=False).result
    return found


def within(blocks: Tensor, constraint: float) -> Tensor:
    """``blocks`` scaled down so that they minus their transpose have no norm above ``constraint``; 0 is no bound."""
    if constraint <= 0:
        return blocks
    norm = (blocks - blocks.transpose(-1, -2)).norm() + 1e-8
    return torch.where(norm > constraint, blocks * (constraint / norm), blocks)


def rotate(values: Tensor, blocks: Tensor) -> Tensor:
    """``values`` [outputs, ...] with each block of outputs turned by its own matrix: OFT.

    Args:
        blocks: [count, b, b], what :func:`rotations` gives; count times b is the number of outputs. As LyCORIS and
            ComfyUI have it, an output is the sum over the matrix's first index.
    """
    count, size, _size = blocks.shape
    parts = values.reshape(count, size, -1)
    return torch.einsum("knm,knr->kmr", blocks, parts).reshape(values.shape)


def butterfly(values: Tensor, blocks: Tensor) -> Tensor:
    """``values`` [outputs, ...] turned block by block in several stages (Liu et al. 2023, "BOFT").

    Stage i mixes outputs that lie 2^i half blocks apart. Here an output is the sum over the matrix's second index.

    Args:
        blocks: [stages, count, b, b].
    """
    shape, half = values.shape, blocks.shape[-1] // 2
    rows = values.reshape(shape[0], -1)
    for stage, own in enumerate(blocks):
        apart = 2**stage * half
        mixed = rows.reshape(-1, 2, apart, rows.shape[1]).transpose(1, 2).reshape(len(own), -1, rows.shape[1])
        turned = torch.einsum("bij,bjr->bir", own, mixed)
        rows = turned.reshape(-1, apart, 2, rows.shape[1]).transpose(1, 2).reshape(shape[0], -1)
    return rows.reshape(shape)
