"""Errors of a prediction, element by element."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

#: ss_loss_type -> a function (predicted, target) -> error of each element, all float32
LOSSES = {"l2": "lora_tui.trainer.objectives.losses:squared"}
#: The one that runs use.
LOSS = "l2"

Loss = Callable[[Tensor, Tensor], Tensor]


def squared(predicted: Tensor, target: Tensor) -> Tensor:
    return torch.nn.functional.mse_loss(predicted, target, reduction="none")
