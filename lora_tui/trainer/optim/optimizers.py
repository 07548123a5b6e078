"""Optimizers by name: each is a recipe of its class and arguments, listed in :data:`OPTIMIZERS`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from lora_tui.choices import chosen, part_at
from lora_tui.config.arguments import full_place, read_arguments
from lora_tui.config.optimizers import LIBRARY, OPTIMIZER_FACTS, OTHER
from lora_tui.config.schema import OptimizerSection
from lora_tui.errors import UserError
from lora_tui.text import _, plain

#: ``optimizer.type`` -> a function from the section to its :class:`Recipe`; what is known of each is in
#: :mod:`lora_tui.config.optimizers`
OPTIMIZERS = {
    **dict.fromkeys(OPTIMIZER_FACTS, "lora_tui.trainer.optim.optimizers:listed"),
    OTHER: "lora_tui.trainer.optim.optimizers:other",
}


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

    def try_out(self, device: torch.device) -> None:
        """Take one step with a few numbers, so that what does not work is known before anything is loaded.

        Raises:
            UserError: an argument is none of its own or out of range, or it needs more than gradients.
        """
        weights = [torch.nn.Parameter(torch.ones(8, 8, device=device)) for _number in range(2)]
        for weight in weights:
            weight.grad = torch.full_like(weight, 0.1)
        try:
            optimizer = self.build([{"params": [weight], "lr": 1e-3, "name": "trial"} for weight in weights])
            getattr(optimizer, "train", lambda: None)()
            optimizer.step()
            getattr(optimizer, "eval", lambda: None)()
        except Exception as error:  # whatever a class of anybody raises, it is not fit
            raise UserError(
                _("{name} cannot be used like this: {reason}").format(
                    name=self.kind.__qualname__, reason=plain(str(error), limit=300)
                ),
                place="optimizer",
                remedy=_("Fix optimizer.args, or choose another optimizer."),
                code="optimizer.unusable",
            ) from error

    def __str__(self) -> str:
        """As sd-scripts writes it into files: ``package.Class(name=value,...)``."""
        values = ",".join(f"{name}={value}" for name, value in self.arguments.items())
        return f"{self.kind.__module__}.{self.kind.__qualname__}({values})"


def recipe(section: OptimizerSection) -> Recipe:
    """The optimizer that ``section`` chooses.

    Raises:
        UserError: its library is not installed, there is no such class, or an argument is none of its own.
    """
    found: Recipe = chosen(OPTIMIZERS, section.type)(section)
    return found


def listed(section: OptimizerSection) -> Recipe:
    """One that is known, with those of the settings that it takes."""
    facts = OPTIMIZER_FACTS[section.type]
    return _made(part_at(facts.place, facts.title), section, dict(facts.arguments))


def other(section: OptimizerSection) -> Recipe:
    """Any class of pytorch-optimizer by its name, or of any library by its path.

    Raises:
        UserError: there is none.
    """
    place = full_place(section.kind, LIBRARY)
    try:
        kind = part_at(place or f"{LIBRARY}:{section.kind}", section.kind)
    except (AttributeError, ValueError):
        kind = None
    if not inspect.isclass(kind):
        raise UserError(
            _("there is no optimizer {name}.").format(name=plain(section.kind, limit=100)),
            place="optimizer.kind",
            remedy=_(
                "Give a name of pytorch-optimizer, such as ADOPT, or a class with dots, such as torch.optim.RAdam."
            ),
            code="optimizer.kind",
        )
    takes_decay = "weight_decay" in inspect.signature(kind).parameters
    return _made(kind, section, {"weight_decay": section.weight_decay} if takes_decay else {}, known=False)


def _made(
    kind: type[torch.optim.Optimizer], section: OptimizerSection, fixed: Mapping[str, Any], *, known: bool = True
) -> Recipe:
    facts = OPTIMIZER_FACTS[section.type]
    arguments: dict[str, Any] = {}
    if known and facts.decay:
        arguments["weight_decay"] = section.weight_decay
    if facts.betas:
        arguments["betas"] = (section.beta1, section.beta2)
    if facts.eps:
        arguments["eps"] = section.eps
    arguments.update(fixed)
    arguments.update(read_arguments(section.args))
    return Recipe(kind, arguments)
