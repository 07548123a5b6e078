"""Flow matching: how noise levels are drawn, shifted and weighed, against diffusers and plain arithmetic."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from diffusers.training_utils import compute_density_for_timestep_sampling
from scheduled import Scheduled

from lora_tui.config.schema import NoiseSection
from lora_tui.families.separate.model_patches import shift_power
from lora_tui.trainer.objectives.flow import Flow, FlowSettings, draw_level, mode_level, shifted
from lora_tui.trainer.objectives.noise import showing
from lora_tui.trainer.objectives.told import noise_metadata

CONFIG = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}


FLOWS: list[tuple[FlowSettings, dict[str, Any]]] = [
    (FlowSettings("logit_normal", mean=0.4, deviation=1.3), {"logit_mean": 0.4, "logit_std": 1.3}),
    (FlowSettings("mode", scale=1.29), {"mode_scale": 1.29}),
    (FlowSettings("uniform"), {}),
]


@pytest.mark.parametrize(("settings", "theirs"), FLOWS, ids=[one.sampling for one, _ in FLOWS])
def test_levels_of_flow_are_spread_as_diffusers_spreads_them(settings: FlowSettings, theirs: dict[str, Any]) -> None:
    count = 4000
    generator = torch.Generator().manual_seed(3)
    ours = sorted(draw_level(generator, settings) for _number in range(count))
    scheme = settings.sampling if theirs else "none"
    arguments = {"logit_mean": 0.0, "logit_std": 1.0, "mode_scale": 1.0, **theirs}
    expected = compute_density_for_timestep_sampling(
        scheme, count, generator=torch.Generator().manual_seed(4), **arguments
    )
    gaps = torch.tensor(ours) - torch.sort(expected.double()).values
    assert gaps.abs().max() < 0.05  # two samples of 4000 of one distribution
    assert ours[0] >= 0 and ours[-1] <= 1


def test_sigmoid_levels_are_the_sigmoid_of_a_scaled_normal_number() -> None:
    """sd-scripts' timestep_sampling "sigmoid" and "shift": sigmoid(scale x randn), then s x / (1 + (s - 1) x)."""

    class Flowing(Scheduled):
        def shift(self, width: int, height: int) -> float:
            return 1.0

    section = NoiseSection(flow_sampling="sigmoid", flow_scale=1.7, flow_shift=3.1582)
    flow = Flow(Flowing("flow"), section)  # type: ignore[arg-type]
    drawn = [flow.draw(torch.Generator().manual_seed(seed), 64, 64) for seed in range(50)]
    for seed, level in enumerate(drawn):
        normal = torch.randn((), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        plain = torch.sigmoid(1.7 * normal)
        assert level == pytest.approx(float(1000 * 3.1582 * plain / (1 + 2.1582 * plain)))


def test_shifts_of_flow_are_those_of_diffusers_scheduler() -> None:
    from diffusers import FlowMatchEulerDiscreteScheduler

    theirs = FlowMatchEulerDiscreteScheduler(shift=3.0)
    for index in (0, 300, 900):
        assert shifted((1000 - index) / 1000, 3.0) == pytest.approx(float(theirs.sigmas[index]), abs=1e-6)
    dynamic = FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True)
    assert dynamic.time_shift(0.7, 1.0, torch.tensor(0.3)) == pytest.approx(shifted(0.3, math.exp(0.7)))
    assert mode_level(0.25, 0.0) == 0.75


def test_flow_mixes_and_aims_as_diffusers_does() -> None:
    from diffusers import FlowMatchEulerDiscreteScheduler

    class Flowing(Scheduled):
        def shift(self, width: int, height: int) -> float:
            return 2.0

    flow = Flow(Flowing("flow"), NoiseSection(min_timestep=100, max_timestep=900))  # type: ignore[arg-type]
    latents, noise = torch.randn(2, 4, 4, 4), torch.randn(2, 4, 4, 4)
    scheduler = FlowMatchEulerDiscreteScheduler()
    steps = scheduler.timesteps[[250, 750]]
    assert torch.allclose(
        flow.add_noise(latents, noise, steps), scheduler.scale_noise(latents, steps, noise), atol=1e-5
    )
    assert torch.equal(flow.target(latents, noise, steps), noise - latents)
    drawn = [flow.draw(showing(1, epoch=0, uid=str(n), repeat=0), 64, 64) for n in range(300)]
    assert min(drawn) >= 100 and max(drawn) <= 900
    assert sum(drawn) / 300 > 550  # shifted towards noise
    assert flow.levels(2) == pytest.approx([300, 700])
    assert flow.ratios(torch.tensor([500.0])) == 1
    plain = Flow(Flowing("flow"), NoiseSection(flow_sampling="logit_normal", flow_mean=-2.0, flow_shift=1.0))  # type: ignore[arg-type]
    assert sum(plain.draw(showing(1, epoch=0, uid=str(n), repeat=0), 64, 64) for n in range(300)) / 300 < 200
    told = noise_metadata(Flowing("flow"), NoiseSection(flow_sampling="mode", flow_scale=1.29, flow_shift=3.0))  # type: ignore[arg-type]
    assert (told["ss_weighting_scheme"], told["ss_mode_scale"], told["ss_discrete_flow_shift"]) == ("mode", 1.29, 3.0)


