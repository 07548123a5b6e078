"""A run that is killed anywhere and resumed ends with the bits of a run that was not."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from kills import MOMENTS, Moment, assert_same_bits, every_phase, live_through, phase, step, temporary
from lives import (
    LAST_LEVEL,
    draw_dataset,
    events,
    lean_config,
    live_here,
    lora,
    new_run,
    same_tensors,
    start,
)
from nursery import Life
from support import until

from lora_tui.runs.folder import RunFolder

SELDOM = {"name": "blob", "every_epochs": 0, "state_every_epochs": 0}
"""``saving`` of a run that writes nothing on its own before it ends."""
FEW: tuple[Moment, ...] = (
    phase("caching", "text embeddings"),
    phase("validating"),
    temporary("state", ".writing-*", "state"),
    step(6),
)
"""Before any step, between two, while a state is written, and late; the other moments are for the slow suite."""


@pytest.mark.parametrize(
    ("moments", "least"),
    [
        pytest.param(FEW, 3, id="some times"),
        pytest.param(MOMENTS, 10, id="a dozen times", marks=pytest.mark.slow),
    ],
)
def test_killed_and_still_bit_equal(
    moments: tuple[Moment, ...], least: int, base: Path, data: Path, tmp_path: Path
) -> None:
    config = every_phase(base, data, network=LAST_LEVEL)
    reference = new_run(tmp_path / "reference", config)
    assert live_here(reference) == 0
    run = new_run(tmp_path / "killed", config)
    rng = random.Random(os.environ.get("LORA_TUI_TEST_SEED", "5"))
    assert live_through(run, moments, rng, tmp_path / "home") >= least
    assert_same_bits(reference, run)


@pytest.fixture(scope="module")
def ended(base: Path, few: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run that went through to its end: three epochs of three steps."""
    run = new_run(tmp_path_factory.mktemp("runs"), lean_config(base, few))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORA_TUI_HOME", str(tmp_path_factory.mktemp("home")))
        assert live_here(run) == 0
    return run


def copy_of(ended: RunFolder, folder: Path) -> RunFolder:
    """A run that went through to its end, to do with what one likes."""
    return RunFolder(Path(shutil.copytree(ended.root, folder / "copy")))


def test_resuming_a_finished_run_changes_nothing(ended: RunFolder, tmp_path: Path) -> None:
    run = copy_of(ended, tmp_path)
    assert live_here(run, resume=True) == 0
    assert same_tensors(lora(ended), lora(run))


def test_a_torn_state_falls_back_to_the_one_before(ended: RunFolder, tmp_path: Path) -> None:
    run = copy_of(ended, tmp_path)
    before = lora(run)
    newest = sorted(run.state_dir.iterdir())[-1]
    adapter = newest / "adapter.safetensors"
    adapter.write_bytes(adapter.read_bytes()[:-100])
    (run.checkpoints_dir / "blob.safetensors").unlink()
    assert live_here(run, resume=True) == 0
    assert events(run, "resumed")[-1]["step"] == 6
    assert events(run, "warning")[-1]["remedy"] == "The run goes on from step 6."
    assert same_tensors(before, lora(run))


def test_a_run_whose_states_are_all_torn_says_that_it_begins_again(base: Path, few: Path, tmp_path: Path) -> None:
    run = new_run(tmp_path, lean_config(base, few, steps={"epochs": 1}))
    assert live_here(run) == 0
    for state in run.state_dir.iterdir():
        (state / "state.json").write_text("{")
    assert live_here(run, resume=True) == 0
    assert events(run, "resumed")[-1]["step"] == 0
    warned = [event for event in events(run, "warning") if event["code"] == "state.damaged"]
    assert {event["remedy"] for event in warned} == {"No other state is there: the run begins again."}


def test_a_state_of_another_rank_is_refused(ended: RunFolder, base: Path, few: Path, tmp_path: Path) -> None:
    from lora_tui.config.load import dump_config
    from lora_tui.errors import UserError

    run = copy_of(ended, tmp_path)
    run.config_path.write_text(dump_config(lean_config(base, few, network={"rank": 8})), "utf-8")
    with pytest.raises(UserError, match="does not fit") as caught:
        live_here(run, resume=True)
    assert "and resume, or start a new run." in caught.value.remedy


def test_sigterm_saves_first(base: Path, few: Path, tmp_path: Path) -> None:
    run = new_run(tmp_path, lean_config(base, few, steps={"epochs": 500}, saving=SELDOM))
    life: Life = start(run)
    try:
        until(lambda: len(events(run, "step")) >= 2, 90)
        life.terminate()
        assert life.wait(60) == 0, run.log_path.read_text()
    finally:
        life.kill()
        life.wait()
    end = events(run)[-1]
    assert end["kind"] == "finished"
    assert end["reason"] == "stopped"
    assert (run.root / end["path"]).is_file()
    assert sorted(run.state_dir.iterdir())[-1].name == f"step-{end['step']:08d}"


def _begun_after_step(run: RunFolder, phase: str, step: int) -> bool:
    """The newest phase is ``phase``, and the step is done."""
    newest = events(run, "phase")[-1:]
    return bool(newest) and newest[0]["phase"] == phase and len(events(run, "step")) >= step


