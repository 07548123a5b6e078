"""Muon for matrices and convolutions, AdamW for the rest, as one optimizer.

Muon: momentum, then the nearest semi-orthogonal matrix by a quintic Newton-Schulz iteration (Jordan et al. 2024), with
the update scaled to the size that AdamW's has (0.2 sqrt(max(rows, columns)), Liu et al. 2025), so that one learning
rate serves both.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

COEFFICIENTS = (
    (4.0848, -6.8946, 2.9270),
    (3.9505, -6.3029, 2.6377),
    (3.7418, -5.5913, 2.3037),
    (2.8769, -3.1427, 1.2046),
    (2.8366, -3.0525, 1.2012),
)
"""One quintic a step, tuned so that five steps bring all singular values near 1."""
MOMENTUM = 0.95


class Muon:
    """Steps matrices with Muon and all else (biases, norms, embeddings) with AdamW."""

    def __init__(self, modules: Iterable[nn.Module], *, decay: float = 1e-3) -> None:
        self.decay = decay
        shapes: dict[tuple[int, int], list[nn.Parameter]] = {}
        rest = []
        for module in modules:
            for name, parameter in module.named_parameters():
                if parameter.dim() >= 2 and "embedding" not in name:
                    key = (parameter.shape[0], parameter.numel() // parameter.shape[0])
                    shapes.setdefault(key, []).append(parameter)
                else:
                    rest.append(parameter)
        self._shapes = shapes
        self._momentum = {key: torch.zeros(len(group), *key) for key, group in shapes.items()}
        self._adam = torch.optim.AdamW(rest, betas=(0.9, 0.99), weight_decay=decay)

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Update each parameter from its gradient, then forget the gradients."""
        for key, group in self._shapes.items():
            gradient = torch.stack([parameter.grad.reshape(key) for parameter in group])  # type: ignore[union-attr]
            momentum = self._momentum[key].lerp_(gradient, 1 - MOMENTUM)
            update = orthogonal(gradient.lerp(momentum, MOMENTUM)) * (0.2 * max(key) ** 0.5)
            for parameter, change in zip(group, update, strict=True):
                parameter.mul_(1 - rate * self.decay).sub_(change.reshape(parameter.shape), alpha=rate)
                parameter.grad = None
        for options in self._adam.param_groups:
            options["lr"] = rate
        self._adam.step()
        self._adam.zero_grad()

    def state_dict(self) -> dict[str, Any]:
        """What a resumed training needs."""
        return {"momentum": list(self._momentum.values()), "adam": self._adam.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state_dict`."""
        self._momentum = dict(zip(self._shapes, state["momentum"], strict=True))
        self._adam.load_state_dict(state["adam"])


def orthogonal(batch: Tensor) -> Tensor:
    """The nearest semi-orthogonal matrices to ``batch`` (n, rows, columns), about."""
    wide = batch.mT if batch.shape[1] > batch.shape[2] else batch
    wide = wide / (wide.norm(dim=(1, 2), keepdim=True) + 1e-12)
    for first, third, fifth in COEFFICIENTS:
        square = wide @ wide.mT
        wide = first * wide + (third * square + fifth * (square @ square)) @ wide
    return wide.mT if batch.shape[1] > batch.shape[2] else wide
