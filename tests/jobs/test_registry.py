import json
from pathlib import Path

from run_builders import ended, kill, launched, make_run, training
from support import until

from lora_tui.jobs.control import request
from lora_tui.jobs.job import trainer_alive
from lora_tui.jobs.process import is_alive
from lora_tui.jobs.registry import living, register, unregister
from lora_tui.settings import state_dir


def entries() -> list[Path]:
    return list((state_dir() / "jobs").glob("*.json"))


def test_living_jobs_are_listed_newest_first_and_ended_ones_are_not(tmp_path: Path) -> None:
    runs = [make_run(tmp_path, f"20260101-00000{number}-x") for number in range(3)]
    for run in runs:
        launched(run, "--steps", "100000")
        training(run)
    assert [info.run_dir for info in living()] == [run.root for run in reversed(runs)]
    request(runs[1].root, "stop")
    ended(runs[1])
    assert [info.run_dir for info in living()] == [runs[2].root, runs[0].root]
    for run in (runs[0], runs[2]):
        request(run.root, "stop")
        ended(run)
    assert living() == []
    until(lambda: entries() == [])


def test_dead_entries_are_removed_by_looking(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    job = launched(run, "--steps", "100000")
    training(run)
    kill(job.pid)
    kill(job.child_pid)
    until(lambda: not trainer_alive(run.root, job) and not is_alive(job.pid, job.identity))
    register(tmp_path / "never there")
    register(tmp_path)
    assert len(entries()) == 3
    assert living() == []
    assert entries() == []


def test_damaged_entries_are_removed_and_those_of_other_machines_are_left(tmp_path: Path) -> None:
    folder = state_dir() / "jobs"
    folder.mkdir(parents=True)
    (folder / "a.json").write_text("{")
    (folder / "b.json").write_text("[1]")
    (folder / "c.json").write_text(json.dumps({"run": str(tmp_path / "x"), "host": "another-machine"}))
    assert living() == []
    assert [path.name for path in entries()] == ["c.json"]


def test_names_that_are_no_unicode_are_kept(tmp_path: Path) -> None:
    odd = tmp_path / "caf\udce9"
    odd.mkdir()
    register(odd)
    assert len(entries()) == 1
    unregister(odd)
    assert entries() == []


def test_a_state_folder_that_cannot_be_written_does_not_stop_a_job(tmp_path: Path) -> None:
    state_dir().joinpath("jobs").write_text("a file in the way")
    run = make_run(tmp_path)
    launched(run, "--steps", "2")
    assert ended(run).exit_status == 0
    assert living() == []
