"""Samplers over a discrete noise schedule, as schedulers of diffusers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import diffusers
import torch
from torch import Tensor

from lora_tui.sampling.samplers import Course

#: Entries of a model's noise schedule that samplers follow; the rest of it is settings of another sampler.
SCHEDULE_KEYS = (
    "beta_start", "beta_end", "beta_schedule", "num_train_timesteps", "prediction_type", "rescale_betas_zero_snr",
)  # fmt: skip
#: What a spacing is in diffusers' words: its "schedulers" overview has the same table beside A1111's names.
SPACED: dict[str, dict[str, Any]] = {
    "automatic": {},
    "karras": {"use_karras_sigmas": True},
    "exponential": {"use_exponential_sigmas": True, "timestep_spacing": "linspace"},
    "sgm_uniform": {"timestep_spacing": "trailing"},
    "uniform": {"timestep_spacing": "linspace"},
}
ZERO = "rescale_betas_zero_snr"
FEWEST = 2
"""Steps of a schedule that is replaced before it is used."""
LEAST_KEPT = 2.0**-24
"""What is left of the image where a schedule ends in noise alone: zero would give infinite sigmas."""


class DiscreteSampler:
    """A scheduler of diffusers; see :class:`lora_tui.sampling.samplers.Sampler`."""

    def __init__(self, kind: Any, course: Course, *, noisy: bool = False, **settings: Any) -> None:
        """``noisy``: the scheduler adds noise at each step, from the course's generator."""
        kept = {key: course.schedule[key] for key in SCHEDULE_KEYS if key in course.schedule}
        self.scheduler = kind(**kept, **{**settings, **SPACED[course.spacing]})
        self.scheduler.set_timesteps(course.steps, device=course.device)
        self.timesteps: Tensor = self.scheduler.timesteps
        if hasattr(self.scheduler, "set_begin_index"):  # its own search skips the first of two equal timesteps
            self.scheduler.set_begin_index(0)
        self._options = {"generator": course.generator} if noisy else {}

    def begin(self, noise: Tensor) -> Tensor:
        started: Tensor = noise * self.scheduler.init_noise_sigma
        return started

    def model_input(self, latents: Tensor, timestep: Tensor) -> Tensor:
        scaled: Tensor = self.scheduler.scale_model_input(latents, timestep)
        return scaled

    def step(self, predicted: Tensor, timestep: Tensor, latents: Tensor) -> Tensor:
        done: Tensor = self.scheduler.step(predicted, timestep, latents, return_dict=False, **self._options)[0]
        return done


def euler_a(course: Course) -> DiscreteSampler:
    return DiscreteSampler(
        diffusers.EulerAncestralDiscreteScheduler, course, noisy=True, timestep_spacing="linspace"
    )  # fmt: skip


def euler(course: Course) -> DiscreteSampler:
    return DiscreteSampler(diffusers.EulerDiscreteScheduler, course, timestep_spacing="linspace")


def heun(course: Course) -> DiscreteSampler:
    return _by_betas(diffusers.HeunDiscreteScheduler, course, timestep_spacing="linspace")


def dpm2(course: Course) -> DiscreteSampler:
    return _by_betas(_unhurried(diffusers.KDPM2DiscreteScheduler), course, timestep_spacing="linspace")


def dpm2_a(course: Course) -> DiscreteSampler:
    kind = _unhurried(diffusers.KDPM2AncestralDiscreteScheduler)
    return _by_betas(kind, course, noisy=True, timestep_spacing="linspace")


def _unhurried(kind: Any) -> Any:
    """``kind`` without what it works out when it is made: the timesteps of all steps of training, which nobody asks
    for.

    It does so one by one in Python, in a quarter of a second and with four warnings each.
    """

    class Unhurried(kind):
        def set_timesteps(
            self, num_inference_steps: int, device: Any = None, num_train_timesteps: int | None = None
        ) -> None:
            making = num_train_timesteps is not None
            super().set_timesteps(FEWEST if making else num_inference_steps, device, num_train_timesteps)

    return Unhurried


def plms(course: Course) -> DiscreteSampler:
    """As :func:`ddim`, which it is but for the predictions before that count, too (Liu et al. 2022)."""
    return _by_betas(
        diffusers.PNDMScheduler, course, skip_prk_steps=True, set_alpha_to_one=False, steps_offset=1,
        timestep_spacing="trailing" if course.schedule.get(ZERO) else "leading",
    )  # fmt: skip


def _by_betas(kind: Any, course: Course, **settings: Any) -> DiscreteSampler:
    """A scheduler that knows no schedule that ends in noise alone; it is given such betas."""
    if course.schedule.get(ZERO):
        settings["trained_betas"] = _zero_terminal_betas(course)
        course = replace(course, schedule={name: value for name, value in course.schedule.items() if name != ZERO})
    return DiscreteSampler(kind, course, **settings)


def _zero_terminal_betas(course: Course) -> list[float]:
    """Betas whose last timestep leaves next to nothing of the image, from diffusers' own function."""
    kept = diffusers.DDIMScheduler(
        **{name: course.schedule[name] for name in SCHEDULE_KEYS if name in course.schedule}
    ).alphas_cumprod.double()
    kept[-1] = LEAST_KEPT
    ratios = torch.cat([kept[:1], kept[1:] / kept[:-1]])
    return [float(beta) for beta in 1 - ratios]


def dpmpp_2m(course: Course) -> DiscreteSampler:
    return DiscreteSampler(
        diffusers.DPMSolverMultistepScheduler, course, algorithm_type="dpmsolver++", solver_order=2
    )  # fmt: skip


def dpmpp_2m_karras(course: Course) -> DiscreteSampler:
    return DiscreteSampler(
        diffusers.DPMSolverMultistepScheduler, course, algorithm_type="dpmsolver++", solver_order=2,
        use_karras_sigmas=True,
    )  # fmt: skip


def dpmpp_2m_sde(course: Course) -> DiscreteSampler:
    return DiscreteSampler(
        diffusers.DPMSolverMultistepScheduler, course, noisy=True, algorithm_type="sde-dpmsolver++", solver_order=2
    )  # fmt: skip


def ddim(course: Course) -> DiscreteSampler:
    """Where a schedule ends in noise alone the way begins at that end (Lin et al. 2023, section 3.3)."""
    spacing = "trailing" if course.schedule.get(ZERO) else "leading"
    return DiscreteSampler(
        diffusers.DDIMScheduler, course, clip_sample=False, set_alpha_to_one=False, steps_offset=1,
        timestep_spacing=spacing,
    )  # fmt: skip


def unipc(course: Course) -> DiscreteSampler:
    return DiscreteSampler(diffusers.UniPCMultistepScheduler, course)
