"""An adapter, an optimizer, a schedule, an objective, a loss and a sampler: one row of a table each."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lora_tui.config.schema import LearningSection, NetworkSection, NoiseSection, OptimizerSection
from lora_tui.families.protocol import Model, TargetModule
from lora_tui.sampling.samplers import Course
from lora_tui.trainer.adapters.protocol import Place
from lora_tui.trainer.optim.optimizers import Recipe


class Scales:
    """A factor for each output of each target, as in (IA)^3."""

    def __init__(
        self, modules: Mapping[str, nn.Module], targets: tuple[TargetModule, ...], device: torch.device
    ) -> None:
        self.scales: dict[Place, nn.Parameter] = {}
        self.strength = 1.0
        for target in targets:
            if target.part in modules:
                scale = nn.Parameter(torch.zeros(target.outputs, device=device))
                self.scales[target.part, target.path] = scale
                modules[target.part].get_submodule(target.path).register_forward_hook(self._hook(scale))

    def _hook(self, scale: nn.Parameter) -> Any:
        return lambda module, args, output: output * (1 + self.strength * scale)

    def tensors(self) -> dict[str, Tensor]:
        return {f"{part}:{path}.scale": scale for (part, path), scale in self.scales.items()}

    def groups(self, rates: Mapping[str, float]) -> list[dict[str, Any]]:
        """Two groups for the transformer, the second learning at twice the rate."""
        own = {part: [s for (p, _), s in self.scales.items() if p == part] for part in rates}
        first, *rest = own.pop("transformer")
        rate = rates["transformer"]
        return [
            {"params": [first], "lr": rate, "name": "transformer"},
            {"params": rest, "lr": 2 * rate, "name": "transformer"},
            *({"params": members, "lr": rates[part], "name": part} for part, members in own.items()),
        ]

    def export(self) -> dict[Place, dict[str, Tensor]]:
        return {place: {"scale": scale, "alpha": torch.tensor(0.3)} for place, scale in self.scales.items()}

    @contextlib.contextmanager
    def at_strength(self, strength: float) -> Iterator[None]:
        self.strength, before = strength, self.strength
        try:
            yield
        finally:
            self.strength = before

    def learning(self, seed: int, share: Any = None) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def settle(self) -> None:
        pass

    def metadata(self) -> dict[str, Any]:
        return {"ss_network_module": "toy.scales", "ss_network_dim": None}


def attach(
    section: NetworkSection, modules: Mapping[str, nn.Module], targets: tuple[TargetModule, ...], *, seed: int,
    device: torch.device,
) -> Scales:  # fmt: skip
    return Scales(modules, targets, device)


class Wandering(torch.optim.Optimizer):
    """Its own rate grows with each step and is kept in the group; weights in use are an average of those trained."""

    def __init__(self, groups: Any, lr: float = 1.0, growth: float = 1.1) -> None:
        super().__init__(groups, {"lr": lr, "growth": growth, "grown": 1.0, "train_mode": False})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            assert group["train_mode"]
            group["grown"] = min(group["grown"] * group["growth"], 3.0)
            for weight in group["params"]:
                if weight.grad is not None:
                    state = self.state[weight]
                    weight.sub_(weight.grad.sign(), alpha=group["lr"] * group["grown"])
                    state["mean"] = state["mean"].lerp(weight, 0.5) if state else weight.clone()

    def train(self) -> None:
        self._turn(True)

    def eval(self) -> None:
        self._turn(False)

    @torch.no_grad()
    def _turn(self, train: bool) -> None:
        for group in self.param_groups:
            if group["train_mode"] != train:
                group["train_mode"] = train
                for weight in group["params"]:
                    state = self.state.get(weight)
                    if state:
                        here = weight.clone()
                        weight.copy_(state["mean"])
                        state["mean"] = here


def wandering(section: OptimizerSection) -> Recipe:
    return Recipe(Wandering, {"growth": 1.0 + section.weight_decay})


def halving(learning: LearningSection, done: int, span: int, warmup: int) -> float:
    return 0.5 ** math.floor(4 * done / span)


class Velocity:
    """Rectified flow: noise minus image, at noise levels shifted by the size of the image."""

    def __init__(self, model: Model, section: NoiseSection) -> None:
        self._shift = model.shift

    def draw(self, generator: torch.Generator, width: int, height: int) -> float:
        level, shift = float(torch.sigmoid(torch.randn((), generator=generator))), self._shift(width, height)
        return 1000 * shift * level / (1 + (shift - 1) * level)

    def levels(self, count: int) -> list[float]:
        return [1000 * (part + 0.5) / count for part in range(count)]

    def as_tensor(self, timesteps: Sequence[float]) -> Tensor:
        return torch.tensor(timesteps, dtype=torch.float32)

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        return latents.lerp(noise, timesteps.view(-1, 1, 1, 1) / 1000)

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        return noise - latents

    def ratios(self, timesteps: Tensor) -> Tensor:
        return ((1000 - timesteps) / timesteps) ** 2

    def weights(self, timesteps: Tensor) -> Tensor | None:
        return None


class Euler:
    """The straight way from noise to image."""

    def __init__(self, course: Course) -> None:
        levels = torch.linspace(1, 0, course.steps + 1)
        self._levels = 1000 * course.shift * levels / (1 + (course.shift - 1) * levels)
        self.timesteps = self._levels[:-1].to(course.device)

    def begin(self, noise: Tensor) -> Tensor:
        return noise

    def model_input(self, latents: Tensor, timestep: Tensor) -> Tensor:
        return latents

    def step(self, predicted: Tensor, timestep: Tensor, latents: Tensor) -> Tensor:
        after = self._levels[self._levels < float(timestep)].max()
        return latents + (after - float(timestep)) / 1000 * predicted
