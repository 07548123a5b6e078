"""What the plan says of a run before it starts is what the trainer then does."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from lives import draw_dataset, events, lean_config, live_here, lora, new_run

from lora_tui.config.cadence import CHECKPOINT, SAMPLE, STATE, VALIDATION
from lora_tui.config.plan import RunPlan, plan_run
from lora_tui.config.schema import Config
from lora_tui.dataset.batches import Batch
from lora_tui.dataset.scan import scan_datasets
from lora_tui.jobs.control import ControlInbox
from lora_tui.jobs.events import EventWriter
from lora_tui.trainer.control import Controls
from lora_tui.trainer.course import Course
from lora_tui.trainer.data.loader import Loader
from lora_tui.trainer.journey import Journey
from lora_tui.trainer.prepare import prepare_data
from lora_tui.trainer.session import Session

CPU = torch.device("cpu")
PROMPTS = [{"prompt": text, "width": 64, "height": 64, "steps": 2} for text in ("a disc", "a blob")]


@dataclass
class Ready:
    """A batch that nothing is done with."""

    batch: Batch

    def pinned(self, _device: torch.device) -> Ready:
        return self


@dataclass
class Walk:
    """What the trainer's own parts do of a run, from its data to its last update, with no model."""

    images: int = 0
    validation: int = 0
    steps: int = 0
    epochs: int = 0
    ends: list[int] = field(default_factory=list)
    """The steps that end an epoch."""
    first: list[Batch] = field(default_factory=list)
    """The batches of the first epoch."""
    most: int = 0
    """The images of the largest step."""
    moments: dict[str, list[int]] = field(default_factory=dict)


def walked(config: Config, runs: Path) -> Walk:
    run = new_run(runs, config)
    writer = EventWriter(run.events_path)
    session = Session(run, config, writer, Controls(ControlInbox(run.root), writer), CPU, torch.float32)
    plan = prepare_data(session).plan
    writer.close()
    course = Course(session, plan.total_steps)
    journey = Journey(config, plan, course)
    found = Walk(len(plan.pictures) + len(plan.validation), len(plan.validation))
    found.moments = {kind: [] for kind in (CHECKPOINT, SAMPLE, STATE, VALIDATION)}
    batches = Loader(lambda _epoch, batch: Ready(batch), plan, CPU).batches(0, 0)  # type: ignore[arg-type,return-value]
    while True:
        for kind in journey.due(journey.position.step):
            found.moments[kind].append(journey.position.step)
        if journey.at_end:
            break
        epoch, count = journey.epoch(), journey.batches
        taken = [next(batches).batch for _number in range(count)]  # type: ignore[attr-defined]
        journey.advance(count)
        found.first += taken if epoch == 1 else []
        found.most = max(found.most, sum(len(batch.items) for batch in taken))
        found.epochs = epoch
        if journey.position.batch == 0:
            found.ends.append(journey.position.step)
    batches.close()
    found.steps = journey.position.step
    return found


SHAPES: dict[str, dict[str, Any]] = {
    "one image": {"folders": [("one", {})], "steps": {"epochs": 3, "batch_size": 1}},
    "repeats": {"folders": [("few", {"repeats": 3})]},
    "several datasets": {"folders": [("few", {"repeats": 2}), ("five", {"batch_size": 3}), ("one", {"repeats": 5})]},
    "batches cut by bucket": {"folders": [("many", {})], "steps": {"epochs": 2, "batch_size": 5}},
    "one size": {"data": {"buckets": False}, "steps": {"epochs": 2, "batch_size": 3}},
    "batches larger than the set": {"folders": [("five", {})], "steps": {"epochs": 2, "batch_size": 64}},
    "accumulation": {"steps": {"epochs": 3, "batch_size": 1, "gradient_accumulation": 3}},
    "more accumulation than batches": {"steps": {"epochs": 3, "batch_size": 4, "gradient_accumulation": 50}},
    "an end within an epoch": {"steps": {"batch_size": 2, "max_steps": 7, "gradient_accumulation": 2}},
    "an end before the first epoch's": {"folders": [("many", {"repeats": 4})], "steps": {"max_steps": 3}},
    "saved by steps and epochs": {
        "saving": {"every_steps": 3, "every_epochs": 2, "state_every_steps": 5, "state_every_epochs": 1},
        "steps": {"epochs": 5, "batch_size": 2},
    },
    "nothing but the end": {"saving": {"every_epochs": 0, "state_every_epochs": 0}},
    "images held out": {
        "folders": [("many", {})], "validation": {"mode": "on", "share": 0.25, "every_epochs": 1, "every_steps": 4},
    },
    "too few to hold any out": {"validation": {"mode": "auto"}},
    "images of the class": {"folders": [("five", {"repeats": 4}), ("few", {"regularisation": True})]},
    "samples from the start": {
        "samples": PROMPTS, "sampling": {"at_start": True, "every_steps": 2, "every_epochs": 1},
        "steps": {"epochs": 2, "batch_size": 3},
    },
    "samples at epochs": {"samples": PROMPTS, "sampling": {"at_start": False, "every_epochs": 2}},
    "several resolutions": {"data": {"more_resolutions": ["48", "96"]}, "steps": {"epochs": 2, "batch_size": 3}},
    "random crops": {"data": {"random_crop": True, "flip": True}, "folders": [("many", {})]},
}  # fmt: skip


