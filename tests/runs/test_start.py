import os
import subprocess
from pathlib import Path

import pytest
from PIL import Image
from run_builders import ended, events, kill, launched, make_run, small, training
from support import until

from lora_tui.config.findings import Finding
from lora_tui.config.load import load_config
from lora_tui.config.schema import Config, DatasetEntry
from lora_tui.errors import UserError
from lora_tui.jobs.control import request
from lora_tui.jobs.job import read_job
from lora_tui.jobs.lock import holder
from lora_tui.runs.choose import choose_run, shell_name
from lora_tui.runs.record import read_record, update_record
from lora_tui.runs.start import resume_run, start_run
from lora_tui.runs.status import inspect
from lora_tui.text import plain

pytestmark = pytest.mark.usefixtures("may_fetch")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A configuration without an error: a model of the hub, and images that are there."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(4):
        Image.new("RGB", (64, 64), (number * 50, 0, 0)).save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text("word")
    made = Config()
    made.model.base = "owner/model"
    made.datasets = [DatasetEntry(path=str(folder), repeats=1)]
    made.saving.name = "hat girl"
    return made


def test_a_start_makes_the_folder_and_the_job(config: Config, tmp_path: Path) -> None:
    config.steps.batch_size = config.datasets[0].repeats = 64
    config.data.resolution = config.data.bucket_max = 2048
    told: list[Finding] = []
    run = start_run(
        config, tmp_path / "runs", record_extra={"project": "p"}, command=small("--steps", "3"), on_warning=told.append
    )
    assert [finding.code for finding in told] == ["memory.too_little"]  # and is tried all the same
    assert run.name.endswith("-hat-girl") and run.root.parent == tmp_path / "runs"
    assert ended(run).exit_status == 0
    until(lambda: holder(run.keeper_lock_path) is None)  # it writes into the record how the run ended
    assert load_config(run.config_path) == config
    record = read_record(run)
    assert (record["number"], record["project"]) == (1, "p")
    assert record["versions"]["lora-tui"] and record["host"] and isinstance(record["gpus"], list)
    update_record(run, note="good")
    assert read_record(run) == {**record, "note": "good"}


def test_an_error_in_the_configuration_stops_before_anything_is_made(config: Config, tmp_path: Path) -> None:
    config.model.base = str(tmp_path / "none.safetensors")
    with pytest.raises(UserError) as caught:
        start_run(config, tmp_path / "runs", command=small())
    assert caught.value.place == "model.base"
    assert not (tmp_path / "runs").exists()


def test_a_disk_too_small_for_all_that_is_written_stops_too(config: Config, tmp_path: Path) -> None:
    config.network.rank = 320
    config.steps.max_steps, config.saving.every_steps = 1_000_000, 1
    with pytest.raises(UserError) as caught:
        start_run(config, tmp_path / "runs", command=small())
    assert (caught.value.code, caught.value.place) == ("disk.too_small", "saving.keep_last")
    assert "lora-tui train CONFIG --force" in caught.value.remedy
    assert not (tmp_path / "runs").exists()


def test_who_insists_starts_and_resumes_on_a_disk_that_is_too_small(config: Config, tmp_path: Path) -> None:
    config.network.rank = 320
    config.steps.max_steps, config.saving.every_steps = 1_000_000, 1
    told: list[Finding] = []
    steps = small("--steps", "100000")
    run = start_run(config, tmp_path / "runs", command=steps, force=True, on_warning=told.append)
    assert "disk.too_small" in [finding.code for finding in told]
    training(run)
    request(run.root, "stop")
    until(lambda: inspect(run).state == "stopped")
    with pytest.raises(UserError) as caught:
        resume_run(run, command=steps)
    assert caught.value.code == "disk.too_small"
    assert f"runs resume {shell_name(run)} --force" in caught.value.remedy
    resume_run(run, command=steps, force=True)
    until(lambda: events(run, "resumed"))
    request(run.root, "stop")
    ended(run)


def test_a_dataset_without_images_stops_too(config: Config, tmp_path: Path) -> None:
    for image in (tmp_path / "images").glob("*.png"):
        image.unlink()
    with pytest.raises(UserError) as caught:
        start_run(config, tmp_path / "runs", command=small())
    assert caught.value.place.startswith("datasets")
    assert not (tmp_path / "runs").exists()


