"""Flow matching's samplers against diffusers' schedulers and against flows whose end is known."""

from __future__ import annotations

import math

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, FlowMatchHeunDiscreteScheduler
from torch import Tensor

from lora_tui.sampling.flow import levels
from lora_tui.sampling.samplers import SAMPLERS, Course, Sampler, make_sampler


def sampler(name: str, steps: int, shift: float = 1.0) -> Sampler:
    generator = torch.Generator().manual_seed(5)
    return make_sampler(name, Course({}, "flow", steps, shift, generator, torch.device("cpu")))


def drawn(made: Sampler, noise: Tensor, image: Tensor) -> Tensor:
    """What comes out where the model knows the image: it predicts the direction from it to the latents' noise."""
    latents = made.begin(noise)
    for timestep in made.timesteps:
        level = timestep / 1000
        seen = made.model_input(latents, timestep)
        latents = made.step((seen - image) / level, timestep, latents)
    return latents


@pytest.mark.parametrize("steps", [1, 4, 20])
@pytest.mark.parametrize("power", [0.0, 0.5, 1.15])
def test_euler_is_that_of_diffusers(steps: int, power: float) -> None:
    theirs = FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True)
    theirs.set_timesteps(sigmas=torch.linspace(1, 1 / steps, steps).tolist(), mu=power)
    ours = sampler("euler", steps, math.exp(power))
    assert torch.allclose(levels(steps, math.exp(power)), theirs.sigmas, atol=1e-6)
    assert torch.allclose(ours.timesteps, theirs.timesteps, atol=1e-3)
    latents = other = torch.randn(1, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    for timestep, theirs_timestep in zip(ours.timesteps, theirs.timesteps, strict=True):
        latents = ours.step(latents.sin(), timestep, latents)
        other = theirs.step(other.sin(), theirs_timestep, other, return_dict=False)[0]
    assert torch.allclose(latents, other, atol=1e-5)


def test_heun_is_that_of_diffusers() -> None:
    theirs = FlowMatchHeunDiscreteScheduler(num_train_timesteps=1000)
    theirs.set_timesteps(8)
    ours = sampler("heun", 8)
    assert torch.allclose(ours.timesteps / 1000, theirs.timesteps / 1000, atol=0.13)  # theirs ends at 1/1000
    assert len(ours.timesteps) == len(theirs.timesteps) == 15


@pytest.mark.parametrize("name", list(SAMPLERS))
def test_who_is_shown_the_way_arrives(name: str) -> None:
    generator = torch.Generator().manual_seed(1)
    noise, image = (torch.randn(1, 4, 2, 2, generator=generator) for _tensor in range(2))
    assert torch.allclose(drawn(sampler(name, 12, 1.8), noise, image), image, atol=0.02)


def test_heun_bends_where_the_way_bends() -> None:
    # dx/ds = x has the solution x(0) = x(1) / e: the error of Heun's steps falls with their square.
    errors = []
    for steps in (10, 20):
        made = sampler("heun", steps)
        latents = torch.ones(1, dtype=torch.float64)
        for timestep in made.timesteps:
            latents = made.step(latents, timestep, latents)
        errors.append(abs(float(latents) - math.exp(-1)))
    assert 1.9 < errors[0] / errors[1] < 5


@pytest.mark.parametrize("steps", [5, 30])
def test_renewed_noise_keeps_the_variance_of_each_level(steps: int) -> None:
    made = sampler("euler_a", steps)
    latents = made.begin(torch.randn(1, 1, 300, 300, generator=torch.Generator().manual_seed(2)))
    for done, timestep in enumerate(made.timesteps[:-1]):
        latents = made.step(latents / (timestep / 1000), timestep, latents)  # the image is nothing but zeros
        wanted = float(levels(steps, 1.0)[done + 1])
        assert float(latents.std()) == pytest.approx(wanted, rel=0.02)
