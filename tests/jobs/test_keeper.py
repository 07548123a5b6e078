import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from run_builders import SMALL_TRAINER, ended, events, kill, launched, make_run, small, training
from support import until

from lora_tui.errors import UserError
from lora_tui.jobs import launch
from lora_tui.jobs.control import request
from lora_tui.jobs.events import EventReader
from lora_tui.jobs.job import as_plain, keeper_alive, read_job, trainer_alive
from lora_tui.jobs.lock import holder
from lora_tui.jobs.process import identity
from lora_tui.jobs.registry import living
from lora_tui.runs.folder import RunFolder
from lora_tui.runs.status import inspect
from lora_tui.settings import state_dir


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return make_run(tmp_path)


def test_a_job_runs_to_its_end_and_the_folder_tells_all(run: RunFolder) -> None:
    job = launched(run, "--steps", "5")
    assert (job.attempt, job.ended) == (1, None)
    job = ended(run)
    assert (job.exit_status, job.signal, job.attempt) == (0, None, 1)
    assert job.command[-1] == str(run.root)
    assert job.started <= job.heartbeat <= (job.ended or 0)
    assert events(run, "resources")
    kinds = [event["kind"] for event in events(run) if event["kind"] != "resources"]
    assert kinds[0] == "attempt" and kinds[-1] == "finished" and "failed" not in kinds
    assert inspect(run).state == "finished"
    assert living() == []


def test_a_sample_of_the_machine_has_plausible_numbers(run: RunFolder) -> None:
    launched(run, "--steps", "2")
    ended(run)
    sample = events(run, "resources")[0]
    assert 0 < sample["ram_used"] < sample["ram_total"]
    assert sample["disk_free"] > 0 and 0 <= sample["cpu_percent"] <= 100
    assert isinstance(sample["gpus"], list)


def test_the_heartbeat_beats(run: RunFolder) -> None:
    first = launched(run, "--steps", "1000", "--pause", "0.05")

    def beaten() -> bool:
        job = read_job(run.root)
        return job is not None and job.heartbeat > first.heartbeat

    until(beaten, 20)
    request(run.root, "stop")
    ended(run)


def test_the_job_has_a_session_of_its_own_and_no_terminal(run: RunFolder) -> None:
    job = launched(run, "--steps", "1000", "--pause", "0.05")
    sessions = {os.getsid(pid) for pid in (os.getpid(), job.pid, job.child_pid)}
    assert len(sessions) == 3
    assert os.getsid(job.child_pid) == job.child_pid
    request(run.root, "stop")
    ended(run)


def test_the_keeper_is_nobodys_child_here_and_leaves_no_zombie(run: RunFolder) -> None:
    job = launched(run, "--steps", "3")
    ended(run)
    until(lambda: identity(job.pid) == "")
    with pytest.raises(ChildProcessError):
        os.waitpid(job.pid, os.WNOHANG)


def test_a_failure_that_the_job_told_is_not_told_again(run: RunFolder) -> None:
    launched(run, "--steps", "2", "--end", "failed")
    ended(run)
    (failed,) = events(run, "failed")
    assert (failed["code"], failed.get("by")) == ("nan", None)
    assert inspect(run).state == "failed"


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ("signal:9", "killed"),
        ("signal:11", "crash"),
        ("signal:15", "terminated"),
        ("exit:3", "ended"),
        ("exit:0", "ended"),
        ("cuda", "gpu.memory"),
        ("disk", "disk.full"),
        ("import", "missing.module"),
        ("traceback", "error"),
    ],
)
def test_a_death_without_a_word_is_explained(run: RunFolder, how: str, code: str) -> None:
    launched(run, "--steps", "2", "--end", how)
    job = ended(run)
    (failed,) = events(run, "failed")
    assert (failed["code"], failed["by"]) == (code, "keeper")
    assert failed["message"] and failed["advice"]
    if how.startswith("signal:"):
        assert (job.signal, job.exit_status) == (int(how[7:]), None)
    status = inspect(run)
    assert (status.state, status.code, status.can_resume, status.step) == ("died", code, True, 2)


def test_a_job_killed_within_a_line_is_explained_on_a_line_of_its_own(run: RunFolder) -> None:
    launched(run, "--steps", "2", "--end", "torn")
    ended(run)
    reader = EventReader(run.events_path)
    assert reader.poll()[-1]["code"] == "killed"
    assert reader.bad_lines == 1


