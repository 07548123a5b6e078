"""DyLoRA: one LoRA that serves at each of its ranks, because each step learns with the first few of them alone.

Valipour et al. 2023, "DyLoRA: Parameter-Efficient Tuning of Pretrained Models using Dynamic Search-Free Low-Rank
Adaptation", with all of the ranks in use learning (section 4.2: better than the newest of them alone). Ranks come in
units; alpha / rank is that of the whole at each of them, so that a file that is cut has to keep it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

#: How far each number of units is less likely than the one before it, drawn geometrically.
DECAY = 0.85


@dataclass
class Nested:
    """A hook on the first matrix of every layer; it does nothing where ``unit`` is 0 or nothing is drawn.

    Attributes:
        unit: ranks that come and go together.
        drawn: ``uniform``, or ``geometric``: fewer ranks more often.
    """

    unit: int = 0
    drawn: Literal["uniform", "geometric"] = "uniform"
    _share: float | None = None

    def draw(self, seed: int) -> None:
        """Choose how much of every layer's ranks the next step learns with."""
        self._share = float(torch.rand((), generator=torch.Generator().manual_seed(seed)))

    def rest(self) -> None:
        """Work with all ranks."""
        self._share = None

    def ranks(self, rank: int) -> int:
        """How many of a layer's ranks are in use."""
        units = -(-rank // self.unit) if self.unit else 1
        if self._share is None or units == 1:
            return rank
        if self.drawn == "uniform":
            number = int(self._share * units) + 1
        else:
            weights = torch.tensor(DECAY, dtype=torch.float64) ** torch.arange(units, dtype=torch.float64)
            number = int((weights.cumsum(0) / weights.sum() < self._share).sum()) + 1
        return min(number * self.unit, rank)

    def __call__(self, module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor | None:
        """``output`` is [batch, ..., rank], of a convolution [batch, rank, h, w]."""
        axis = 1 if isinstance(module, nn.Conv2d) else output.dim() - 1
        rank = output.shape[axis]
        kept = self.ranks(rank)
        if kept == rank:
            return None
        shape = [1] * output.dim()
        shape[axis] = rank
        return output * (torch.arange(rank, device=output.device) < kept).to(output.dtype).view(shape)
