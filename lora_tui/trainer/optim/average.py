"""A running average of the adapter's weights (EMA), which often draws better than where the steps have just led."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor


def decay_at(step: int, decay: float) -> float:
    """The share of the old average that stays after update number ``step`` (from 1).

    It rises as (1 + n) / (10 + n) with the updates before it, so that the start is forgotten soon; as in diffusers'
    ``EMAModel``.
    """
    before = step - 1
    return min((1 + before) / (10 + before), decay) if before > 0 else 0.0


class Average:
    """Averages of ``weights``, which are the living ones, by name; all on the weights' device."""

    def __init__(self, weights: Mapping[str, Tensor], decay: float) -> None:
        self._weights = dict(weights)
        self._decay = decay
        self._kept = {name: weight.detach().clone() for name, weight in self._weights.items()}

    def update(self, step: int) -> None:
        """Take in the weights as they are after update number ``step`` (from 1). Waits for nothing."""
        with torch.no_grad():
            living = [weight.detach() for weight in self._weights.values()]
            torch._foreach_lerp_(list(self._kept.values()), living, 1.0 - decay_at(step, self._decay))

    def tensors(self) -> dict[str, Tensor]:
        """The averages by name."""
        return dict(self._kept)

    @torch.no_grad()
    def load(self, saved: Mapping[str, Tensor]) -> None:
        """Take up ``saved`` averages; where there are none, begin with the weights as they are."""
        for name, kept in self._kept.items():
            kept.copy_(saved.get(name, self._weights[name]))

    def move(self, device: torch.device | None = None) -> None:
        """Move to ``device``, or back to the weights."""
        self._kept = {name: kept.to(device or self._weights[name].device) for name, kept in self._kept.items()}

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """The averages stand in the place of the weights; after it the weights are as they were, to the bit."""
        living = {name: weight.detach().clone() for name, weight in self._weights.items()}
        self._put(self._kept)
        try:
            yield
        finally:
            self._put(living)

    @torch.no_grad()
    def _put(self, values: Mapping[str, Tensor]) -> None:
        for name, weight in self._weights.items():
            weight.copy_(values[name])