def test_a_program_that_is_not_there_is_a_told_failure(run: RunFolder) -> None:
    job = launch.start(run.root, command=[str(run.root / "none")], wait=30)
    assert (job.exit_status, events(run, "failed")[0]["code"]) == (127, "start")
    assert inspect(run).state == "died"


def test_sigterm_to_the_keeper_is_passed_to_the_job_which_saves(run: RunFolder) -> None:
    job = launched(run, "--steps", "10000")
    training(run)
    kill(job.pid, signal.SIGTERM)
    assert ended(run).exit_status == 0
    assert events(run, "finished")[0]["reason"] == "stopped"
    assert events(run, "state")


def test_a_sigterm_before_the_first_step_has_lost_nothing(run: RunFolder) -> None:
    job = launched(run, "--before-lock", "60")
    kill(job.pid, signal.SIGTERM)
    assert ended(run).signal == signal.SIGTERM
    assert "nothing is lost" in inspect(run).message


def test_a_request_that_came_too_late_is_answered(run: RunFolder) -> None:
    launched(run, "--steps", "100000")
    training(run)
    kill(read_job(run.root).child_pid, signal.SIGSTOP)  # type: ignore[union-attr]
    for kind in ("stop", "save"):
        request(run.root, kind)
    kill(read_job(run.root).child_pid)  # type: ignore[union-attr]
    ended(run)
    answers = [(event["request"], event["status"]) for event in events(run, "control")]
    assert answers == [("stop", "rejected"), ("save", "rejected")]
    assert inspect(run).state == "died"


def test_hangup_and_interrupt_do_not_reach_them(run: RunFolder) -> None:
    job = launched(run, "--steps", "10000")
    training(run)
    for pid in (job.pid, job.child_pid):
        kill(pid, signal.SIGHUP)
    kill(job.pid, signal.SIGINT)
    training(run, len(events(run, "step")) + 5)
    assert trainer_alive(run.root, job) and keeper_alive(run.root, job)
    request(run.root, "stop")
    ended(run)


def test_the_trainer_goes_on_when_its_keeper_is_killed(run: RunFolder) -> None:
    job = launched(run, "--steps", "300")
    training(run)
    kill(job.pid)
    until(lambda: not keeper_alive(run.root, job))
    status = inspect(run)
    assert (status.state, status.alive) == ("orphaned", True)
    assert [info.orphaned for info in living()] == [True]
    with pytest.raises(UserError) as caught:
        launch.start(run.root, command=small())
    assert caught.value.code == "run.locked"
    until(lambda: inspect(run).state == "finished", 30)
    assert events(run, "finished")[0]["step"] == 300
    until(lambda: living() == [])


def test_an_orphan_obeys_requests(run: RunFolder) -> None:
    job = launched(run, "--steps", "100000")
    training(run)
    kill(job.pid)
    request(run.root, "stop")
    until(lambda: inspect(run).state == "stopped", 30)


def test_keeper_and_trainer_killed_together_leave_a_run_that_died_and_resumes(run: RunFolder) -> None:
    job = launched(run, "--steps", "100000")
    training(run)
    kill(job.pid)
    kill(job.child_pid)
    until(lambda: not trainer_alive(run.root, job))
    until(lambda: holder(run.lock_path) is None and holder(run.keeper_lock_path) is None)
    status = inspect(run)
    assert (status.state, status.can_resume) == ("died", True)
    assert status.message
    until(lambda: living() == [])
    again = launched(run, "--steps", "3", resume=True)
    assert again.attempt == 2 and "--resume" in again.command
    ended(run)
    assert inspect(run).state == "finished"


def test_the_time_between_two_lives_does_not_count(run: RunFolder) -> None:
    launched(run, "--steps", "2")
    first = ended(run)
    assert first.ended is not None and 0 < first.lived < 300
    earlier = dataclasses.replace(first, started=first.started - 5000, ended=first.ended - 5000)
    run.job_path.write_text(json.dumps(as_plain(earlier)), encoding="utf-8")
    launched(run, "--steps", "3", resume=True)
    until(lambda: ended(run).attempt == 2)
    took = inspect(run).took
    assert took is not None
    assert earlier.lived < took < 600


def test_a_trainer_killed_before_it_took_the_lock_counts_as_started_and_then_as_died(run: RunFolder) -> None:
    job = launched(run, "--before-lock", "60")
    assert inspect(run).state == "starting"
    with pytest.raises(UserError) as caught:
        launch.start(run.root, command=small())
    assert caught.value.code == "run.locked"
    kill(job.pid)
    until(lambda: not keeper_alive(run.root, job))
    assert inspect(run).state == "orphaned"
    kill(job.child_pid)
    until(lambda: inspect(run).state == "died")


