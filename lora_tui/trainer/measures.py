"""What is told of the learning between the steps' own numbers: loss by noise level, and how far the weights have come.

Both ride along with the numbers of a step. Nothing is fetched from the device for them, and the weights are looked at
only at steps that tell.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from lora_tui.dataset.batches import DataPlan

LEVELS = 4
"""Ranges of equal width that the timesteps 0 to 1000 fall into: the first has the least noise."""

TOP = 1000.0
IMAGE_LEVELS = 4
"""Noise levels that each image is measured at."""

FORWARD = 1 / 3
"""About the share of a training step that a prediction alone takes."""

LITTLE = 0.03
"""The share of a run's time that two measurements of every image may take unasked."""

_LEAST = 8
_DENSE_BITS = 8


def tells(step: int) -> bool:
    """Whether a step tells: every 8th up to 2,047, then every 16th and so on, so that a long run has few of them."""
    return step % max(1 << max(step.bit_length() - _DENSE_BITS, 0), _LEAST) == 0


def measures_images(setting: str, plan: DataPlan) -> bool:
    """Whether every image is measured at the beginning and the end, by ``validation.each_image``."""
    if setting != "auto" or not plan.steps_per_epoch:
        return setting == "on"
    shown = plan.items_per_epoch * plan.total_steps / plan.steps_per_epoch
    return 2 * IMAGE_LEVELS * FORWARD * len(plan.pictures) <= LITTLE * shown


def level_of(timestep: float) -> int:
    """The range that a timestep (0 to 1000) falls into, from 0."""
    return min(max(int(timestep / TOP * LEVELS), 0), LEVELS - 1)


class Measures:
    """Collects the errors of images as they come, and tells them by noise level.

    Made before a state is taken up: the weights that are watched are those of each part that begin at zero, such as
    the upper matrices of a LoRA. Their norm says how far it has come, which that of the others, drawn at random, would
    hide; a part in which none does is watched whole.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], tell: Callable[..., None]) -> None:
        """``groups``: those of the optimizer, each with ``name`` and ``params``."""
        self._watched = _beginning_at_zero(groups)
        self._tell = tell
        self._errors: list[Tensor] = []
        self._levels: list[int] = []
        self._sums, self._counts = [0.0] * LEVELS, [0] * LEVELS

    def begin(self) -> None:
        """An update begins, perhaps again."""
        self._errors, self._levels = [], []

    def note(self, errors: Tensor, timesteps: Tensor) -> None:
        """Errors of images, [batch] on the device, and their ``timesteps``, [batch] on the CPU."""
        self._errors.append(errors.detach())
        self._levels.extend(level_of(float(timestep)) for timestep in timesteps.tolist())

    def take(self, step: int) -> tuple[list[Tensor], dict[str, Any]]:
        """What goes along with the numbers of ``step``: vectors on the device, and what is needed to read them."""
        vectors, names = list(self._errors), []
        if tells(step):
            norms = self._norms()
            names = list(norms)
            vectors += [norm.float().reshape(1) for norm in norms.values()]
        return vectors, {"levels": self._levels, "parts": names}

    @torch.no_grad()
    def _norms(self) -> dict[str, Tensor]:
        """The Euclidean norm of each part's trained weights, on the device."""
        return {name: torch.nn.utils.get_total_norm(weights) for name, weights in self._watched.items()}

    def deliver(self, step: int, values: Sequence[float], key: dict[str, Any]) -> None:
        """Take in what :meth:`take` sent along, arrived; tell where the step does."""
        levels, parts = key["levels"], key["parts"]
        for level, value in zip(levels, values, strict=False):
            if math.isfinite(value):
                self._sums[level] += value
                self._counts[level] += 1
        if not tells(step):
            return
        means = [total / n if n else None for total, n in zip(self._sums, self._counts, strict=True)]
        norms = dict(zip(parts, values[len(levels) :], strict=False))
        self._tell("detail", step=step, levels=means, images=self._counts, weights=norms)
        self._sums, self._counts = [0.0] * LEVELS, [0] * LEVELS


@torch.no_grad()
def _beginning_at_zero(groups: Iterable[dict[str, Any]]) -> dict[str, list[Tensor]]:
    """The weights of each part that are zero now; all of them in a part without any."""
    parts: dict[str, list[Tensor]] = {}
    for group in groups:
        parts.setdefault(group["name"], []).extend(group["params"])
    found = {}
    for name, weights in parts.items():
        if weights:
            norms = torch.stack([norm.float() for norm in torch._foreach_norm(weights)]).tolist()
            zero = [weight for weight, norm in zip(weights, norms, strict=True) if norm == 0.0]
            found[name] = zero or weights
    return found