@pytest.fixture(scope="module")
def folders(few: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    drawn = {name: tmp_path_factory.mktemp(name) / "discs" for name in ("one", "five")}
    return {"few": few, "many": data, "one": draw_dataset(drawn["one"], 1), "five": draw_dataset(drawn["five"], 5)}


def shaped(base: Path, folders: dict[str, Path], shape: dict[str, Any]) -> tuple[Config, RunPlan]:
    named = {name: value for name, value in shape.items() if name != "folders"}
    entries = [{"path": str(folders[name]), **own} for name, own in shape.get("folders", [("few", {})])]
    config = lean_config(base, folders["few"], **{**named, "datasets": entries})
    return config, plan_run(config, scan_datasets(config))


@pytest.mark.parametrize("name", SHAPES)
def test_the_trainer_goes_the_way_that_was_planned(
    name: str, base: Path, folders: dict[str, Path], tmp_path: Path
) -> None:
    config, plan = shaped(base, folders, SHAPES[name])
    walk = walked(config, tmp_path)
    assert (plan.images, plan.validation_images) == (walk.images, walk.validation)
    assert (plan.total_steps, plan.epochs) == (walk.steps, walk.epochs)
    assert walk.ends == list(range(plan.steps_per_epoch, plan.total_steps + 1, plan.steps_per_epoch))
    if walk.ends:  # the first epoch was walked through
        assert plan.repeats_total == sum(len(batch.items) for batch in walk.first)
        assert plan.batches_per_epoch == len(walk.first)
        shown = Counter((batch.bucket.width, batch.bucket.height) for batch in walk.first)
        assert {(bucket.width, bucket.height): bucket.batches for bucket in plan.buckets} == shown
    assert walk.most <= plan.images_per_step
    planned = {
        CHECKPOINT: plan.checkpoints, SAMPLE: plan.sample_steps, STATE: plan.state_steps,
        VALIDATION: plan.validation_steps,
    }  # fmt: skip
    assert {kind: list(steps) for kind, steps in planned.items()} == walk.moments


LIVED: dict[str, dict[str, Any]] = {
    "held out, drawn from the start, few files kept": {
        "steps": {"epochs": 2, "batch_size": 2, "gradient_accumulation": 2},
        "saving": {"every_steps": 1, "every_epochs": 1, "keep_last": 2, "state_every_steps": 2, "keep_states": 1},
        "validation": {"mode": "on", "share": 0.25, "every_epochs": 1},
        "samples": PROMPTS, "sampling": {"at_start": True, "every_epochs": 2},
    },
    "several sets, classes and sizes, an end within an epoch": {
        "folders": [("five", {"repeats": 2}), ("one", {"batch_size": 9}), ("few", {"regularisation": True})],
        "data": {"more_resolutions": ["48"]},
        "steps": {"batch_size": 8, "max_steps": 10},
        "saving": {"every_steps": 4, "every_epochs": 0, "keep_last": 0, "state_every_epochs": 0},
        "learning": {"ema_decay": 0.9},
    },
}  # fmt: skip


@pytest.mark.parametrize("name", LIVED)
def test_events_and_files_are_those_of_the_plan(
    name: str, base: Path, folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LORA_TUI_HOME", str(tmp_path / "home"))
    config, plan = shaped(base, folders, LIVED[name])
    run = new_run(tmp_path, config)
    assert live_here(run) == 0
    (told,) = events(run, "run")
    for said in ("total_steps", "epochs", "batches_per_epoch", "steps_per_epoch", "validation_images"):
        assert told[said] == getattr(plan, said), said
    assert [event["step"] for event in events(run, "step")] == list(range(1, plan.total_steps + 1))
    assert [event["step"] for event in events(run, "validation")] == list(plan.validation_steps)
    assert [event["step"] for event in events(run, "state")] == list(plan.state_steps)
    drawn = [(event["step"], event["prompt"]) for event in events(run, "sample")]
    assert drawn == [(step, prompt) for step in plan.sample_steps for prompt in range(plan.prompts)]
    assert len(list(run.samples_dir.glob("*.png"))) == plan.samples
    numbered = [f"blob-{step:06d}" for step in plan.checkpoints if step < plan.total_steps]
    kinds = ("", "-ema") if config.learning.ema_decay else ("",)
    kept = [*numbered[-config.saving.keep_last :], "blob"]
    best = {"blob-best"} if config.validation.keep_best and plan.validation_images else set()
    files = {path.stem for path in run.checkpoints_dir.glob("*.safetensors")}
    assert files == {f"{stem}{kind}" for stem in kept for kind in kinds} | best
    assert len(files) == plan.disk_bytes["checkpoints"] // plan.lora_bytes
    states = sorted(path.name for path in run.state_dir.iterdir())
    assert states == [f"step-{step:08d}" for step in plan.state_steps][-config.saving.keep_states :]
    assert sum(tensor.numel() for key, tensor in lora(run).items() if not key.endswith(".alpha")) == plan.parameters
