"""Building the optimizer and taking one guarded step with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lora_tui.config.schema import OptimizerSection


def build_optimizer(section: OptimizerSection, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """The optimizer that ``section`` names over parameter ``groups`` (each with its ``lr`` and ``name``)."""
    return torch.optim.AdamW(
        groups,
        betas=(section.beta1, section.beta2),
        eps=section.eps,
        weight_decay=section.weight_decay,
        fused=True,
    )


@dataclass
class Update:
    """One update as tensors on the device: nothing here has waited for it."""

    norm: Tensor  # gradient norm before clipping, float32 scalar
    skipped: Tensor  # 1.0 where a NaN or Inf turned the update into nothing


class Stepper:
    """Clips and applies gradients; an update with NaN or Inf in it changes nothing, decided on the device."""

    def __init__(self, optimizer: torch.optim.Optimizer, max_norm: float, scaler: torch.amp.GradScaler | None) -> None:
        self.optimizer = optimizer
        self.max_norm = max_norm
        self.scaler = scaler
        self.parameters: list[Tensor] = [p for group in optimizer.param_groups for p in group["params"]]

    def backward(self, loss: Tensor) -> None:
        (self.scaler.scale(loss) if self.scaler else loss).backward()

    def update(self) -> Update:
        """Apply the accumulated gradients and clear them."""
        if self.scaler:
            self.scaler.unscale_(self.optimizer)
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        if self.max_norm > 0:
            torch.nn.utils.clip_grads_with_norm_(self.parameters, self.max_norm, norm)
        skipped = (~torch.isfinite(norm)).to(torch.float32)
        if self.scaler:
            self.scaler.step(self.optimizer)
            self.scaler.update()
        else:
            self._apply(skipped)
        self.discard()
        return Update(norm=norm, skipped=skipped)

    def _apply(self, skipped: Tensor) -> None:
        """The fused kernels read ``found_inf`` and leave weights and moments alone when it is 1."""
        optimizer: Any = self.optimizer
        optimizer.grad_scale, optimizer.found_inf = None, skipped
        try:
            optimizer.step()
        finally:
            del optimizer.grad_scale, optimizer.found_inf

    def discard(self) -> None:
        """Drop gradients that were not applied."""
        self.optimizer.zero_grad(set_to_none=True)
