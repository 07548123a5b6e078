"""Every family learns with every adapter it has, and ends with the same bits when its run is killed and resumed."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import lora_models
import pytest
import torch
from kills import MOMENTS, Moment, assert_same_bits, every_phase, live_through, phase, step, temporary
from lives import draw_dataset, events, live_here, micro_config, new_run
from safetensors.torch import load_file

from lora_tui.bench.model import write_model
from lora_tui.config.schema import CaptionSection, Config, ModelSection, NetworkSection, NoiseSection
from lora_tui.errors import UserError
from lora_tui.families import open_model
from lora_tui.families.protocol import Framing, latent_shape
from lora_tui.trainer.adapters.kinds import attach
from lora_tui.trainer.objectives.losses import loss_for
from lora_tui.trainer.objectives.objective import objective_for
from lora_tui.trainer.step import StepFunction

CPU = torch.device("cpu")
VELOCITY = {"prediction_type": "v_prediction"}
#: name -> family and what its schedule says besides the family's own
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "sd15": ("sd15", {}),
    "sd2": ("sd2", {}),
    "sd2 v": ("sd2", VELOCITY),
    "sdxl": ("sdxl", {}),
    "sdxl v, zero-terminal": ("sdxl", {**VELOCITY, "rescale_betas_zero_snr": True}),
    "flux dev": ("flux", {}),
    "flux.2 klein": ("flux2", {}),
    "sd3.5 medium": ("sd3", {}),
    "chroma": ("chroma", {}),
    "z-image": ("zimage", {}),
    "qwen-image": ("qwen", {}),
}
OTHERS = lora_models.WRITERS
"""Writers of transformers, which have no convolutions."""
ADAPTERS: dict[str, dict[str, Any]] = {"lora": {}, "locon": {"type": "locon", "conv_rank": 4}, "dora": {"dora": True}}
QUICK = {
    ("sd2 v", "lora"),
    ("sdxl v, zero-terminal", "locon"),
    ("sdxl", "dora"),
    ("flux dev", "lora"),
    ("flux.2 klein", "lora"),
    ("z-image", "lora"),
    ("qwen-image", "lora"),
}
"""What the quick suite looks at; the others are of the same code."""


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Base models by name, written when the first test of this file begins."""
    return {}


def _base(bases: dict[str, Path], name: str, factory: pytest.TempPathFactory) -> Path:
    if name not in bases:
        family, schedule = MODELS[name]
        folder = factory.mktemp("base") / "model"
        bases[name] = (
            OTHERS[family](folder, seed=1)
            if family in OTHERS
            else write_model(folder, seed=1, family=family, schedule=schedule)
        )
    return bases[name]


def _pairs() -> list[Any]:
    pairs = [(name, kind) for name in MODELS for kind in ADAPTERS if (MODELS[name][0] not in OTHERS or kind != "locon")]
    return [pytest.param(*pair, marks=[] if pair in QUICK else pytest.mark.slow) for pair in pairs]


@pytest.mark.parametrize(("name", "kind"), _pairs())
def test_the_loss_falls(name: str, kind: str, bases: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Two images, two noise levels, fixed noise, a dozen updates: nothing but learning can lower this loss."""
    section = ModelSection(base=str(_base(bases, name, tmp_path_factory)), family=MODELS[name][0])  # type: ignore[arg-type]
    model = open_model(section, CaptionSection(), device=CPU, dtype=torch.float32)
    network = NetworkSection(rank=4, alpha=4.0, conv_alpha=4.0, **ADAPTERS[kind])
    targets = model.targets(text_encoder=False, convolutions=network.convolutions)
    adapter = attach(network, model.adapted_modules(text_encoder=False), targets, seed=1, device=CPU)
    objective = objective_for(model, NoiseSection())
    step_function = StepFunction(model, objective, loss_for(NoiseSection(), objective.ratios))
    texts = ["a red disc", "something blue"]
    with torch.no_grad():
        told = model.encode_text(model.tokenize(texts, model.text_length(texts)))
    told |= model.picture_conditioning([Framing((64, 64), (0, 0), (64, 64))] * 2)
    latents, noise = torch.randn(2, 2, *latent_shape(model.facts, 64, 64), generator=torch.Generator().manual_seed(3))
    timesteps = objective.as_tensor(objective.levels(2))
    optimizer = torch.optim.AdamW(adapter.groups({model.facts.denoiser: 1e-2}))
    losses = []
    for _update in range(12):
        loss = step_function.error(latents, noise, timesteps, told).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.92 * losses[0], losses


def _config(base: Path, data: Path, family: str, **changes: Any) -> Config:
    return every_phase(base, data, model={"family": family}, data={"bucket_step": 16}, **changes)


KILLED: list[tuple[str, Moment]] = [
    ("sd2 v", step(2)),
    ("sdxl", phase("saving", "state")),
    ("flux dev", temporary("checkpoints", ".*.tmp", "checkpoint")),
]


@pytest.mark.parametrize(("name", "moment"), KILLED, ids=[name for name, _moment in KILLED])
def test_killed_once_and_still_bit_equal(
    name: str, moment: Moment, bases: dict[str, Path], tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    """In the order: an update, the writing of a state, that of a LoRA file."""
    data = draw_dataset(tmp_path / "data", 6)
    base = _base(bases, name, tmp_path_factory)
    config = _config(base, data, MODELS[name][0], steps={"epochs": 4, "batch_size": 2}, samples=[])
    reference, run = new_run(tmp_path / "reference", config), new_run(tmp_path / "killed", config)
    assert live_here(reference) == 0
    assert live_through(run, [moment], random.Random(5), tmp_path / "home") == 1
    assert events(run, "resumed")
    assert_same_bits(reference, run)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in MODELS if name != "sd15"])
def test_killed_at_every_moment_and_still_bit_equal(
    name: str, bases: dict[str, Path], data: Path, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    config = _config(_base(bases, name, tmp_path_factory), data, MODELS[name][0])
    reference, run = new_run(tmp_path / "reference", config), new_run(tmp_path / "killed", config)
    assert live_here(reference) == 0
    rng = random.Random(os.environ.get("LORA_TUI_TEST_SEED", "7"))
    assert live_through(run, MOMENTS, rng, tmp_path / "home") >= 10
    assert_same_bits(reference, run)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == "flux dev" else pytest.mark.slow) for name in MODELS]
)
def test_a_run_that_learns_only_nan_stops_with_its_last_good_state(
    name: str, bases: dict[str, Path], tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    data = draw_dataset(tmp_path / "data", 4)
    config = micro_config(
        _base(bases, name, tmp_path_factory), data, samples=[], model={"family": MODELS[name][0]},
        steps={"epochs": 400, "batch_size": 2}, data={"bucket_step": 16}, validation={"mode": "off"},
        learning={"unet_lr": 10.0, "schedule": "constant"}, optimizer={"max_grad_norm": 0.0, "weight_decay": 10.0},
        network={"alpha": 1024.0, "text_encoder": False}, saving={"state_every_steps": 4, "every_epochs": 0},
    )  # fmt: skip
    run = new_run(tmp_path / "runs", config)
    with pytest.raises(UserError) as caught:
        live_here(run)
    assert caught.value.code == "nan" and "learning rate" in caught.value.remedy
    assert any(f"{number:03}.png" in caught.value.message for number in range(4))
    newest = sorted(run.state_dir.iterdir())[-1]
    kept = load_file(newest / "adapter.safetensors")
    assert kept and all(tensor.isfinite().all() for tensor in kept.values())
    assert not list(run.checkpoints_dir.iterdir())