def test_a_resume_goes_on_from_the_state_and_forgets_old_requests(run: RunFolder) -> None:
    launched(run, "--steps", "100000")
    training(run, 3)
    request(run.root, "stop")
    ended(run)
    stopped_at = events(run, "finished")[0]["step"]
    request(run.root, "stop")
    launched(run, "--steps", str(stopped_at + 5), resume=True)
    assert ended(run).attempt == 2
    assert events(run, "resumed")[0]["step"] == stopped_at
    assert events(run, "finished")[-1] == {**events(run, "finished")[-1], "reason": "completed"}


def test_of_two_starts_at_once_one_wins(run: RunFolder) -> None:
    command = [sys.executable, "-P", "-m", "lora_tui.jobs.keeper", str(run.root)]
    command += ["--command-json", json.dumps(small("--steps", "100000"))]
    keepers = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(2)]
    training(run)
    loser = until(lambda: next((keeper for keeper in keepers if keeper.poll() is not None), None), 20)
    assert loser is not None and loser.returncode == 2
    assert b"already being trained by" in loser.communicate()[1]
    request(run.root, "stop")
    winner = next(keeper for keeper in keepers if keeper is not loser)
    winner.communicate(timeout=30)
    assert winner.returncode == 0
    assert len(events(run, "attempt")) == 1
    job = read_job(run.root)
    assert job is not None and job.pid == winner.pid


def test_two_trainers_on_one_folder_the_second_is_refused(run: RunFolder) -> None:
    launched(run, "--steps", "100000")
    training(run)
    second = subprocess.run([*small(), str(run.root)], capture_output=True, text=True, check=False)
    assert second.returncode == 1 and "already being trained by process" in second.stderr
    request(run.root, "stop")
    ended(run)
    assert inspect(run).state == "stopped"


@pytest.mark.parametrize("options", [(), ("--deaf",)], ids=["obedient", "deaf"])
def test_a_deleted_folder_ends_the_job_and_its_keeper(run: RunFolder, options: tuple[str, ...]) -> None:
    job = launched(run, "--steps", "1000000", *options)
    training(run)
    until(lambda: (shutil.rmtree(run.root, ignore_errors=True), not run.root.exists())[1])
    until(lambda: identity(job.pid) == "" and identity(job.child_pid) == "", 30)
    assert inspect(run).state == "died" and not run.root.exists()
    assert list((state_dir() / "jobs").iterdir()) == []


def test_a_replaced_folder_is_not_written_into(run: RunFolder) -> None:
    job = launched(run, "--steps", "1000000")
    training(run)
    moved = RunFolder(run.root.with_name("moved"))
    run.root.rename(moved.root)
    run.root.mkdir()
    until(lambda: identity(job.pid) == "" and identity(job.child_pid) == "", 30)
    assert not run.job_path.exists() and not run.events_path.exists()
    status = inspect(moved)
    assert (status.state, status.code, status.can_resume) == ("died", "folder.lost", True)
    told = read_job(moved.root)
    assert told is not None and told.ended is not None
    launched(moved, "--steps", "3", resume=True)
    ended(moved)
    assert inspect(moved).state == "finished"


def test_a_copy_of_a_living_run_is_not_at_work(run: RunFolder) -> None:
    job = launched(run, "--steps", "100000")
    training(run)
    copy = RunFolder(run.root.with_name("20260101-000000-copy"))
    shutil.copytree(run.root, copy.root)
    copied = read_job(copy.root)
    assert copied is not None and copied.child_pid == job.child_pid
    assert not trainer_alive(copy.root, copied) and not keeper_alive(copy.root, copied)
    status = inspect(copy)
    assert (status.state, status.code, status.can_resume) == ("died", "copied", True)
    assert str(run.root) in status.message
    assert inspect(run).state == "running"
    launched(copy, "--steps", "3", resume=True)
    ended(copy)
    assert inspect(copy).state == "finished" and inspect(run).alive
    request(run.root, "stop")
    ended(run)


def test_a_run_that_is_known_by_its_process_alone_is_not_its_copy(run: RunFolder) -> None:
    """Before it has the lock, or where there are no locks, the pid and the folder decide."""
    job = launched(run, "--before-lock", "60")
    moved = RunFolder(run.root.with_name("20260101-000000-copy"))
    shutil.copytree(run.root, moved.root)
    assert trainer_alive(run.root, read_job(run.root))
    assert not inspect(moved).alive
    kill(job.child_pid)
    ended(run)


