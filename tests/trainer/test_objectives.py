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
from scheduled import CONFIG, Scheduled

from lora_tui.config.schema import LearningSection, NoiseSection
from lora_tui.errors import UserError
from lora_tui.trainer.data.prepared import Prepared
from lora_tui.trainer.objectives.diffusion import Diffusion
from lora_tui.trainer.objectives.losses import loss_for, threshold
from lora_tui.trainer.objectives.masked import image_means
from lora_tui.trainer.objectives.noise import draw_noise, fixed_noise, lifted, pyramid_noise, showing
from lora_tui.trainer.objectives.tables import alphas_cumprod, snr
from lora_tui.trainer.objectives.told import noise_metadata
from lora_tui.trainer.objectives.weights import debiased_weights, min_snr_weights, p2_weights, velocity_like_weights
from lora_tui.trainer.optim.schedules import SCHEDULES, rate_factor, try_schedule
from lora_tui.trainer.step import StepFunction


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


def _rates(scheduler: Any, optimizer: torch.optim.Optimizer, steps: int) -> list[float]:
    found = []
    for _step in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def test_later_schedules_are_those_of_transformers_and_of_the_paper() -> None:
    """transformers' decay, inverse root and cosine with a least rate; pytorch-optimizer's REX (Chen et al. 2021)."""
    from pytorch_optimizer.lr_scheduler.rex import REXScheduler
    from transformers import optimization as theirs

    def bare() -> torch.optim.Optimizer:
        return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)

    def ours(total: int, first: int = 0, **section: Any) -> list[float]:
        learning = LearningSection(**section)
        return [rate_factor(learning, step, total) for step in range(first, total)]

    for shape, named in (("cosine", "cosine"), ("linear", "linear"), ("sqrt", "1-sqrt")):
        one = bare()
        scheduler = theirs.get_wsd_schedule(one, 10, 15, num_training_steps=50, decay_type=named, min_lr_ratio=0.1)
        found = ours(50, 10, schedule="warmup_stable_decay", warmup=10, decay=15, decay_shape=shape, final=0.1)
        assert found == pytest.approx(_rates(scheduler, one, 50)[10:])
        by_share = {"warmup_share": 0.2, "decay_share": 0.3}
        assert found == ours(50, 10, schedule="warmup_stable_decay", decay_shape=shape, final=0.1, **by_share)
    one = bare()
    root = _rates(theirs.get_inverse_sqrt_schedule(one, 10), one, 50)[10:]
    assert ours(50, 10, schedule="inverse_sqrt", warmup=10) == pytest.approx(root)
    assert ours(50, 10, schedule="inverse_sqrt", warmup_share=0.2) == pytest.approx(root)
    one = bare()
    scaled = _rates(theirs.get_inverse_sqrt_schedule(one, 0, timescale=7), one, 50)
    assert ours(50, schedule="inverse_sqrt", timescale=7) == pytest.approx(scaled)
    one = bare()
    cosine = theirs.get_cosine_with_min_lr_schedule_with_warmup(one, 0, 50, min_lr_rate=0.2)
    assert ours(50, schedule="cosine", final=0.2) == pytest.approx(_rates(cosine, one, 50))
    rex = REXScheduler(bare(), 50)
    assert ours(50, schedule="rex") == pytest.approx([1.0, *(rex.step() for _step in range(49))])


