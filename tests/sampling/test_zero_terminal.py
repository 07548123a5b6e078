"""Schedules that end in noise alone: every sampler finds the picture that an oracle of velocity has in mind."""

from __future__ import annotations

import diffusers
import pytest
import torch

from lora_tui.sampling.samplers import SAMPLERS, Course, make_sampler
from lora_tui.trainer.objectives.tables import alphas_cumprod

CONFIG = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
}


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_from_noise_alone_to_the_picture(sampler: str) -> None:
    """Velocity is a * noise - s * picture (Salimans and Ho 2022, appendix D), of the one picture there is."""
    kept = alphas_cumprod(CONFIG).double()
    assert kept[-1] == 0
    picture = torch.linspace(-1, 1, 64, dtype=torch.float64).reshape(1, 1, 8, 8)
    generator = torch.Generator().manual_seed(1)
    course = Course(CONFIG, "v_prediction", 40, 1.0, generator, torch.device("cpu"))
    way = make_sampler(sampler, course)
    assert int(way.timesteps[0]) == 999
    latents = way.begin(torch.randn(1, 1, 8, 8, dtype=torch.float64, generator=generator))
    for timestep in way.timesteps:
        seen = way.model_input(latents, timestep).double()
        a = torch.lerp(kept.sqrt()[int(timestep)], kept.sqrt()[min(int(timestep) + 1, 999)], float(timestep) % 1)
        share = (1 - a**2).sqrt()
        noise = (seen - a * picture) / share
        latents = way.step(a * noise - share * picture, timestep, latents).double()
    assert torch.isfinite(latents).all()
    left = float((1 - kept[0]).sqrt()) if sampler in ("ddim", "plms") else 0.0  # they end at the first timestep
    assert (latents - picture).abs().max() < 0.05 + 4 * left


@pytest.mark.parametrize("sampler", ["dpm2", "dpm2_a"])
def test_a_sampler_works_out_no_steps_but_its_own(sampler: str) -> None:
    """What diffusers works out one by one for all of a training's steps, and warns at each."""
    asked: list[None] = []
    with pytest.MonkeyPatch.context() as patch:
        for kind in (diffusers.KDPM2DiscreteScheduler, diffusers.KDPM2AncestralDiscreteScheduler):
            plain = kind._sigma_to_t
            counted = lambda *given, plain=plain: asked.append(None) or plain(*given)  # noqa: E731
            patch.setattr(kind, "_sigma_to_t", counted)
        make_sampler(sampler, Course(CONFIG, "v_prediction", 4, 1.0, None, torch.device("cpu")))
    assert 0 < len(asked) < 50
