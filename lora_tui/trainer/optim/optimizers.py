"""Optimizers by name: each is a recipe of its class and arguments, listed in :data:`OPTIMIZERS`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from lora_tui.choices import chosen
from lora_tui.config.schema import OptimizerSection

#: ``optimizer.type`` -> a function from the section to its :class:`Recipe`
OPTIMIZERS = {"adamw": "lora_tui.trainer.optim.optimizers:adamw"}


@dataclass(frozen=True)
class Recipe:
    """``kind`` is called with the parameter groups and ``arguments``; an optimizer keeps unknown keys of a group.

    One whose kernels honour ``found_inf``, as torch's fused ones do, skips an update with NaN by itself; see
    :class:`~lora_tui.trainer.optim.stepper.Stepper` for the others. One with ``train()`` and ``eval()`` (schedule-free
    ones) is told when its weights are used.
    """

    kind: type[torch.optim.Optimizer]
    arguments: dict[str, Any]

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """The optimizer over parameter ``groups``, each with its ``lr`` and ``name``."""
        return self.kind(groups, **self.arguments)

    def __str__(self) -> str:
        """As sd-scripts writes it into files: ``package.Class(name=value,...)``."""
        values = ",".join(f"{name}={value}" for name, value in self.arguments.items())
        return f"{self.kind.__module__}.{self.kind.__qualname__}({values})"


def recipe(section: OptimizerSection) -> Recipe:
    """The optimizer that ``section`` chooses.

    Raises:
        UserError: its library is not installed.
    """
    found: Recipe = chosen(OPTIMIZERS, section.type)(section)
    return found


def adamw(section: OptimizerSection) -> Recipe:
    """AdamW of torch (Loshchilov and Hutter 2019) with fused kernels."""
    arguments = {
        "weight_decay": section.weight_decay,
        "betas": (section.beta1, section.beta2),
        "eps": section.eps,
        "fused": True,
    }
    return Recipe(torch.optim.AdamW, arguments)
