"""What a living run is asked beyond stop and save: another rate and end, a prompt of one's own, the loss of images."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
from config_samples import config_with, plan_of, squares
from lives import LAST_LEVEL, events, lean_config, live_here, lora, micro_config, new_run, same_tensors
from safetensors import safe_open

from lora_tui.jobs.control import request
from lora_tui.jobs.events import EventWriter
from lora_tui.runs.folder import RunFolder
from lora_tui.runs.image_losses import measured_steps, read_image_losses
from lora_tui.runs.record import read_record
from lora_tui.runs.status import inspect
from lora_tui.runs.story import RunStory
from lora_tui.trainer import control
from lora_tui.trainer.measures import LEVELS, level_of, measures_images, tells

ASKED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("set", {"learning_rate": 5e-3, "total_steps": 10}),
    ("set", {"total_steps": 2}),
    ("set", {"learning_rate": -1.0}),
    ("sample", {"prompt": "a disc at night --s 2 --d 7"}),
    ("sample", {"prompt": "a disc", "width": 70}),
    ("measure", {}),
)


class Asking(EventWriter):
    """Asks for everything as soon as the third step is told."""

    def emit(self, kind: str, **fields: Any) -> None:
        super().emit(kind, **fields)
        if kind == "step" and fields["step"] == 3:
            for asked, said in ASKED:
                request(self.path.parent, asked, **said)


@pytest.fixture(scope="module")
def asked(base: Path, few: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run of six steps that was asked in its fourth for ten at another rate, a prompt and its images' losses."""
    saving = {"every_epochs": 0, "state_every_steps": 1, "keep_states": 20}
    learning = {"schedule": "cosine", "text_encoder_lr": 0.0}
    config = micro_config(
        base, few, steps={"epochs": 2}, saving=saving, learning=learning, network=LAST_LEVEL,
        validation={"mode": "off"}, sampling={"every_epochs": 0, "at_start": False},
    )  # fmt: skip
    run = new_run(tmp_path_factory.mktemp("asked"), config)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORA_TUI_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setattr(control, "POLL_SECONDS", 0.0)
        assert live_here(run, writer=Asking(run.events_path)) == 0
    return run


def _answers(run: RunFolder, kind: str) -> list[str]:
    return [event["status"] for event in events(run, "control") if event["request"] == kind]


def test_rate_and_end_of_a_living_run_are_changed_and_stand_in_the_record(asked: RunFolder) -> None:
    assert _answers(asked, "set") == ["accepted", "accepted", "accepted", "done", "rejected", "rejected"]
    told = [event for event in events(asked) if event["kind"] == "changed"]
    assert [(event["step"], event["total_steps"], event["epochs"]) for event in told] == [(4, 10, 4)]
    assert events(asked, "step")[-1]["step"] == 10 and events(asked)[-1]["reason"] == "completed"
    (noted,) = read_record(asked)["changes"]
    assert (noted["step"], noted["learning_rate"], noted["total_steps"]) == (4, 5e-3, 10)
    rates = {event["step"]: event["lr"]["unet"] for event in events(asked, "step")}
    assert rates[5] == pytest.approx(rates[1] * 0.5 * 0.5 * (1 + math.cos(0.4 * math.pi)), rel=1e-3)
    story = RunStory(asked)
    story.update(60.0)
    assert (story.total_steps, story.info and story.info.epochs, inspect(asked).total_steps) == (10, 4, 10)
    assert [marker.step for marker in story.markers if marker.kind == "changed"] == [4]
    with safe_open(asked.checkpoints_dir / "blob.safetensors", "pt") as file:
        written = file.metadata()
    assert written["ss_unet_lr"] == written["ss_learning_rate"] == "0.005" and written["ss_max_train_steps"] == "10"


@pytest.mark.parametrize("kept", [2, 6], ids=["from before the change", "from after it"])
def test_a_run_that_was_changed_resumes_bit_equal_and_what_was_drawn_and_measured_left_no_trace(
    kept: int, asked: RunFolder, tmp_path: Path
) -> None:
    copy = RunFolder(shutil.copytree(asked.root, tmp_path / "copy"))
    for state in copy.state_dir.iterdir():
        if int(state.name.removeprefix("step-")) > kept:
            shutil.rmtree(state)
    if kept == 6:
        record = read_record(copy)
        del record["changes"]  # the state knows them, too
        copy.record_path.write_text(json.dumps(record))
    (copy.checkpoints_dir / "blob.safetensors").unlink()
    assert live_here(copy, resume=True) == 0
    assert events(copy)[-1]["step"] == 10
    assert same_tensors(lora(copy), lora(asked))
    assert inspect(copy).total_steps == 10


