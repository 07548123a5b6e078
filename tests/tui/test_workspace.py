"""What is read from disk for the screens."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tui.projects import make_dataset

from lora_tui.config.load import dump_config, parse_config, save_config
from lora_tui.config.schema import Config
from lora_tui.errors import UserError
from lora_tui.jobs.events import EventWriter
from lora_tui.project import Project
from lora_tui.runs.folder import RunFolder
from lora_tui.runs.status import RunStatus, inspect
from lora_tui.settings import remember_project
from lora_tui.tui.file_rows import build_rows
from lora_tui.tui.known_problems import with_known
from lora_tui.tui.workspace import (
    RunsReader,
    Workspace,
    check_images,
    folder_stamp,
    make_planned,
    open_project,
    read_images,
    starting_config,
)

pytestmark = pytest.mark.usefixtures("may_fetch")

FIRST, SECOND, THIRD = (RunFolder(Path(f"/runs/2026010{day}-000000-x")) for day in (1, 2, 3))


def states(*told: str) -> tuple[RunStatus, ...]:
    """Runs in these states, newest first."""
    folders = (THIRD, SECOND, FIRST)[-len(told) :]
    numbers = range(len(told), 0, -1)
    return tuple(
        RunStatus(run, number=number, state=state) for run, number, state in zip(folders, numbers, told, strict=True)
    )


def test_images_of_several_folders_are_named_by_their_folder_or_by_its_number(tmp_path: Path) -> None:
    places = [make_dataset(tmp_path / name, 1, folder="in") for name in ("hats", "world", "old/hats")]
    for chosen, names in (
        (places[:1], ["0000.png"]),
        (places[:2], ["hats/in/0000.png", "world/in/0000.png"]),
        (places, ["1: in/0000.png", "2: in/0000.png", "3: in/0000.png"]),
    ):
        config = parse_config({"datasets": [{"path": str(place)} for place in chosen]})
        rows = build_rows(read_images(config), tmp_path)
        assert [row.name for row in rows if row.image is not None] == names


def test_the_screen_follows_the_newest_run_once_the_one_it_shows_has_ended() -> None:
    work = Workspace(Path("/"), runs=states("running"))
    assert work.follow() and work.run == FIRST and work.elsewhere is None
    work.runs = states("running", "running")
    assert not work.follow() and work.run == FIRST
    assert work.elsewhere is not None and work.elsewhere.run == SECOND
    work.runs = states("running", "finished")
    assert work.follow() and work.run == SECOND
    work.runs = states("finished", "finished", "finished")
    assert work.follow() and work.run == THIRD and not work.follow()


def test_a_run_that_was_chosen_after_its_end_stays_and_the_newer_one_is_told() -> None:
    work = Workspace(Path("/"), run=FIRST, follows=False, runs=states("finished", "died"))
    assert not work.follow() and work.run == FIRST
    assert work.elsewhere is not None and work.elsewhere.number == 2
    work.runs = tuple(replace(status, number=3 - status.number) for status in work.runs)  # begun in the same second
    assert work.elsewhere is None
    work.runs = states("finished", "running")  # it was resumed
    assert not work.follow() and work.elsewhere is not None
    work.runs = states("finished", "finished")
    assert work.follow() and work.run == SECOND


def test_a_folder_of_images_opens_as_a_project_with_a_fitting_configuration(tmp_path: Path) -> None:
    opened = open_project(make_dataset(tmp_path / "hat girl!"))
    assert not opened.saved
    assert opened.config_path is None
    assert [entry.path for entry in opened.config.datasets] == [str(tmp_path / "hat girl!")]
    assert opened.config.saving.name == "hat-girl"


def test_a_project_gives_its_trigger_and_model(tmp_path: Path) -> None:
    Project.create(make_dataset(tmp_path), trigger="hatgirl", base_model="owner/model", name="hats")
    opened = open_project(tmp_path)
    assert opened.saved
    assert opened.config.saving.trigger == "hatgirl"
    assert opened.config.model.base == "owner/model"
    assert opened.config.saving.name == "hats"


def test_the_newest_configuration_is_taken_and_a_wrong_one_is_said(tmp_path: Path) -> None:
    project = Project.create(make_dataset(tmp_path))
    old, new, wrong = (project.configs / name for name in ("old.toml", "new.toml", "wrong.toml"))
    for path, rank in ((old, 4), (new, 8)):
        config = Config()
        config.network.rank = rank
        save_config(config, path)
    wrong.write_text("rank = 3")
    for age, path in enumerate((wrong, new, old)):
        os.utime(path, ns=(10**18 - age * 10**9,) * 2)
    opened = open_project(tmp_path)
    assert opened.config_path == new
    assert opened.config.network.rank == 8
    assert ["wrong.toml" in str(error) for error in opened.errors] == [True]


def test_a_run_opens_with_the_configuration_that_it_was_made_from(tmp_path: Path) -> None:
    project = Project.create(make_dataset(tmp_path))
    run = RunFolder(tmp_path / "runs" / "20260101-120000-old")
    run.root.mkdir(parents=True)
    for age, name in enumerate(("new", "old")):
        config = starting_config(project)
        config.saving.name = name
        save_config(config, project.configs / f"{name}.toml")
        os.utime(project.configs / f"{name}.toml", ns=(10**18 - age * 10**9,) * 2)
    save_config(config, run.config_path)
    assert open_project(tmp_path).config_path == project.configs / "new.toml"
    opened = open_project(tmp_path, run)
    assert (opened.config_path, opened.several) == (project.configs / "old.toml", True)
    save_config(starting_config(project), run.config_path)  # of no configuration that is left: the newest
    assert open_project(tmp_path, run).config_path == project.configs / "new.toml"


def test_a_missing_folder_and_a_wrong_project_file_are_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        open_project(tmp_path / "nowhere")
    (tmp_path / "lora-tui.toml").write_text("purpose = 3")
    with pytest.raises(UserError) as caught:
        open_project(tmp_path)
    assert "lora-tui.toml" in caught.value.place


def test_images_are_read_with_their_problems_and_planned(tmp_path: Path) -> None:
    opened = open_project(make_dataset(tmp_path, 5))
    (tmp_path / "4_hat" / "broken.png").write_bytes(b"no image")
    images = check_images(opened.config, opened.project, read_images(opened.config))
    assert len(images.scan.images) == 5
    assert any(problem.path.name == "broken.png" for problem in images.problems)
    planned = make_planned(opened.config, images)
    assert planned.plan is not None
    assert planned.plan.images == 5
    assert any(finding.field == "model.base" for finding in planned.findings)


def test_what_is_known_stands_while_a_change_is_looked_into(tmp_path: Path) -> None:
    """Of the folder and of the files that are still there; nothing of one that is gone, or that is like one."""
    opened = open_project(make_dataset(tmp_path, 5))
    opened.project.purpose = "character"  # of which five images are few
    old = check_images(opened.config, opened.project, read_images(opened.config), decode=True)
    first, *_others = (image.path for image in old.scan.images)
    of_folder = {problem for problem in old.problems if problem.path.is_dir()}
    alone = {problem for problem in old.problems if problem.path == first}
    assert of_folder
    first.unlink()
    scanned = read_images(opened.config)
    shown = with_known(scanned, old)
    assert of_folder <= set(shown.problems) and not alone & set(shown.problems) and not shown.checked
    assert all(first not in problem.others for problem in shown.problems)
    assert shown.tally.warnings == sum(problem.severity == "warning" for problem in shown.problems)
    checked = check_images(opened.config, opened.project, read_images(opened.config))
    assert with_known(read_images(opened.config), checked).problems == checked.problems


def test_nothing_to_plan_without_images(tmp_path: Path) -> None:
    opened = open_project(tmp_path)
    planned = make_planned(opened.config, None)
    assert planned.plan is None
    assert planned.error is None


def test_the_stamp_changes_when_files_come(tmp_path: Path) -> None:
    config = open_project(make_dataset(tmp_path)).config
    before = folder_stamp(config)
    assert folder_stamp(config) == before
    (tmp_path / "4_hat" / "new.png").write_bytes(b"")
    os.utime(tmp_path / "4_hat", ns=(10**18, 10**18))
    assert folder_stamp(config) != before


def test_no_runs_folder_is_no_run(tmp_path: Path) -> None:
    assert RunsReader().read(tmp_path / "runs") == ()


def run_with(project: Path, number: int) -> RunFolder:
    run = RunFolder.create(project / "runs", f"run{number}", "schema_version = 1\n", {"number": number})
    EventWriter(run.events_path).emit("run", total_steps=10, epochs=1)
    EventWriter(run.events_path).emit("step", step=4, epoch=1, loss=0.5)
    return run


def test_runs_are_read_newest_first_and_again_when_they_changed(tmp_path: Path) -> None:
    runs = [run_with(tmp_path, number) for number in (1, 2)]
    reader = RunsReader()
    first = reader.read(tmp_path / "runs")
    assert {status.run for status in first} == set(runs)
    assert [status.run.name for status in first] == sorted((run.name for run in runs), reverse=True)
    again = reader.read(tmp_path / "runs")
    assert all(one is two for one, two in zip(first, again, strict=True))
    EventWriter(runs[0].events_path).emit("finished", reason="completed", step=10, path="")
    changed = {status.run: status.state for status in reader.read(tmp_path / "runs")}
    assert changed[runs[0]] == "finished"


@pytest.mark.bench
def test_a_thousand_ended_runs_are_looked_at_in_a_moment(tmp_path: Path) -> None:
    for number in range(1000):
        run_with(tmp_path, number)
    reader = RunsReader()
    reader.read(tmp_path / "runs")
    start = time.process_time()
    reader.read(tmp_path / "runs")
    assert time.process_time() - start < 0.1


def finished(project: Path, config: Config, step_seconds: float) -> RunFolder:
    """A finished run of the project whose steps took ``step_seconds``."""
    run = RunFolder.create(project / "runs", "hats", dump_config(config), {"number": 1})
    events = EventWriter(run.events_path)
    events.emit("run", total_steps=20, epochs=1, name="hats")
    for step in range(1, 21):
        events.emit("step", step=step, epoch=1, loss=0.1, step_seconds=step_seconds)
    events.emit("finished", reason="completed", step=20, path="")
    return run


def test_where_no_run_of_the_project_compares_those_of_others_tell_the_time(tmp_path: Path) -> None:
    here, other = make_dataset(tmp_path / "here"), make_dataset(tmp_path / "hats")
    opened = open_project(here)
    images = read_images(opened.config)
    assert (plan := make_planned(opened.config, images).plan) is not None and plan.seconds is None
    on_cpu = opened.config.model_copy(deep=True)
    on_cpu.memory.device = "cpu" if opened.config.memory.device != "cpu" else "cuda"
    runs = tuple(inspect(run) for run in [finished(here, on_cpu, 9.0)])
    assert (plan := make_planned(opened.config, images, runs).plan) is not None and plan.seconds is None
    finished(other, opened.config, 0.5)
    remember_project(other)
    plan = make_planned(opened.config, images, runs).plan
    assert (
        plan is not None and plan.source.startswith("hats: ") and plan.seconds == pytest.approx(0.5 * plan.total_steps)
    )