def test_a_stopped_run_resumes(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    launched(run, "--steps", "100000")
    training(run, 3)
    request(run.root, "stop")
    until(lambda: inspect(run).state == "stopped")
    resume_run(run, command=small("--steps", "100000"))
    until(lambda: events(run, "resumed"))
    job = read_job(run.root)
    assert job is not None and job.attempt == 2
    with pytest.raises(UserError) as caught:
        resume_run(run, command=small())
    assert caught.value.code == "run.locked"
    request(run.root, "stop")
    ended(run)


def test_a_run_on_its_way_into_a_pause_is_asked_to_go_on(tmp_path: Path) -> None:
    """The request is taken and nothing of the pause is done yet: seconds, where a model leaves a GPU."""
    run = make_run(tmp_path)
    launched(run, "--steps", "100000", "--parking", "1")
    training(run)
    assert not inspect(run).waits
    request(run.root, "pause")
    assert inspect(run).waits
    until(lambda: events(run, "control"))
    assert inspect(run).state == "running" and inspect(run).waits
    resume_run(run)
    assert not inspect(run).waits
    until(lambda: [event["request"] for event in events(run, "control")][-1] == "resume")
    training(run, inspect(run).step + 2)
    assert inspect(run).state == "running" and not inspect(run).waits
    request(run.root, "stop")
    ended(run)


def test_what_cannot_resume_says_why(tmp_path: Path) -> None:
    done = make_run(tmp_path, "20260101-000000-done")
    launched(done, "--steps", "1")
    ended(done)
    newer = make_run(tmp_path, "20260101-000001-newer", format=99)
    for run, code in ((done, "run.complete"), (newer, "run.newer")):
        with pytest.raises(UserError) as caught:
            resume_run(run, command=small())
        assert caught.value.code == code
        if run is done:  # and how it is trained further
            named = run.checkpoints_dir / "lora.safetensors"
            command = f"lora-tui train {run.config_path} --set network.start_from={named}"
            assert command in (caught.value.remedy or "")
    done.config_path.unlink()
    with pytest.raises(UserError) as caught:
        resume_run(done)
    assert caught.value.code == "run.not_found"


def test_a_run_that_died_before_its_first_step_resumes(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    job = launched(run, "--before-lock", "60")
    kill(job.child_pid)
    ended(run)
    resume_run(run, command=small("--steps", "2"))
    ended(run)
    assert inspect(run).state == "finished"


def test_without_a_name_the_living_run_is_meant(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    old = make_run(here / "runs", "20260101-000000-old", number=1)
    living = make_run(there / "runs", "20260101-000001-living", number=1)
    assert choose_run("", here) == old
    launched(living, "--steps", "100000")
    training(living)
    assert choose_run("", here) == living
    assert choose_run("living", here) == living
    assert choose_run("1", here) == old
    with pytest.raises(UserError, match="No run is called 2"):
        choose_run("2", here)  # neither a date nor the number of another project's run
    near = make_run(here / "runs", "20260101-000002-near", number=2)
    launched(near, "--steps", "100000")
    training(near)
    assert choose_run("", here) == near
    assert choose_run("", there) == living
    for run in (near, living):
        request(run.root, "stop")
        ended(run)


@pytest.mark.parametrize(
    "name", ["20260101-000000-hat", "a b", "it's", "-rf", "~me", "帽子", "x\x1b[31m'\n\\", "caf\udce9"]
)
def test_what_is_typed_for_a_run_is_found_from_anywhere(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path / "project" / "runs", name)
    (tmp_path / "else where").mkdir()
    for here in ("project", "project/runs", "project/runs/" + name, ".", "else where", "/"):
        monkeypatch.chdir(tmp_path / here)
        words = shell_name(run)
        assert plain(words) == words
        shown = subprocess.run(["bash", "-c", f"printf %s {words}"], capture_output=True, check=True).stdout
        assert choose_run(os.fsdecode(shown), Path.cwd()).root.resolve() == run.root.resolve()


def test_what_is_typed_for_a_run_is_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path / "project" / "runs", "20260101-000000-hat")
    for here, words in (("project", run.name), ("project/runs", run.name), (".", f"project/runs/{run.name}")):
        monkeypatch.chdir(tmp_path / here)
        assert shell_name(run) == words
    monkeypatch.chdir("/")
    assert shell_name(run) == str(run.root)[1:]
    make_run(tmp_path / "project", run.name)
    monkeypatch.chdir(tmp_path / "project")
    assert shell_name(run) == f"runs/{run.name}"  # the name alone is another's


def test_where_nothing_is_the_error_says_so(tmp_path: Path) -> None:
    for text in ("", "x"):
        with pytest.raises(UserError) as caught:
            choose_run(text, tmp_path)
        assert caught.value.code == "run.not_found"