def test_a_prompt_of_ones_own_is_drawn_under_a_number_of_its_own(asked: RunFolder) -> None:
    assert _answers(asked, "sample") == ["accepted", "accepted", "done", "rejected"]
    drawn = [event for event in events(asked, "sample") if event["prompt"] == 1]
    assert [(event["step"], event["text"]) for event in drawn] == [(4, "a disc at night")]
    assert (asked.root / drawn[0]["path"]).is_file()


def test_the_loss_of_each_image_is_measured_on_fixed_noise(asked: RunFolder) -> None:
    assert _answers(asked, "measure") == ["accepted", "done"]
    assert measured_steps(asked.root) == [4]
    images = read_image_losses(asked.root, 4)
    assert len(images) == 8 and all(len(image.levels) == 4 and image.path.is_file() for image in images)
    assert [image.loss for image in images] == sorted((image.loss for image in images), reverse=True)
    (told,) = [event for event in events(asked) if event["kind"] == "images"]
    assert told["loss"] == pytest.approx(sum(image.loss for image in images) / 8, rel=1e-4)


def test_unasked_each_image_is_measured_before_the_first_and_after_the_last_step_and_nothing_learned_differs(
    base: Path, few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a life ends on the way: the one that goes on measures at the end alone."""
    monkeypatch.setenv("LORA_TUI_HOME", str(tmp_path / "home"))
    runs = {}
    for each in ("on", "off"):
        config = lean_config(
            base, few, steps={"epochs": 1}, validation={"mode": "off", "each_image": each},
            captions={"shuffle": True}, saving={"state_every_steps": 1, "keep_states": 20},
        )  # fmt: skip
        runs[each] = new_run(tmp_path / each, config)
        assert live_here(runs[each]) == 0
    run, last = runs["on"], events(runs["on"], "step")[-1]["step"]
    assert measured_steps(runs["off"].root) == []
    assert measured_steps(run.root) == [event["step"] for event in events(run, "images")] == [0, last]
    before, after = read_image_losses(run.root, 0), read_image_losses(run.root, last)
    assert len(before) == len(after) == 8
    assert all(image.change is None for image in before) and any(image.change for image in after)
    assert same_tensors(lora(run), lora(runs["off"]))
    learned = lora(run)
    for state in run.state_dir.iterdir():
        if state.name != "step-00000001":
            shutil.rmtree(state)
    (run.root / "images" / f"{last:06d}.json").unlink()
    (run.checkpoints_dir / "blob.safetensors").unlink()
    assert live_here(run, resume=True) == 0
    assert [event["step"] for event in events(run, "images")] == [0, last, last]
    assert read_image_losses(run.root, last) == after and same_tensors(lora(run), learned)


def test_images_are_measured_unasked_where_that_takes_little_of_the_run() -> None:
    """Two measurements at four noise levels, a third of a step each, are below 3% of 89 showings."""
    plans = {epochs: plan_of(config_with(steps={"epochs": epochs}), squares(10)) for epochs in (88, 89)}
    assert [measures_images("auto", plan) for plan in plans.values()] == [False, True]
    short = plan_of(config_with(steps={"max_steps": 20}), squares(10))
    assert [measures_images(setting, short) for setting in ("auto", "on", "off")] == [False, True, False]


def test_loss_by_noise_level_and_norms_of_weights_are_told_with_few_steps(
    base: Path, few: Path, tmp_path: Path
) -> None:
    run = new_run(tmp_path, lean_config(base, few, steps={"epochs": 6}))
    assert live_here(run) == 0
    told = [event for event in events(run) if event["kind"] == "detail"]
    assert [event["step"] for event in told] == [8, 16]
    assert all(sum(event["images"]) > 0 and set(event["weights"]) == {"unet"} for event in told)
    assert 0 < told[0]["weights"]["unet"] < told[1]["weights"]["unet"]  # of what begins at zero: it has moved
    steps = [event["loss"] for event in events(run, "step")[:8]]
    seen = [(n, mean) for n, mean in zip(told[0]["images"], told[0]["levels"], strict=True) if n]
    mean = sum(n * value for n, value in seen) / sum(n for n, _value in seen)
    assert min(steps) <= mean <= max(steps)
    story = RunStory(run)
    story.update(60.0)
    assert list(story.series["weights.unet"].steps) == [8, 16]
    assert any(name.startswith("level.") for name in story.series)


def test_levels_and_the_steps_that_tell_are_few_in_long_runs() -> None:
    assert [level_of(timestep) for timestep in (0, 249.9, 250, 999, 1000)] == [0, 0, 1, LEVELS - 1, LEVELS - 1]
    assert sum(tells(step) for step in range(1, 100_001)) < 1500
