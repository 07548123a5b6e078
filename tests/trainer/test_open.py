"""The trainer trains a family, an adapter, an optimizer and more that it has never heard of, by rows of its tables."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any, get_args

import pytest
from lives import events, lora, micro_config, new_run, same_tensors
from safetensors import safe_open

from lora_tui.choices import chosen
from lora_tui.config.schema import (
    Config,
    LearningSection,
    ModelSection,
    NetworkSection,
    NoiseSection,
    OptimizerSection,
    SamplePrompt,
    Section,
)
from lora_tui.errors import UserError
from lora_tui.families import FAMILIES, facts_for
from lora_tui.jobs.events import EventWriter
from lora_tui.runs.folder import RunFolder
from lora_tui.sampling.samplers import SAMPLERS, Entry
from lora_tui.trainer.adapters.kinds import ADAPTERS
from lora_tui.trainer.objectives.losses import LOSSES
from lora_tui.trainer.objectives.objective import OBJECTIVES
from lora_tui.trainer.optim.optimizers import OPTIMIZERS
from lora_tui.trainer.optim.schedules import SCHEDULES
from lora_tui.weights.names import NAMES, names_for


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The toy's rows in every table; its files are never imported otherwise."""
    for table, name, place in (
        (FAMILIES, "toy", "toy"),
        (NAMES, "toy", "toy.names"),
        (ADAPTERS, "scales", "toy.parts:attach"),
        (OPTIMIZERS, "wandering", "toy.parts:wandering"),
        (SCHEDULES, "halving", "toy.parts:halving"),
        (OBJECTIVES, "velocity", "toy.parts:Velocity"),
        (SAMPLERS, "flow", Entry("toy.parts:Euler", "toy.parts:Euler")),
    ):
        monkeypatch.setitem(table, name, place)  # type: ignore[arg-type]


def _toy_config(base: Path, folder: Path, /, **changes: Any) -> Config:
    """Settings as a schema that knows the toy would let them through."""
    learning = {"unet_lr": 1e-3, "text_encoder_lr": 1e-4}
    config = micro_config(base, folder, learning=learning, **{"data": {"bucket_step": 16}, **changes})
    prompt = SamplePrompt(prompt="blob disc", width=64, height=96, steps=3, guidance=3.5)
    updates: dict[str, Any] = {
        "model": config.model.model_copy(update={"family": "toy"}),
        "network": config.network.model_copy(update={"type": "scales"}),
        "optimizer": config.optimizer.model_copy(update={"type": "wandering"}),
        "learning": config.learning.model_copy(update={"schedule": "halving"}),
        "samples": [prompt.model_copy(update={"sampler": "flow"})],
    }
    return config.model_copy(update=updates)


def _live(run: RunFolder, config: Config, *, resume: bool = False) -> None:
    from lora_tui.trainer.life import live

    writer = EventWriter(run.events_path)
    try:
        assert live(run, config, writer, resume=resume) == 0
    finally:
        writer.close()


@pytest.fixture
def base(tmp_path: Path) -> Path:
    path = tmp_path / "toy.safetensors"
    path.write_bytes(b"seed 1")
    return path


WAYS = {
    "encoders trained, nothing cached": {"memory": {"cache_latents": False}},
    "all cached": {"network": {"text_encoder": False}},
}


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("way", WAYS)
def test_it_trains_saves_and_draws(way: str, base: Path, data: Path, tmp_path: Path) -> None:
    config = _toy_config(base, data, **WAYS[way])
    run = new_run(tmp_path / "runs", config)
    _live(run, config)
    validation = [event["loss"] for event in events(run, "validation")]
    assert min(validation[1:]) < validation[0]
    rates = [event["lr"]["transformer"] for event in events(run, "step")]
    assert rates[0] == 1e-3
    assert rates[-1] == 1e-3 / 8
    assert len(list(run.samples_dir.iterdir())) == 4
    with safe_open(run.checkpoints_dir / "blob.safetensors", framework="pt") as file:
        assert "transformer.blocks.0.scale.weight" in file.keys()  # noqa: SIM118 - not a dictionary
        assert ("text_encoder_2.out.scale.weight" in file.keys()) == config.network.text_encoder  # noqa: SIM118
        assert file.get_tensor("transformer.blocks.1.alpha").item() == pytest.approx(0.3)
        metadata = file.metadata()
    assert metadata["ss_network_module"] == "toy.scales"
    assert metadata["ss_optimizer"] == "toy.parts.Wandering(growth=1.01)"
    assert metadata["ss_base_model_version"] == "toy_v1"
    assert "modelspec.prediction_type" not in metadata  # ModelSpec has no word for it


@pytest.mark.usefixtures("rows")
def test_what_an_optimizer_keeps_in_its_groups_goes_on(
    base: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in the middle and resumed, it ends with the bits of a run that was not."""
    config = _toy_config(base, data, validation={"mode": "off"}, saving={"name": "blob", "precision": "fp32"})
    reference, run = new_run(tmp_path / "one", config), new_run(tmp_path / "two", config)
    _live(reference, config)
    emit = EventWriter.emit

    def stop_at_five(self: EventWriter, kind: str, **fields: Any) -> None:
        emit(self, kind, **fields)
        if kind == "step" and fields["step"] == 5:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(EventWriter, "emit", stop_at_five)
        _live(run, config)
    assert events(run, "finished")[-1]["step"] == 5
    _live(run, config, resume=True)
    assert not events(run, "warning")
    assert same_tensors(lora(reference), lora(run))


def test_every_choice_of_the_schema_has_its_row_and_every_row_leads_somewhere() -> None:
    assert set(_choices(ModelSection, "family")) == set(FAMILIES) == set(NAMES)
    assert set(_choices(NetworkSection, "type")) == set(ADAPTERS)
    assert set(_choices(OptimizerSection, "type")) == set(OPTIMIZERS)
    assert set(_choices(LearningSection, "schedule")) == set(SCHEDULES)
    assert set(_choices(SamplePrompt, "sampler")) == set(SAMPLERS)
    assert set(_choices(NoiseSection, "loss")) == set(LOSSES)
    for family in FAMILIES:
        assert facts_for(family).name == family
        target = facts_for(family).targets()[0]
        assert names_for(family).tensor_name(target.part, target.path, "alpha")
    places = {name: entry.place for name, entry in SAMPLERS.items()}
    flows = {name: entry.flow for name, entry in SAMPLERS.items()}
    for table in (ADAPTERS, OPTIMIZERS, SCHEDULES, OBJECTIVES, LOSSES, places, flows):
        for name in table:
            assert callable(chosen(table, name))


def _choices(section: type[Section], name: str) -> tuple[str, ...]:
    return get_args(section.model_fields[name].annotation)


def test_a_part_whose_library_is_missing_says_which() -> None:
    with pytest.raises(UserError, match="needs the library nolibrary") as caught:
        chosen({"fancy": "nolibrary.optim:Fancy"}, "fancy")
    assert caught.value.code == "library.missing"
    with pytest.raises(ModuleNotFoundError):
        chosen({"wrong": "lora_tui.nowhere:thing"}, "wrong")