def test_a_schedule_may_be_any_class_and_goes_on_from_any_step() -> None:
    from torch.optim import lr_scheduler

    def ours(kind: str, args: list[str], **section: Any) -> LearningSection:
        return LearningSection(schedule="other", schedule_class=kind, schedule_args=args, **section)

    stairs = ours("torch.optim.lr_scheduler.StepLR", ["step_size=10", "gamma=0.5"], warmup=5)
    assert rate_factor(stairs, 44, 50) == 0.125  # asked for first, as after a resume
    one = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = _rates(lr_scheduler.StepLR(one, 10, 0.5), one, 45)
    assert [rate_factor(stairs, step, 50) for step in range(5, 50)] == pytest.approx(theirs)
    assert rate_factor(stairs, 0, 50) == pytest.approx(1 / 6)
    one = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    waves = ours("torch.optim.lr_scheduler.CosineAnnealingLR", ["T_max={steps}", "eta_min=0.1"])
    theirs = _rates(lr_scheduler.CosineAnnealingLR(one, 40, 0.1), one, 40)
    assert [rate_factor(waves, step, 40) for step in range(40)] == pytest.approx(theirs)
    once = ours("torch.optim.lr_scheduler.OneCycleLR", ["max_lr=1", "total_steps={steps}"])
    for total in (5, 40):  # which knows no step beyond its last
        assert rate_factor(once, total - 1, total) < rate_factor(once, 0, total) < 0.1
    for sound in (waves, once):
        try_schedule(sound)
    for wrong in (
        ours("torch.optim.lr_scheduler.StepLR", []),
        ours("torch.optim.lr_scheduler.ReduceLROnPlateau", []),  # it wants to be told a loss
        ours("torch.optim.lr_scheduler.None", []),
    ):
        with pytest.raises(UserError):
            try_schedule(wrong)