@pytest.mark.parametrize(
    ("own", "sampling", "set_to", "word", "told"),
    [
        ("by size", "sigmoid", 0.0, "flux_shift", None),
        ("by size", "sigmoid", 3.1582, "shift", 3.1582),
        ("by size", "sigmoid", 1.0, "sigmoid", 1.0),
        ("by size", "logit_normal", 0.0, "sigma", None),
        ("by size", "uniform", 1.0, "uniform", 1.0),
        ("constant", "sigmoid", 0.0, "shift", 3.0),
        ("constant", "logit_normal", 0.0, "sigma", 3.0),
        ("constant", "uniform", 0.0, "sigma", 3.0),
    ],
)
def test_draws_are_called_what_sd_scripts_calls_them(
    own: str, sampling: Any, set_to: float, word: str, told: float | None
) -> None:
    """A model that shifts by the size of an image, as FLUX.1 does, or always alike, as SD3 does."""
    model = Scheduled("flow")
    model.shift = lambda width, height: 3.0 if own == "constant" else 1.0 + width * height / 2**20  # type: ignore[attr-defined]
    written = noise_metadata(model, NoiseSection(flow_sampling=sampling, flow_shift=set_to))  # type: ignore[arg-type]
    assert (written["ss_timestep_sampling"], written["ss_discrete_flow_shift"]) == (word, told)
    assert written["ss_sigmoid_scale"] == (1.0 if sampling == "sigmoid" else None)


@pytest.mark.parametrize(("width", "height"), [(256, 256), (512, 512), (768, 1344), (1024, 1024), (2048, 1024)])
def test_levels_of_flux_are_shifted_by_the_size_as_its_pipeline_shifts_them(width: int, height: int) -> None:
    """diffusers' calculate_shift over tokens of 16 x 16 px, then its scheduler's time_shift; sd-scripts' flux_shift."""
    from diffusers import FlowMatchEulerDiscreteScheduler
    from diffusers.pipelines.flux.pipeline_flux import calculate_shift

    power = shift_power((width // 16) * (height // 16))
    assert power == pytest.approx(calculate_shift((width // 16) * (height // 16)))
    theirs = FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True).time_shift(power, 1.0, torch.tensor(0.4))
    assert shifted(0.4, math.exp(power)) == pytest.approx(float(theirs))


def test_weights_of_flow_are_those_of_diffusers_and_of_ai_toolkits_table() -> None:
    """compute_loss_weighting_for_sd3; ai-toolkit's bell is a table of 1,000 steps that is 1 on average."""
    from diffusers.training_utils import compute_loss_weighting_for_sd3

    steps = torch.arange(50.0, 1000.0, 50.0)
    model = Scheduled("flow")
    model.shift = lambda width, height: 1.0  # type: ignore[attr-defined]

    def weights(kind: str) -> torch.Tensor | None:
        return Flow(model, NoiseSection(flow_weighting=kind)).weights(steps)  # type: ignore[arg-type]

    assert weights("none") is None
    for kind in ("cosmap", "sigma_sqrt"):
        assert torch.allclose(weights(kind), compute_loss_weighting_for_sd3(kind, steps / 1000))  # type: ignore[arg-type]
    table = torch.exp(-2 * ((torch.arange(1000) - 500) / 1000) ** 2)
    table = (table - table.min()) * 1000 / (table - table.min()).sum()
    assert torch.allclose(weights("bell"), table[steps.long()], rtol=1e-3)  # type: ignore[arg-type]
    ends = Flow(model, NoiseSection(flow_weighting="sigma_sqrt")).weights(torch.tensor([0.0]))  # type: ignore[arg-type]
    assert ends == 1000
    told = noise_metadata(model, NoiseSection(flow_weighting="bell"))  # type: ignore[arg-type]
    assert (told["ss_weighting_scheme"], told["ss_flow_weighting"]) == ("bell", "bell")
