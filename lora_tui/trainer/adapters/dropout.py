"""What is left out of an adapter while it learns, with kohya's meaning: between its two matrices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lora_tui.trainer.memory.share import Share


@dataclass
class Dropout:
    """A hook on the first matrix of every layer; it does nothing unless it is ``on``.

    Attributes:
        neurons: share of the numbers that become 0, the others growing to make up for it (``network_dropout``).
        ranks: share of the ranks that become 0 for an image, likewise (``rank_dropout``).
        modules: share of the layers that add nothing (``module_dropout``).
        share: the part of a batch that is at work; none where it is the whole.
    """

    neurons: float = 0.0
    ranks: float = 0.0
    modules: float = 0.0
    on: bool = False
    share: Share | None = None

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
        rows, whole = self._rows(output.shape[0])
        if self.neurons > 0:
            kept = output.new_empty(whole, *output.shape[1:]).bernoulli_(1.0 - self.neurons)
            output = output * kept[rows].div_(1.0 - self.neurons)
        if self.ranks > 0:
            axis = 1 if isinstance(module, nn.Conv2d) else output.dim() - 1
            shape = [1] * output.dim()
            shape[0], shape[axis] = whole, output.shape[axis]
            kept = torch.rand(shape, device=output.device) >= self.ranks
            output = output * kept[rows] / (1.0 - self.ranks)
        return output

    def _rows(self, count: int) -> tuple[slice, int]:
        """Which rows of the whole batch an output of ``count`` rows is, and how many that has.

        Numbers are drawn for all of them, so that a part of a batch leaves out what the whole would.
        """
        if self.share is None:
            return slice(None), count
        each = count // self.share.images  # an image may have several: chunks of its caption
        return slice(self.share.start * each, self.share.stop * each), self.share.total * each
