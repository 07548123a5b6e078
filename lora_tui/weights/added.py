"""What is added to a layer's own matrix when an adapter of LyCORIS' kinds is merged into it.

The same as :mod:`lora_tui.weights.effects` does beside a layer, for the weight instead of for what the layer gives.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lora_tui.weights import algebra
from lora_tui.weights.algebra import Tensors
from lora_tui.weights.kinds import NORM, OFT, SIZES


def added(kind: str, tensors: Tensors, weight: Tensor, scale: float, strength: float) -> Tensor:
    """What ``weight`` ([outputs, inputs(, k, k)], of a norm [width], float32) gets at ``strength``; of its shape.

    Raises:
        RuntimeError: the tensors are for a weight of another shape.
    """
    own = {name: tensor.to(weight.device) for name, tensor in tensors.items()}
    if kind in ("oft", "boft"):
        return _turned(kind, own, weight, strength)
    if kind == "ia3":
        return weight * _factors(own, weight) * strength
    if kind == NORM:
        return own["w_norm"].float().view(weight.shape) * strength
    update = _glora(own, weight) if kind == "glora" else algebra.update(kind, own).reshape(weight.shape)
    update = update * scale
    if SIZES in own:
        whole = weight + update
        update = whole * algebra.size_factors(whole, own[SIZES]) - weight
    return update * strength


def _glora(tensors: Tensors, weight: Tensor) -> Tensor:
    """W A + B (Chavan et al. 2023, "GLoRA")."""
    a1, a2, b1, b2 = (tensors[f"{name}.weight"].float().flatten(1) for name in ("a1", "a2", "b1", "b2"))
    return torch.einsum("oi...,ij->oj...", weight, a1 @ a2) + (b1 @ b2).reshape(weight.shape)


def _factors(tensors: Tensors, weight: Tensor) -> Tensor:
    """Those of (IA)^3, for columns or rows."""
    shape = [1] * weight.dim()
    shape[1 if int(tensors["on_input"]) else 0] = -1
    return tensors["weight"].float().reshape(shape)


def _turned(kind: str, tensors: Tensors, weight: Tensor, strength: float) -> Tensor:
    outputs = weight.shape[0]
    blocks = algebra.rotations(tensors[OFT], float(tensors.get("alpha", torch.zeros(()))) * outputs)
    rescale = tensors.get("rescale")
    factors = 1.0 if rescale is None else rescale.float().reshape(-1, *[1] * (weight.dim() - 1))
    if kind == "boft":
        one = torch.eye(blocks.shape[-1], device=blocks.device)
        return algebra.butterfly(weight, one + strength * (blocks - one)) * factors - weight
    return (algebra.rotate(weight, blocks) * factors - weight) * strength
