"""Samplers for models that learned flow matching: from noise to latents along straight lines.

At level s (1 to 0) the latents are (1 - s) x image + s x noise, and the model predicts noise minus image. The levels
are those of diffusers' ``FlowMatchEulerDiscreteScheduler``: evenly from 1 to 1/steps, then shifted (Esser et al. 2024,
"Scaling Rectified Flow Transformers for High-Resolution Image Synthesis", section 5.3.2).
"""

from __future__ import annotations

from typing import Any

import diffusers
import torch
from torch import Tensor

from lora_tui.sampling.samplers import Course

TIMESTEPS = 1000


def levels(steps: int, shift: float, last: float = 0.0) -> Tensor:
    """The noise levels of ``steps`` steps and the 0 at their end: [steps + 1], float32.

    Where ``last`` is above 0 they are stretched so that the last one before the end is that: ``shift_terminal``.
    """
    even = torch.linspace(1.0, 1.0 / steps, steps, dtype=torch.float64)
    found = shift * even / (1.0 + (shift - 1.0) * even)
    if last and steps > 1:
        found = 1.0 - (1.0 - found) * (1.0 - last) / (1.0 - found[-1])
    return torch.cat([found, torch.zeros(1, dtype=torch.float64)]).float()


def _levels(course: Course) -> list[float]:
    last = course.schedule.get("shift_terminal") or 0.0
    found = levels(course.steps, course.shift, float(last))
    if course.spacing in ("karras", "exponential"):
        scheduler = diffusers.FlowMatchEulerDiscreteScheduler(
            use_karras_sigmas=course.spacing == "karras", use_exponential_sigmas=course.spacing == "exponential"
        )
        scheduler.set_timesteps(sigmas=found[:-1].tolist())
        found = scheduler.sigmas
    return found.tolist()  # type: ignore[no-any-return]


class Euler:
    """One straight step from level to level; with ``renewed`` noise, part of it is drawn anew each time.

    See :class:`lora_tui.sampling.samplers.Sampler`.
    """

    def __init__(self, course: Course, *, renewed: bool = False) -> None:
        self._levels = _levels(course)
        self._generator = course.generator if renewed else None
        self._done = 0
        self.timesteps = torch.tensor(self._levels[:-1], device=course.device) * TIMESTEPS

    def begin(self, noise: Tensor) -> Tensor:
        return noise

    def model_input(self, latents: Tensor, timestep: Tensor) -> Tensor:
        return latents

    def step(self, predicted: Tensor, timestep: Tensor, latents: Tensor) -> Tensor:
        here, there = self._levels[self._done : self._done + 2]
        self._done += 1
        if self._generator is None or there == 0:
            return latents + (there - here) * predicted
        return self._renew(latents - here * predicted, here, there, latents)

    def _renew(self, image: Tensor, here: float, there: float, latents: Tensor) -> Tensor:
        """Go below the next level and back up to it with new noise.

        Going down to level ``low``, scaling so that the image's share is that of ``there``, and adding noise until the
        noise's share is, too, gives the latents the variance that the level has.
        """
        low = there * there / here
        down = low / here * latents + (1.0 - low / here) * image
        scale = (1.0 - there) / (1.0 - low)
        missing = max(there * there - (low * scale) ** 2, 0.0) ** 0.5
        noise = torch.randn(latents.shape, generator=self._generator, dtype=torch.float32)
        return down * scale + missing * noise.to(latents.device, latents.dtype)


class Heun:
    """A step, a look at where it leads, and the step again in the mean of both directions: two predictions a step."""

    def __init__(self, course: Course) -> None:
        self._levels = _levels(course)
        asked = [self._levels[0]] + [level for level in self._levels[1:-1] for _twice in range(2)]
        self.timesteps = torch.tensor(asked, device=course.device) * TIMESTEPS
        self._done = 0
        self._before: tuple[Tensor, Tensor] | None = None

    def begin(self, noise: Tensor) -> Tensor:
        return noise

    def model_input(self, latents: Tensor, timestep: Tensor) -> Tensor:
        return latents

    def step(self, predicted: Tensor, timestep: Tensor, latents: Tensor) -> Tensor:
        here, there = self._levels[self._done : self._done + 2]
        if self._before is None:
            if there == 0:  # nothing is left to look at
                self._done += 1
            else:
                self._before = (latents, predicted)
            return latents + (there - here) * predicted
        began, first = self._before
        self._before = None
        self._done += 1
        return began + (there - here) * (first + predicted) / 2


class Scheduled:
    """A multistep scheduler of diffusers on these levels."""

    def __init__(self, kind: Any, course: Course, **settings: Any) -> None:
        self._scheduler = kind(
            num_train_timesteps=TIMESTEPS, prediction_type="flow_prediction", use_flow_sigmas=True,
            flow_shift=course.shift, **settings,
        )  # fmt: skip
        self._scheduler.set_timesteps(course.steps, device=course.device)
        if course.spacing in ("karras", "exponential"):
            self._scheduler.sigmas = torch.tensor(_levels(course))
            self._scheduler.timesteps = self._scheduler.sigmas[:-1] * TIMESTEPS
            self._scheduler.set_begin_index(0)  # it finds its place by timesteps of its own
        self.timesteps: Tensor = self._scheduler.sigmas[:-1].to(course.device) * TIMESTEPS
        self._asked = iter(self._scheduler.timesteps)

    def begin(self, noise: Tensor) -> Tensor:
        return noise

    def model_input(self, latents: Tensor, timestep: Tensor) -> Tensor:
        return latents

    def step(self, predicted: Tensor, timestep: Tensor, latents: Tensor) -> Tensor:
        done: Tensor = self._scheduler.step(predicted, next(self._asked), latents, return_dict=False)[0]
        return done


def euler(course: Course) -> Euler:
    return Euler(course)


def euler_a(course: Course) -> Euler:
    return Euler(course, renewed=True)


def heun(course: Course) -> Heun:
    return Heun(course)


def dpmpp_2m(course: Course) -> Scheduled:
    return Scheduled(diffusers.DPMSolverMultistepScheduler, course, algorithm_type="dpmsolver++", solver_order=2)


def unipc(course: Course) -> Scheduled:
    return Scheduled(diffusers.UniPCMultistepScheduler, course)
