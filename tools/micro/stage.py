"""One stage of the training: a loop whose every step is keyed by its number, so that it can stop and go on anywhere."""

from __future__ import annotations

import copy
import json
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lora_tui.keyed import keyed_random, keyed_seed
from tools.micro.muon import Muon

SAVE_SECONDS = 120.0
LOG_EVERY = 50
"""Steps between two lines of the log; short stages write eight lines."""


class Stage(ABC):
    """Trains ``modules`` for ``steps`` steps and keeps a moving average of their weights.

    Attributes:
        name: the name of its files.
        steps: how many updates it makes.
        rate: the highest learning rate.
        warm: steps of warm-up.
        plateau: the share of the steps before the rate begins to fall along a half cosine.
        average: how much of the moving average each step keeps.
        save_seconds: how often its state is saved.
    """

    name: str
    rate: float
    warm: int = 100
    plateau: float = 0.25
    average: float = 0.998

    save_seconds: float = SAVE_SECONDS

    def __init__(self, folder: Path, modules: Mapping[str, nn.Module], *, steps: int, seed: int) -> None:
        self.folder = folder
        self.modules = dict(modules)
        self.averages = {name: copy.deepcopy(module).requires_grad_(False) for name, module in modules.items()}
        self.steps = steps
        self.seed = seed
        self.step = 0
        self.seconds = 0.0
        self._optimizer = Muon(self.modules.values())

    @abstractmethod
    def loss(self, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one step and what else its line in the log tells."""

    def measure(self) -> dict[str, float]:
        """Figures of the averaged weights, taken at the end."""
        return {}

    def generator(self, step: int, purpose: str) -> torch.Generator:
        """Randomness that depends on nothing but the stage, the step and what it is for."""
        return torch.Generator().manual_seed(keyed_seed("micro", self.name, self.seed, step, purpose))

    def chance(self, step: int, purpose: str) -> Any:
        """As :meth:`generator`, of the standard library."""
        return keyed_random("micro", self.name, self.seed, step, purpose)

    def run(self) -> dict[str, nn.Module]:
        """Train to the end, from where an earlier call was cut off; return the averaged modules."""
        state = self.folder / f"{self.name}.pt"
        if state.exists():
            self._load(state)
        begun = saved = time.monotonic()
        parameters = [parameter for module in self.modules.values() for parameter in module.parameters()]
        while self.step < self.steps:
            loss, figures = self.loss(self.step)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            self._optimizer.step(self._rate_at(self.step))
            self._average()
            self.step += 1
            if self.step % min(LOG_EVERY, max(self.steps // 8, 1)) == 0 or self.step == self.steps:
                now = time.monotonic()
                self.seconds, begun = self.seconds + now - begun, now
                self._log({"loss": loss.item(), **{name: value.item() for name, value in figures.items()}})
            if time.monotonic() - saved > self.save_seconds:
                self._save(state)
                saved = time.monotonic()
        self._save(state)
        averages = {name: module.eval() for name, module in self.averages.items()}
        self._log({"measured": self.measure()})
        return averages

    def _rate_at(self, step: int) -> float:
        share = step / self.steps
        fall = 0.0 if share < self.plateau else (share - self.plateau) / (1 - self.plateau)
        return (
            self.rate
            * min(1.0, (step + 1) / min(self.warm, self.steps // 4 + 1))
            * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * fall)))
        )

    @torch.no_grad()
    def _average(self) -> None:
        keep = min(self.average, (1 + self.step) / (10 + self.step))
        for name, module in self.modules.items():
            own = list(self.averages[name].parameters())
            torch._foreach_lerp_(own, [parameter.detach() for parameter in module.parameters()], 1 - keep)

    def _save(self, path: Path) -> None:
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "modules": {name: module.state_dict() for name, module in self.modules.items()},
            "averages": {name: module.state_dict() for name, module in self.averages.items()},
            "optimizer": self._optimizer.state_dict(),
        }
        temporary = path.with_suffix(".tmp")
        torch.save(state, temporary)
        temporary.replace(path)

    def _load(self, path: Path) -> None:
        state = torch.load(path, weights_only=True)
        self.step, self.seconds = state["step"], state["seconds"]
        for name, module in self.modules.items():
            module.load_state_dict(state["modules"][name])
            self.averages[name].load_state_dict(state["averages"][name])
        self._optimizer.load_state_dict(state["optimizer"])

    def _log(self, figures: dict[str, Any]) -> None:
        line = {"stage": self.name, "step": self.step, "of": self.steps, "seconds": round(self.seconds, 1), **figures}
        with (self.folder / "figures.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
