"""One pass forward and back through a network whose packed layers multiply in full precision, or in 8 bits."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lora_tui.families.quantized import multiply_in_eight_bits


def passed(network: nn.Module, given: Tensor, told: Tensor, *, in_eight_bits: bool) -> tuple[Tensor, Tensor]:
    """What ``network`` makes of ``given``, and the gradient there where that of what comes out is ``told``."""
    multiply_in_eight_bits(network, in_eight_bits)
    own = given.clone().requires_grad_()
    out = network(own)
    out.backward(told)
    assert own.grad is not None
    return out.detach(), own.grad


def apart(one: Tensor, other: Tensor) -> float:
    """How far ``other`` is from ``one``, as a share of it."""
    difference, size = (torch.linalg.vector_norm(each.float()) for each in (one - other, one))
    return float(difference / size)
