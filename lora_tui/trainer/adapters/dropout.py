"""What is left out of an adapter while it learns, with kohya's meaning: between its two matrices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass
class Dropout:
    """A hook on the first matrix of every layer; it does nothing unless it is ``on``.

    Attributes:
        neurons: share of the numbers that become 0, the others growing to make up for it (``network_dropout``).
        ranks: share of the ranks that become 0 for an image, likewise (``rank_dropout``).
        modules: share of the layers that add nothing (``module_dropout``).
    """

    neurons: float = 0.0
    ranks: float = 0.0
    modules: float = 0.0
    on: bool = False

    @property
    def any(self) -> bool:
        """Whether anything is left out at all."""
        return max(self.neurons, self.ranks, self.modules) > 0

    def __call__(self, module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor | None:
        """``output`` is [batch, ..., rank], of a convolution [batch, rank, h, w]."""
        if not self.on:
            return None
        if self.modules > 0 and float(torch.rand(())) < self.modules:  # drawn on the CPU: nothing is waited for
            return torch.zeros_like(output)
        if self.neurons > 0:
            output = nn.functional.dropout(output, self.neurons)
        if self.ranks > 0:
            axis = 1 if isinstance(module, nn.Conv2d) else output.dim() - 1
            shape = [1] * output.dim()
            shape[0], shape[axis] = output.shape[0], output.shape[axis]
            kept = torch.rand(shape, device=output.device) >= self.ranks
            output = output * kept / (1.0 - self.ranks)
        return output
