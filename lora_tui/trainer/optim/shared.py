"""Gradients that several processes found of different batches, added up as if one had found them all."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lora_tui.trainer.memory.shortage import is_shortage
from lora_tui.trainer.ranks import Ranks


def add_up_gradients(
    ranks: Ranks, parameters: Sequence[Tensor], find: Callable[[], tuple[int, Tensor]]
) -> tuple[int, Tensor]:
    """Have each process ``find`` gradients of ``parameters``, and make them sums over all; the images and loss of all.

    ``find`` gives how many images they are of, and their loss. One exchange of all gradients in float32. A parameter
    that no process has a gradient of keeps none, since many optimizers move one whose gradient is zero.

    Raises:
        torch.OutOfMemoryError: memory ran out in one of the processes; it is raised in all.
    """
    if ranks.count == 1:
        return find()
    images, flat = 0, None
    try:
        images, loss = find()
        flat = _joined(parameters, loss)
    except Exception as error:
        if not is_shortage(error):
            raise
    having = [parameter.grad is not None for parameter in parameters]
    failed, total, *found = ranks.totals([flat is None, images, *having])
    if failed or flat is None:
        raise torch.OutOfMemoryError(f"memory ran out in {failed} of {ranks.count} processes")
    ranks.add_up(flat)
    *sums, whole = flat.split([*(parameter.numel() for parameter in parameters), 1])
    for parameter, summed, count in zip(parameters, sums, found, strict=True):
        parameter.grad = summed.view_as(parameter).to(parameter.dtype) if count else None
    return total, whole[0]


def _joined(parameters: Sequence[Tensor], loss: Tensor) -> Tensor:
    """All gradients in one row, zeros where there is none, and the loss at its end."""
    pieces = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    return torch.cat([*(piece.detach().reshape(-1).float() for piece in pieces), loss.reshape(1).float()])