@given(
    schedule=st.sampled_from([name for name in SCHEDULES if name != "other"]),
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
    return draw_noise(generator, (4, 64, 64), NoiseSection(noise_offset=offset)).noise, timestep


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


@pytest.mark.parametrize("kind", ["sigmoid", "content", "style"])
def test_timesteps_are_drawn_where_they_are_wanted(kind: str) -> None:
    """ai-toolkit takes a cubed even number as the index of a falling schedule for content, one less it for style."""
    objective = _epsilon(timesteps=kind, min_timestep=100, max_timestep=900)
    for seed in range(200):
        even = float(torch.rand((), generator=torch.Generator().manual_seed(seed), dtype=torch.float64))
        normal = torch.randn((), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        share = {"sigmoid": float(torch.sigmoid(normal)), "content": 1 - even**3, "style": 1 - (1 - even**3)}[kind]
        drawn = objective.draw(torch.Generator().manual_seed(seed), 64, 64)
        assert 100 <= drawn < 900
        assert drawn == pytest.approx(100 + 800 * share, abs=1)
    assert objective.levels(4) == [200, 400, 600, 800]
    told = noise_metadata(Scheduled(), NoiseSection(timesteps=kind))  # type: ignore[arg-type]
    assert told["ss_timestep_distribution"] == kind


def test_noise_is_standard_normal_and_the_offset_shifts_channels() -> None:
    noise = fixed_noise((4, 64, 64), "x")
    assert noise.mean().item() == pytest.approx(0, abs=0.05)
    assert noise.std().item() == pytest.approx(1, abs=0.05)
    difference = _shown(1, "a", offset=0.5)[0] - _shown(1, "a")[0]
    assert difference.std(dim=(1, 2)).max() < 1e-5
    assert difference.mean(dim=(1, 2)).abs().max() > 0.05


def test_masked_errors_by_area_and_as_sd_scripts_counts_them() -> None:
    errors = torch.rand(3, 4, 2, 2, generator=torch.Generator().manual_seed(1))
    mask = torch.ones(3, 1, 2, 2)
    mask[1] = torch.tensor([[1.0, 0.0], [0.0, 0.5]])
    mask[2] = 0.0
    by_area = image_means(errors, mask, by_area=True)
    whole = image_means(errors, mask, by_area=False)
    inside = errors[1, :, 0, 0].sum() + errors[1, :, 1, 1].sum() / 2
    assert torch.allclose(by_area, torch.stack([errors[0].mean(), inside / (1.5 * 4), torch.tensor(0.0)]))
    assert torch.allclose(whole, torch.stack([errors[0].mean(), inside / 16, torch.tensor(0.0)]))
    assert torch.equal(image_means(errors, None, by_area=True), errors.mean(dim=(1, 2, 3)))


def _ratio(step: int) -> float:
    """SNR in plain arithmetic: the product of 1 - beta."""
    kept = 1.0
    for number in range(step + 1):
        kept *= 1 - (0.00085**0.5 + (0.012**0.5 - 0.00085**0.5) * number / 999) ** 2
    return kept / (1 - kept)


@pytest.mark.parametrize("step", [0, 300, 999])
def test_weights_are_those_of_sd_scripts_in_plain_arithmetic(step: int) -> None:
    """custom_train_functions.py: apply_debiased_estimation, scale_v_..., add_v_prediction_like_loss, capped at 1000."""
    ratio, capped, at = _ratio(step), min(_ratio(step), 1000.0), torch.tensor([step])

    def weight(objective: Diffusion) -> float:
        found = objective.weights(at)
        assert found is not None
        return float(found[0])

    near = {"rel": 1e-3}
    assert weight(_epsilon(debiased=True)) == pytest.approx(1 / math.sqrt(capped), **near)
    assert weight(_velocity(debiased=True)) == pytest.approx(1 / (capped + 1), **near)
    assert weight(_velocity(scale_v_pred=True)) == pytest.approx(capped / (capped + 1), **near)
    assert weight(_epsilon(v_pred_like=0.5)) == pytest.approx(1 + 0.5 * (capped + 1) / capped, **near)
    assert weight(_epsilon(p2_gamma=2.0)) == pytest.approx((1 + ratio) ** -2, **near)
    assert weight(_velocity(p2_gamma=1.0)) == pytest.approx(ratio / (1 + ratio) ** 2, **near)
    both = _epsilon(min_snr_gamma=5.0, debiased=True)
    assert weight(both) == pytest.approx(min(ratio, 5) / ratio / math.sqrt(capped), **near)
    assert _epsilon(scale_v_pred=True).weights(at) is None
    assert _velocity(v_pred_like=0.5).weights(at) is None


def test_weights_are_finite_at_both_ends() -> None:
    ends = torch.tensor([0.0, 1e9, math.inf])
    for weights in (debiased_weights(ends[1:]), velocity_like_weights(ends[1:], 0.5), p2_weights(ends[:2], 1.0)):
        assert torch.isfinite(weights).all()
    assert min_snr_weights(ends[:1], 5.0, velocity=True) == 0


def test_a_zero_terminal_end_is_chosen_and_weighs_by_either_snr() -> None:
    last = torch.tensor([999])
    on = _velocity(zero_terminal_snr="on", min_snr_gamma=5.0)
    assert on.ratios(last) == 0
    assert on.weights(last) == 0
    noise = torch.randn(1, 4, 4, 4)
    assert torch.equal(on.add_noise(torch.randn(1, 4, 4, 4), noise, last), noise)
    before = _velocity(zero_terminal_snr="on", min_snr_gamma=5.0, snr_before_zero=True)
    assert before.ratios(last) == 0
    assert torch.equal(before.weights(last), _velocity(min_snr_gamma=5.0).weights(last))  # type: ignore[arg-type]
    own = Scheduled("v_prediction", rescale_betas_zero_snr=True)
    assert Diffusion(own, NoiseSection()).ratios(last) == 0  # type: ignore[arg-type]
    assert Diffusion(own, NoiseSection(zero_terminal_snr="off")).ratios(last) > 0  # type: ignore[arg-type]
    assert noise_metadata(own, NoiseSection())["ss_zero_terminal_snr"] is True  # type: ignore[arg-type]
    with pytest.raises(UserError):
        _epsilon(zero_terminal_snr="on")


@pytest.mark.parametrize("schedule", ["constant", "exponential", "snr"])
@pytest.mark.parametrize("loss", ["huber", "smooth_l1"])
def test_bent_losses_are_those_of_sd_scripts_in_plain_arithmetic(loss: str, schedule: str) -> None:
    """train_util.py: get_huber_threshold_if_needed and conditional_loss."""
    section = NoiseSection(loss=loss, huber_schedule=schedule, huber_c=0.2, huber_scale=1.5)  # type: ignore[arg-type]
    predicted, target = torch.randn(3, 2, 2, 2), torch.randn(3, 2, 2, 2)
    steps = [0, 400, 999]
    found = loss_for(section, _epsilon().ratios)(predicted, target, torch.tensor(steps))
    for row, step in enumerate(steps):
        bend = {
            "constant": 0.2 * 1.5,
            "exponential": math.exp(math.log(0.2) / 1000 * step) * 1.5,
            "snr": 0.8 / (1 + _ratio(step) ** -0.5) ** 2 + 0.2,
        }[schedule]
        assert threshold(section, torch.tensor([step]), _epsilon().ratios) == pytest.approx(bend, rel=1e-3)
        root = math.sqrt(float(predicted[row, 0, 0, 0] - target[row, 0, 0, 0]) ** 2 + bend**2) - bend
        assert float(found[row, 0, 0, 0]) == pytest.approx(2 * root * (bend if loss == "huber" else 1), rel=2e-3)


def test_plain_losses_are_those_of_torch() -> None:
    predicted, target, at = torch.randn(3, 2, 2, 2), torch.randn(3, 2, 2, 2), torch.tensor([1, 2, 3])
    for name, theirs in (("l2", torch.nn.functional.mse_loss), ("l1", torch.nn.functional.l1_loss)):
        ours = loss_for(NoiseSection(loss=name), _epsilon().ratios)(predicted, target, at)  # type: ignore[arg-type]
        assert torch.equal(ours, theirs(predicted, target, reduction="none"))


def test_log_cosh_is_what_its_name_says_for_errors_of_any_size() -> None:
    errors = torch.tensor([0.0, 1e-3, -0.5, 3.0, -20.0, 500.0])
    found = loss_for(NoiseSection(loss="log_cosh"), _epsilon().ratios)(errors, torch.zeros(6), torch.zeros(6))
    expected = torch.log(torch.cosh(errors.double())).float()
    assert torch.allclose(found, expected, atol=1e-6)
    assert torch.isfinite(found * found).all()


def _noise(**section: Any) -> dict[str, torch.Tensor]:
    return draw_noise(showing(5, epoch=0, uid="a", repeat=0), (4, 32, 48), NoiseSection(**section)).tensors()


def test_every_kind_of_noise_is_named_and_leaves_the_first_draw_as_it_was() -> None:
    plain = _noise()["noise"]
    for section in (
        {"noise_offset": 0.1},
        {"noise_offset": 0.1, "offset_random": True},
        {"noise_offset": 0.1, "offset_adaptive": 0.5},
        {"ip_noise_gamma": 0.1, "ip_noise_random": True},
        {"pyramid_levels": 6},
    ):
        one, other = _noise(**section), _noise(**section)
        assert all(torch.equal(one[name], other[name]) for name in one)
    difference = _noise(noise_offset=0.1, offset_random=True)["noise"] - plain
    assert difference.std(dim=(1, 2)).max() < 1e-6
    assert difference.abs().max() < _noise(noise_offset=0.1)["noise"].sub(plain).abs().max()
    extra = _noise(ip_noise_gamma=0.1)
    assert torch.equal(extra["noise"], plain)
    assert extra["extra"].std().item() == pytest.approx(0.1, rel=0.05)


def test_an_adaptive_offset_follows_the_image() -> None:
    """sd-scripts' apply_noise_offset: (offset + scale |mean|), not below 0, times a normal number for each channel."""
    drawn = _noise(noise_offset=0.1, offset_adaptive=-0.05)
    latents = torch.stack([torch.full((32, 48), value) for value in (1.0, -1.0, 10.0, 0.0)])[None]
    found = lifted(drawn["noise"][None], drawn["lift"][None], drawn["strength"][None], latents, -0.05)[0]
    for channel, strength in enumerate((0.05, 0.05, 0.0, 0.1)):
        expected = drawn["noise"][channel] + strength * drawn["lift"][channel]
        assert torch.allclose(found[channel], expected, atol=1e-6)


def test_pyramid_noise_is_summed_level_by_level_as_its_author_does() -> None:
    """Whitaker's pyramid_noise_like, redone with the same draws: torch's Upsample of each level, then deviation 1."""
    fine = torch.randn((4, 24, 40), generator=torch.Generator().manual_seed(1))
    found = pyramid_noise(fine, torch.Generator().manual_seed(2), 6, 0.4)
    draws, expected, levels = torch.Generator().manual_seed(2), fine.double(), 0
    for level in range(6):
        ratio = torch.rand((), generator=draws).item() * 2 + 2
        size = (max(1, int(24 / ratio**level)), max(1, int(40 / ratio**level)))
        coarse = torch.randn((1, 4, *size), generator=draws)
        expected = expected + torch.nn.Upsample(size=(24, 40), mode="bilinear")(coarse)[0].double() * 0.4**level
        levels += 1
        if 1 in size:
            break
    assert levels > 2
    assert torch.allclose(found, (expected / expected.std()).float(), atol=1e-5)


def test_pyramid_noise_is_coarse_and_of_deviation_one() -> None:
    fine = torch.randn((4, 64, 64), generator=torch.Generator().manual_seed(1))
    coarse = pyramid_noise(fine, torch.Generator().manual_seed(2), 8, 0.8)
    assert coarse.std().item() == pytest.approx(1.0, abs=1e-5)

    def smoothness(noise: torch.Tensor) -> float:
        return float(torch.nn.functional.avg_pool2d(noise[None], 16).std())

    assert smoothness(coarse) > 4 * smoothness(fine)
    one = pyramid_noise(fine, torch.Generator().manual_seed(2), 1, 0.8)
    assert smoothness(one) < 1.3 * smoothness(fine)  # the first level is as fine as the noise itself


def test_perturbed_noise_is_seen_and_not_to_be_found() -> None:
    """sd-scripts' ip_noise_gamma: the model sees noise + gamma x another noise, and is to find the noise alone."""
    seen: list[torch.Tensor] = []

    class Seeing:
        device, dtype = torch.device("cpu"), torch.float32

        def predict(self, noisy: torch.Tensor, _timesteps: object, _told: object) -> torch.Tensor:
            seen.append(noisy)
            return torch.zeros_like(noisy)

    draw = torch.Generator().manual_seed(4)
    latents, noise, extra = (torch.randn(2, 4, 3, 3, generator=draw) for _tensor in range(3))
    timesteps = torch.tensor([100, 800])
    inputs = {"latents": latents, "noise": noise, "extra": 0.1 * extra, "timesteps": timesteps}
    step = StepFunction(Seeing(), _epsilon(), lambda predicted, target, _steps: (predicted - target) ** 2)  # type: ignore[arg-type]
    losses = step.losses(Prepared(2, inputs))
    expected = DDPMScheduler(**CONFIG).add_noise(latents, noise + 0.1 * extra, timesteps)
    assert torch.allclose(seen[0], expected, atol=1e-6)
    assert torch.allclose(losses, (noise**2).mean(dim=(1, 2, 3)))


def test_images_of_the_class_count_what_they_are_told_to() -> None:
    """A model that sees nothing but zeros errs by the noise's square, times the weight of its image."""

    class Blind:
        device, dtype = torch.device("cpu"), torch.float32

        def predict(self, noisy: torch.Tensor, _timesteps: object, _told: object) -> torch.Tensor:
            return torch.zeros_like(noisy)

    class Noise:
        def add_noise(self, latents: torch.Tensor, noise: torch.Tensor, _timesteps: object) -> torch.Tensor:
            return latents + noise

        def target(self, _latents: object, noise: torch.Tensor, _timesteps: object) -> torch.Tensor:
            return noise

        def weights(self, _timesteps: object) -> None:
            return None

    noise = torch.randn(2, 4, 3, 3, generator=torch.Generator().manual_seed(2))
    inputs = {"latents": torch.zeros(2, 4, 3, 3), "noise": noise, "timesteps": torch.tensor([1, 2])}
    step = StepFunction(Blind(), Noise(), lambda predicted, target, _steps: (predicted - target) ** 2)  # type: ignore[arg-type]
    plain = step.losses(Prepared(2, dict(inputs)))
    weighted = step.losses(Prepared(2, {**inputs, "weight": torch.tensor([1.0, 0.25])}))
    assert torch.allclose(plain, (noise**2).mean(dim=(1, 2, 3)))
    assert torch.allclose(weighted, plain * torch.tensor([1.0, 0.25]))
