"""Noise, weights and schedules against diffusers' own functions and plain arithmetic."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from diffusers import DDPMScheduler
from diffusers.optimization import get_scheduler
from diffusers.training_utils import compute_snr
from hypothesis import given
from hypothesis import strategies as st

from lora_tui.config.schema import LearningSection, NoiseSection
from lora_tui.trainer.objectives.diffusion import Diffusion
from lora_tui.trainer.objectives.noise import fixed_noise, offset_noise, showing
from lora_tui.trainer.objectives.tables import alphas_cumprod, snr
from lora_tui.trainer.objectives.weights import min_snr_weights
from lora_tui.trainer.optim.schedules import rate_factor

CONFIG = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}


class Scheduled:
    """As much of a model as an objective looks at."""

    device = torch.device("cpu")

    def __init__(self, prediction: str = "epsilon", **schedule: Any) -> None:
        self.prediction = prediction
        self._schedule = schedule

    def scheduler_config(self) -> dict[str, Any]:
        return {**CONFIG, **self._schedule}


def _epsilon(**section: Any) -> Diffusion:
    return Diffusion(Scheduled(), NoiseSection(**section))  # type: ignore[arg-type]


def _velocity(**section: Any) -> Diffusion:
    return Diffusion(Scheduled("v_prediction"), NoiseSection(**section))  # type: ignore[arg-type]


def test_noise_is_added_as_diffusers_adds_it() -> None:
    theirs = DDPMScheduler(**CONFIG)
    latents, noise = torch.randn(5, 4, 8, 8), torch.randn(5, 4, 8, 8)
    timesteps = torch.tensor([0, 1, 500, 998, 999])
    ours = _epsilon().add_noise(latents, noise, timesteps)
    assert torch.allclose(ours, theirs.add_noise(latents, noise, timesteps), atol=1e-6)


def test_velocity_is_that_of_diffusers() -> None:
    latents, noise = torch.randn(5, 4, 8, 8), torch.randn(5, 4, 8, 8)
    timesteps = torch.tensor([0, 1, 500, 998, 999])
    theirs = DDPMScheduler(**CONFIG).get_velocity(latents, noise, timesteps)
    assert torch.allclose(_velocity().target(latents, noise, timesteps), theirs, atol=1e-6)
    assert torch.equal(_epsilon().target(latents, noise, timesteps), noise)
    assert torch.equal(
        _velocity().add_noise(latents, noise, timesteps), _epsilon().add_noise(latents, noise, timesteps)
    )


def test_a_table_that_ends_in_nothing_but_noise_is_that_of_diffusers() -> None:
    theirs = DDPMScheduler(**CONFIG, rescale_betas_zero_snr=True).alphas_cumprod
    ours = alphas_cumprod({**CONFIG, "rescale_betas_zero_snr": True})
    assert torch.allclose(ours, theirs, atol=1e-6)
    assert ours[-1] == 0


def test_snr_and_its_weights() -> None:
    timesteps = torch.arange(0, 1000, 37)
    theirs = compute_snr(DDPMScheduler(**CONFIG), timesteps)
    ours = snr(alphas_cumprod(CONFIG)[timesteps])
    assert torch.allclose(ours, theirs, rtol=1e-4)
    expected = torch.stack([theirs, torch.full_like(theirs, 5.0)], dim=1).min(dim=1)[0] / theirs
    assert torch.allclose(min_snr_weights(ours, 5.0), expected, rtol=1e-4)
    weights = _epsilon(min_snr_gamma=5.0).weights(timesteps)
    assert weights is not None
    assert torch.allclose(weights, expected, rtol=1e-4)
    assert _epsilon().weights(timesteps) is None
    of_velocity = _velocity(min_snr_gamma=5.0).weights(timesteps)  # as in diffusers' train_text_to_image.py
    assert of_velocity is not None
    assert torch.allclose(of_velocity, expected * theirs / (theirs + 1), rtol=1e-4)


def test_an_unknown_table_is_refused() -> None:
    with pytest.raises(ValueError, match="squaredcos"):
        alphas_cumprod({**CONFIG, "beta_schedule": "squaredcos_cap_v2"})


@pytest.mark.parametrize("name", ["constant", "linear", "cosine", "cosine_with_restarts", "polynomial"])
def test_schedules_equal_those_of_diffusers(name: str) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = get_scheduler(name, optimizer, num_warmup_steps=0, num_training_steps=50, num_cycles=3, power=2.0)
    if name == "cosine":  # here num_cycles counts waves: one half of one is the usual fall
        theirs = get_scheduler(name, optimizer, num_warmup_steps=0, num_training_steps=50, num_cycles=0.5)
    learning = LearningSection(schedule=name, restarts=3, power=2.0)  # type: ignore[arg-type]
    for step in range(50):
        # polynomial of diffusers ends at 1e-7 of the rate instead of 0
        assert rate_factor(learning, step, 50) == pytest.approx(theirs.get_last_lr()[0], abs=1e-6)
        optimizer.step()
        theirs.step()


@given(
    schedule=st.sampled_from(["constant", "linear", "cosine", "cosine_with_restarts", "polynomial"]),
    warmup=st.integers(0, 60),
    total=st.integers(1, 200),
    final=st.floats(0, 1),
)
def test_rates_stay_between_zero_and_one_and_rise_in_the_warm_up(
    schedule: str, warmup: int, total: int, final: float
) -> None:
    learning = LearningSection(schedule=schedule, warmup=warmup, final=final)  # type: ignore[arg-type]
    rates = [rate_factor(learning, step, total) for step in range(total)]
    assert all(0 <= rate <= 1 for rate in rates)
    rising = rates[: min(warmup, total - 1)]
    assert rising == sorted(rising)
    assert rates[0] > 0 or schedule == "linear"
    if schedule != "constant" and total > warmup + 1:
        assert min(rates[warmup:]) >= final - 1e-9


Showing = tuple[torch.Tensor, float]


def _shown(seed: int, uid: str, *, epoch: int = 0, repeat: int = 0, offset: float = 0.0, **section: Any) -> Showing:
    """Noise and timestep of one showing, drawn in the order in which a batch draws them."""
    generator = showing(seed, epoch=epoch, uid=uid, repeat=repeat)
    timestep = _epsilon(**section).draw(generator, 64, 64)
    return offset_noise(generator, (4, 64, 64), offset), timestep


def test_noise_is_named_not_counted() -> None:
    first = _shown(3, "0/a.png", epoch=2, repeat=1)
    _shown(3, "0/b.png")
    again = _shown(3, "0/a.png", epoch=2, repeat=1)
    assert torch.equal(first[0], again[0])
    assert first[1] == again[1]
    others = [_shown(3, "0/a.png", epoch=3, repeat=1), _shown(3, "0/a.png", epoch=2), _shown(4, "0/a.png", epoch=2)]
    assert all(not torch.equal(first[0], other[0]) for other in others)


def test_timesteps_cover_their_range_evenly() -> None:
    objective = _epsilon(min_timestep=100, max_timestep=300)
    drawn = [objective.draw(showing(1, epoch=0, uid=str(n), repeat=0), 64, 64) for n in range(4000)]
    assert min(drawn) >= 100
    assert max(drawn) < 300
    assert sum(drawn) / len(drawn) == pytest.approx(199.5, abs=4 * (200 / math.sqrt(12)) / math.sqrt(4000))
    assert objective.levels(4) == [125, 175, 225, 275]
    assert objective.as_tensor(objective.levels(4)).dtype == torch.long


def test_noise_is_standard_normal_and_the_offset_shifts_channels() -> None:
    noise = fixed_noise((4, 64, 64), "x")
    assert noise.mean().item() == pytest.approx(0, abs=0.05)
    assert noise.std().item() == pytest.approx(1, abs=0.05)
    difference = _shown(1, "a", offset=0.5)[0] - _shown(1, "a")[0]
    assert difference.std(dim=(1, 2)).max() < 1e-5
    assert difference.mean(dim=(1, 2)).abs().max() > 0.05