def test_a_folder_that_can_not_be_written_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        launch.start(tmp_path / "none", command=small())
    assert caught.value.code == "job.start"


def test_a_start_that_the_folder_cannot_tell_of_is_a_start(run: RunFolder) -> None:
    """As on a full disk: the job's file cannot be written, and the job is at work."""
    run.job_path.mkdir()
    job = launched(run, "--steps", "1000000")
    training(run)
    assert trainer_alive(run.root, read_job(run.root)) and identity(job.child_pid) == job.child_started
    assert inspect(run).state == "running"
    request(run.root, "stop")
    until(lambda: identity(job.pid) == "")


def test_a_keeper_that_does_not_come_up_is_ended(run: RunFolder) -> None:
    with pytest.raises(UserError) as caught:
        launch.start(run.root, command=small("--steps", "5"), wait=0)
    assert caught.value.code == "job.start"
    assert holder(run.keeper_lock_path) is None and not run.log_path.exists()


def test_words_of_the_keeper_reach_the_one_who_starts(run: RunFolder) -> None:
    run.events_path.mkdir()
    with pytest.raises(UserError) as caught:
        launch.start(run.root, command=small(), wait=10)
    assert caught.value.code == "job.start"
    assert "events.jsonl" in caught.value.message


def test_the_log_has_what_the_job_printed_as_utf8_and_each_life_is_known(run: RunFolder) -> None:
    code = "import sys; print('héllo \u4f60'); sys.exit(1)"
    launch.start(run.root, command=[sys.executable, "-c", code], wait=30)
    ended(run)
    assert run.log_path.read_text(encoding="utf-8") == "héllo 你\n"
    launch.start(run.root, command=[sys.executable, "-c", "raise SystemExit('second')"], wait=30)
    job = ended(run)
    assert job.log_offset == len("héllo 你\n".encode())
    assert events(run, "failed")[-1]["message"] == "second"


def test_files_of_the_current_folder_do_not_disturb_it(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "images"
    elsewhere.mkdir()
    (elsewhere / "json.py").write_text("raise RuntimeError('the wrong json')")
    monkeypatch.chdir(elsewhere)
    launched(run, "--steps", "1")
    assert ended(run).exit_status == 0


def test_the_starter_may_die_at_once(run: RunFolder) -> None:
    code = (
        "import os, sys; from pathlib import Path; from lora_tui.jobs import launch\n"
        f"launch.start(Path(sys.argv[1]), command=[sys.executable, {str(SMALL_TRAINER)!r}, '--steps', '50'])\n"
        "os.kill(os.getpid(), 9)\n"
    )
    starter = subprocess.run([sys.executable, "-c", code, str(run.root)], check=False)
    assert starter.returncode == -9
    assert ended(run).exit_status == 0


def test_the_start_is_quick(run: RunFolder) -> None:
    begun = time.monotonic()
    launched(run, "--steps", "1")
    assert time.monotonic() - begun < 5
    ended(run)


def test_the_keeper_imports_no_torch_no_pydantic_and_no_textual(run: RunFolder) -> None:
    code = (
        "import sys; from pathlib import Path; from lora_tui.jobs import keeper\n"
        "keeper.keep(Path(sys.argv[1]), sys.argv[2:])\n"
        "print([name for name in sys.modules if name.partition('.')[0] in "
        "('torch', 'pydantic', 'textual', 'PIL', 'numpy', 'diffusers', 'rich')])\n"
    )
    command = [sys.executable, "-c", code, str(run.root), *small("--steps", "1")]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


def test_a_pipe_in_the_place_of_the_log_is_why_nothing_was_started(run: RunFolder) -> None:
    os.mkfifo(run.log_path)
    launched(run, "--steps", "2")
    status = inspect(run)
    assert (status.state, status.code) == ("died", "start")
    assert "trainer.log" in status.message and "pipe" in status.message and ".." not in status.message


@pytest.mark.parametrize("name", ["keeper.log", "events.jsonl"])
def test_a_pipe_where_a_file_of_the_run_belongs_is_named_at_once(run: RunFolder, name: str) -> None:
    os.mkfifo(run.root / name)
    with pytest.raises(UserError) as caught:
        launch.start(run.root, command=small("--steps", "2"), wait=5)
    words = str(caught.value)
    assert name in words and "pipe" in words and "Errno" not in words
    assert not holder(run.root / "keeper.lock")