def test_what_a_stop_kept_from_being_done_is_done_by_the_resumed_run(base: Path, data: Path, tmp_path: Path) -> None:
    """Stopped within the validation after step 6: the resumed run measures step 6, too."""
    from lora_tui.jobs.control import request

    run = new_run(tmp_path, lean_config(base, data, validation={"mode": "auto"}, steps={"epochs": 2}))
    life = start(run)
    try:
        until(lambda: _begun_after_step(run, "validating", 6), 90, every=0.001)
        request(run.root, "stop")
        assert life.wait(60) == 0, run.log_path.read_text()
    finally:
        life.kill()
        life.wait()
    assert live_here(run, resume=True) == 0
    assert sorted({event["step"] for event in events(run, "validation")}) == [0, 6, 12]


def test_checkpoints_of_a_life_that_was_given_up_do_not_push_out_new_ones(
    base: Path, few: Path, tmp_path: Path
) -> None:
    config = lean_config(
        base, few, steps={"epochs": 1, "batch_size": 2},
        saving={"name": "blob", "every_steps": 1, "keep_last": 2, "state_every_steps": 1, "keep_states": 9},
    )  # fmt: skip
    run = new_run(tmp_path, config)
    assert live_here(run) == 0
    for state in sorted(run.state_dir.iterdir())[1:]:
        shutil.rmtree(state)  # the newest states are lost: the run goes back
    assert live_here(run, resume=True) == 0
    names = sorted(path.name for path in run.checkpoints_dir.iterdir())
    written = [Path(event["path"]).name for event in events(run, "checkpoint")]
    assert names == sorted([*written[-3:-1], "blob.safetensors"])


@pytest.mark.parametrize(
    "changes",
    [
        {"steps": {"epochs": 2}, "network": {"text_encoder": True, "layers": []}},
        {"memory": {"precision": "fp16"}, "steps": {"epochs": 2}},
        {
            "memory": {"cache_latents": False},
            "steps": {"gradient_accumulation": 2, "batch_size": 2, "epochs": 2},
            "data": {"random_crop": True, "buckets": False, "gamma": 0.2, "flip": True},
            "captions": {"tag_dropout": 0.3, "tag_warmup": 10, "wildcards": True, "suffix": "{a|b}"},
            "network": {"type": "lokr", "rank": 2, "alpha": 1.0, "dora": True, "scalar": True},
        },
    ],
    ids=["text encoder trained", "fp16", "encoding in the step, LoKr with sizes and a factor"],
)
def test_other_ways_of_training_resume_bit_equal(changes: dict[str, Any], base: Path, tmp_path: Path) -> None:
    """Stopped in the middle of an epoch of three steps by SIGTERM, once, and resumed."""
    data = draw_dataset(tmp_path / "data", 12)
    config = lean_config(base, data, **changes)
    reference = new_run(tmp_path / "reference", config)
    assert live_here(reference) == 0
    run = new_run(tmp_path / "stopped", config)
    life = start(run)
    try:
        until(lambda: life.poll() is not None or len(events(run, "step")) >= 2, 90, every=0.002)
        life.terminate()
        assert life.wait(60) == 0, run.log_path.read_text()
    finally:
        life.kill()
        life.wait()
    assert live_here(run, resume=True) == 0
    assert same_tensors(lora(reference), lora(run))


def test_a_stop_after_the_last_update_still_finishes(base: Path, few: Path, tmp_path: Path) -> None:
    """The request comes while the last step's samples are drawn: the run is complete, file and all."""
    from lora_tui.jobs.control import request

    config = lean_config(
        base, few, steps={"epochs": 1}, sampling={"at_start": False},
        samples=[{"prompt": "blob", "width": 64, "height": 64, "steps": 200}],
    )  # fmt: skip
    run = new_run(tmp_path, config)
    life = start(run)
    try:
        until(lambda: phase("sampling")(run, 0), 90, every=0.005)
        request(run.root, "stop")
        assert life.wait(60) == 0, run.log_path.read_text()
    finally:
        life.kill()
        life.wait()
    assert events(run, "finished")[-1]["reason"] == "completed"
    assert (run.checkpoints_dir / "blob.safetensors").is_file()
    assert not list(run.samples_dir.iterdir())


def test_stopped_while_paused_and_nothing_is_lost(base: Path, few: Path, tmp_path: Path) -> None:
    from lora_tui.jobs.control import request

    run = new_run(tmp_path, lean_config(base, few, steps={"epochs": 500}, saving=SELDOM))
    life = start(run)
    try:
        until(lambda: len(events(run, "step")) >= 2, 90)
        request(run.root, "pause")
        until(lambda: events(run)[-1].get("phase") == "paused", 30)
        done = events(run, "step")[-1]["step"]
        assert events(run, "state")[-1]["step"] == done  # safe before it waits
        life.terminate()
        assert life.wait(60) == 0, run.log_path.read_text()
    finally:
        life.kill()
        life.wait()
    end = events(run, "finished")[-1]
    assert (end["reason"], end["step"]) == ("stopped", done)
    assert (run.root / end["path"]).is_file()
