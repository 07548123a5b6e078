"""``runs``, ``watch`` and ``train`` as a person and a script use them, on small real jobs."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from run_builders import (
    T0,
    add_lines,
    end_all,
    ended,
    event_line,
    events,
    kill,
    launched,
    make_run,
    step_line,
    training,
)
from support import until

from lora_tui.cli.main import run as command
from lora_tui.jobs.control import request
from lora_tui.jobs.job import read_job
from lora_tui.jobs.lock import RunLock
from lora_tui.runs.folder import RunFolder
from lora_tui.runs.memory_policy import ENTRY, Policy
from lora_tui.runs.record import update_record
from lora_tui.runs.status import inspect
from lora_tui.tui.run_details import read_details


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    (folder / "runs").mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def done(project: Path) -> RunFolder:
    """A run that ended a while ago."""
    run = make_run(project / "runs", "20260101-000000-done", number=1)
    add_lines(run, [event_line("run", total_steps=4), *[step_line(step) for step in range(1, 5)]])
    add_lines(run, [event_line("finished", T0 + 60, reason="completed", step=4)])
    (run.checkpoints_dir / "x.safetensors").write_bytes(b"x" * 1000)
    return run


@pytest.fixture
def living(project: Path) -> RunFolder:
    """A run at work."""
    run = make_run(project / "runs", "20260102-000000-living", number=2)
    launched(run, "--steps", "100000")
    training(run, 10)
    return run


@pytest.fixture(autouse=True)
def nothing_left_behind(tmp_path: Path) -> Iterator[None]:
    """What a test leaves running is ended."""
    yield
    end_all(tmp_path)


def answer(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_the_list_shows_the_newest_first(
    done: RunFolder, living: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["runs", "list"]) == 0
    heading, first, second = capsys.readouterr().out.rstrip("\n").split("\n")
    assert "state" in heading and "adapter" in heading and "LoRA" in first
    assert "living" in first and "running" in first and "left" in first
    assert "done" in second and "finished" in second and "100%" in second


def test_the_list_as_json(done: RunFolder, living: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["runs", "list", "--json"]) == 0
    first, second = answer(capsys)["runs"]
    assert (first["number"], first["state"], first["alive"], first["total_steps"]) == (2, "running", True, 100_000)
    assert (second["run"], second["state"], second["step"], second["pid"]) == (str(done.root), "finished", 4, None)


def test_the_living_of_all_projects(done: RunFolder, living: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["runs", "list", "--living", "--json"]) == 0
    assert [item["name"] for item in answer(capsys)["runs"]] == [living.name]


def test_a_place_without_runs_says_what_to_do(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["runs", "list"]) == 0
    told = capsys.readouterr()
    assert told.out == "" and "lora-tui train" in told.err
    assert command(["runs", "list", "--json"]) == 0
    assert answer(capsys) == {"runs": []}
    assert command(["runs", "list", "none"]) == 2


@pytest.mark.parametrize("number", ["Infinity", "NaN", "1" + "0" * 400, '"x"', "[]", "1e308"])
def test_a_broken_run_is_shown_as_such_and_the_others_as_ever(
    done: RunFolder, number: str, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = make_run(done.root.parent, "20260103-000000-broken")
    for path in (broken.record_path, broken.job_path):
        path.write_text('{"created": %s, "number": %s, "pid": %s, "ended": %s, "started": %s}' % ((number,) * 5))
    assert command(["runs", "list"]) == 0
    first, second = capsys.readouterr().out.rstrip("\n").split("\n")[1:]
    assert "broken" in first and "damaged" in first
    assert "finished" in second and "damaged" not in second
    assert command(["runs", "show", "broken"]) == 0
    assert "record.json is damaged" in capsys.readouterr().out
    assert command(["runs", "list", "--json"]) == 0
    assert answer(capsys)["runs"][0]["damaged"] == ["record.json", "job.json"]


def test_one_run_is_shown_with_its_files(done: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["runs", "show", "1"]) == 0
    text = capsys.readouterr().out
    assert "finished" in text and "checkpoints/x.safetensors" in text and "1 kB" in text
    assert "sd15, LoRA, rank 32, alpha 32, 512 px\nAdamW, lr 1e-4, cosine, batch 2" in text
    assert command(["runs", "show", "done", "--json"]) == 0
    shown = answer(capsys)
    assert shown["checkpoints"] == [{"path": str(done.checkpoints_dir / "x.safetensors"), "bytes": 1000}]
    assert (shown["config"], shown["record"]["number"]) == (str(done.config_path), 1)


def test_a_run_says_how_long_it_took_to_its_first_step(done: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    update_record(done, beginning={"seconds": 6.9, "parts": {"libraries": 5.4, "loading": 1.5, "caching": 0.0}})
    assert command(["runs", "show", "done"]) == 0
    assert "first step after 6.9 s (libraries 5.4 s, loading 1.5 s)\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"compiled": {"programs": 1, "seconds": 41.3}}, ["blocks compiled (1 program)"]),
        ({"compiled": {"programs": 12}, "graphs": {"shapes": 3}}, [
            "blocks compiled (12 programs)", "steps played as CUDA graphs (3 shapes)",
        ]),
        ({"compiled": {"reason": "no g++\x1b[2J."}, "graphs": {"shapes": 0, "reason": "too new"}}, [
            "blocks not compiled (no g++␛[2J)", "no CUDA graphs (too new)",
        ]),
        ({"compiled": {"programs": 0}, "graphs": 3}, []),
        (["compiled"], []),
    ],
)  # fmt: skip
def test_a_run_says_what_became_of_compiled_blocks_and_graphs(
    told: object, words: list[str], done: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    update_record(done, quicker=told)
    assert command(["runs", "show", "done"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert [line for line in shown if "compiled" in line or "CUDA" in line] == words
    listed = [text for parts in read_details(done).settings for text in parts]
    brief = [text.partition(" (")[0] if text.startswith(("blocks not", "no ")) else text for text in words]
    assert [text for text in listed if "compiled" in text or "CUDA" in text] == brief


def test_a_run_that_loads_says_what(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(project / "runs", "20260101-000000-loads")
    add_lines(run, [event_line("phase", phase="loading", done=3, total=9, detail="compiling\x1b[2J blocks")])
    with RunLock.acquire(run.lock_path), RunLock.acquire(run.keeper_lock_path):
        assert command(["runs", "show", "loads"]) == 0
    assert "loading   33%  3 of 9  compiling␛[2J blocks\n" in capsys.readouterr().out


def test_a_run_that_ran_out_of_memory_says_what_it_came_to(done: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    asked, used = Policy(checkpointed=0.5), Policy(checkpointed=1.0, images=2, streamed=28)
    downs = [{"place": "training", "step": 1200}]
    update_record(
        done, **{ENTRY: {"asked": asked.as_dict(), "used": used.as_dict(), "steps_down": downs, "precision": "bf16"}}
    )
    assert command(["runs", "show", "done"]) == 0
    assert (
        "memory ran out; since step 1,200: all blocks compute their activations again, 2 images at a time, "
        "28 blocks are streamed" in capsys.readouterr().out
    )
    update_record(done, **{ENTRY: {"asked": asked.as_dict(), "used": {"checkpointed": "much"}, "steps_down": 3}})
    assert command(["runs", "show", "done"]) == 0
    assert "memory ran out" not in capsys.readouterr().out


def test_a_name_that_a_terminal_would_obey_is_shown(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    name = "20260101-000000-a\x1b[2J\x1b]0;owned\x07\u202eb\x9b31m"
    run = make_run(project / "runs\x1b[31m", name, number=1)
    (run.checkpoints_dir / "a\x1b[2Jb.safetensors").write_bytes(b"x")
    launched(run, "--steps", "100000")
    training(run)
    for args in (["runs", "show"], ["runs", "save"], ["watch", "--once"], ["watch", "--line"], ["runs", "stop"]):
        assert command(args) == 0
    assert command(["runs", "list", str(run.root.parent)]) == 0
    assert command(["runs", "save", str(run.root)]) == 2
    told = capfd.readouterr()
    assert command(["runs", "show", str(run.root), "--json"]) == 0
    shown = capfd.readouterr().out
    assert json.loads(shown)["run"] == str(run.root)
    told = told._replace(out=told.out + shown)
    assert "\u241b[2J" in told.out and "\\u202e" in told.out
    assert not set(told.out + told.err) & set("\x1b\x07\u202e\x9b")


def test_links_to_nowhere_are_no_files(done: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    (done.checkpoints_dir / "y.safetensors").symlink_to("gone")
    assert command(["runs", "show", "1"]) == 0
    assert "y.safetensors" not in capsys.readouterr().out
    assert command(["runs", "show", "1", "--json"]) == 0
    assert [Path(file["path"]).name for file in answer(capsys)["checkpoints"]] == ["x.safetensors"]


def test_a_printed_remedy_works_where_the_person_stands(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = make_run(project / "runs", "20260101-000000-my run", number=1)
    add_lines(stopped, [event_line("finished", reason="stopped", step=4)])
    monkeypatch.chdir(project.parent)
    assert command(["runs", "show", "1", "--dir", "project"]) == 0
    assert f"lora-tui runs resume 'project/runs/{stopped.name}'" in capsys.readouterr().out
    assert command(["runs", "stop", "1", "--dir", "project"]) == 2
    assert f"lora-tui runs resume 'project/runs/{stopped.name}'" in capsys.readouterr().err
    assert command(["runs", "show", f"project/runs/{stopped.name}"]) == 0


@pytest.mark.parametrize("kind", ["save", "sample", "validate"])
def test_a_living_run_is_asked(living: RunFolder, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["runs", kind, "living", "--json"]) == 0
    assert answer(capsys)["request"] == kind
    until(lambda: any(event["request"] == kind for event in events(living, "control")))


def test_pause_and_resume(living: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["runs", "pause"]) == 0
    until(lambda: inspect(living).state == "paused")
    assert inspect(living).eta is None
    assert command(["runs", "resume"]) == 0
    until(lambda: inspect(living).state == "running")


def test_a_paused_run_whose_keeper_died_goes_on(living: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    job = read_job(living.root)
    assert job is not None and command(["runs", "pause"]) == 0
    until(lambda: inspect(living).state == "paused")
    kill(job.pid)
    until(lambda: inspect(living).orphaned)
    assert inspect(living).state == "paused"
    assert command(["runs", "resume"]) == 0
    until(lambda: inspect(living).state == "orphaned")
    training(living, inspect(living).step + 2)


def test_a_pause_is_taken_back_before_it_has_come(living: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(5):
        assert command(["runs", "pause"]) == 0
        assert command(["runs", "resume"]) == 0
    until(lambda: not any(living.control_dir.iterdir()))
    until(lambda: inspect(living).state == "running")
    training(living, inspect(living).step + 2)


def test_stop_waits_until_it_has_ended(living: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["runs", "stop", "--json"]) == 0
    assert answer(capsys)["state"] == "stopped"
    assert not inspect(living).alive
    assert events(living, "state")


def test_the_list_takes_its_folder_as_the_others_do(done: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["runs", "list", "--dir", str(done.root.parent), "--json"]) == 0
    assert [Path(one["run"]) for one in answer(capsys)["runs"]] == [done.root]
    assert command(["runs", "list", "--living"]) == 0
    assert "No training is running" in capsys.readouterr().err
    assert command(["runs", "list", "--nothing"]) == 2
    assert "lora-tui runs list --help" in capsys.readouterr().err


def test_a_run_that_ended_is_not_asked(done: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    for kind in ("stop", "save", "pause"):
        assert command(["runs", kind, "done"]) == 2
        assert "not running" in capsys.readouterr().err
    assert list(done.control_dir.iterdir()) == []
    assert command(["runs", "resume", "done"]) == 2
    assert "complete" in capsys.readouterr().err


def test_a_number_that_no_run_has_touches_none(living: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    for args in (["runs", "stop", "1"], ["runs", "stop", "--now", "26"], ["runs", "pause", "0"], ["runs", "show", "7"]):
        assert command(args) == 2
        assert f"No run is called {args[-1]}" in capsys.readouterr().err
    assert not any(living.control_dir.iterdir()) and events(living, "control") == []
    assert command(["runs", "save", "2"]) == 0


def test_a_copy_of_a_living_run_is_not_asked(living: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(living.root, living.root.with_name("copy"))
    assert command(["runs", "stop", "copy"]) == 2
    assert "not running" in capsys.readouterr().err
    assert inspect(living).alive


def test_a_running_run_does_not_resume(living: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["runs", "resume", "living"]) == 2
    assert "is running" in capsys.readouterr().err


def test_watch_once_and_as_one_line(done: RunFolder, living: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["watch", "--line"]) == 0
    line = capsys.readouterr().out
    assert line.startswith("● living 0% ") and "it/s" in line and "ETA" in line and line.count("\n") == 1
    assert command(["watch", "done", "--line"]) == 0
    assert capsys.readouterr().out == "✓ done finished 100% 4/4 loss 0.250\n"
    assert command(["watch", "done", "--once"]) == 0
    assert "4 of 4" in capsys.readouterr().out
    assert command(["watch", "--json"]) == 0
    assert answer(capsys)["name"] == living.name


def test_a_terminal_without_unicode_gets_plain_signs(done: RunFolder) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    line = [sys.executable, "-m", "lora_tui", "watch", "done", "--line"]
    result = subprocess.run(line, capture_output=True, check=True, env=environment)
    assert result.stdout == b"+ done finished 100% 4/4 loss 0.250\n"


def test_nothing_to_watch_is_an_empty_status_line(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["watch", "--line"]) == 0
    assert capsys.readouterr().out == ""
    assert command(["watch"]) == 2


def program(*args: str) -> subprocess.Popen[str]:
    line = [sys.executable, "-m", "lora_tui", *args]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_watching_goes_on_to_the_end(project: Path) -> None:
    run = make_run(project / "runs", "20260102-000000-short", number=1)
    launched(run, "--steps", "100000")
    training(run)
    watcher = program("watch", "short")
    assert watcher.stdout is not None and watcher.stdout.readline()  # it watches, however slow the machine is
    request(run.root, "stop")
    out, err = watcher.communicate(timeout=60)
    assert watcher.returncode == 0, err
    assert "state saved at step" in out and "stopped" in out


def test_the_first_time_left_is_a_sound_one(project: Path) -> None:
    run = make_run(project / "runs", "20260102-000000-long", number=1)
    add_lines(run, [event_line("attempt", number=1), event_line("run", total_steps=10_000)])
    add_lines(run, [step_line(step) for step in range(1, 5001)])
    with RunLock.acquire(run.lock_path), RunLock.acquire(run.keeper_lock_path):
        watcher = program("watch", "long")
        assert watcher.stdout is not None
        assert "5,000 of 10,000" in (line := watcher.stdout.readline()) and "41m 40s left" in line
        add_lines(run, [event_line("finished", reason="stopped", step=5000)])
    watcher.communicate(timeout=60)


def test_a_run_that_dies_while_watched_is_explained(living: RunFolder) -> None:
    watcher = program("watch", "living")
    kill(inspect(living).pid)
    out, err = watcher.communicate(timeout=60)
    assert watcher.returncode == 1, err
    assert "SIGKILL" in out and "lora-tui runs resume" in out


def test_a_folder_that_vanishes_while_watched_ends_the_watch(living: RunFolder) -> None:
    watcher = program("watch", "living")
    pid = inspect(living).pid
    shutil.rmtree(living.root, ignore_errors=True)
    kill(pid)
    out, _err = watcher.communicate(timeout=60)
    assert watcher.returncode in (1, 2)
    assert "Traceback" not in out + _err


def test_ctrl_c_leaves_the_watch_and_not_the_run(living: RunFolder) -> None:
    watcher = program("watch", "living", "--line", "--follow")
    assert watcher.stdout is not None and "living" in watcher.stdout.readline()
    watcher.send_signal(signal.SIGINT)
    watcher.communicate(timeout=30)
    assert watcher.returncode == 0
    assert inspect(living).alive


def test_many_may_watch_one_run(living: RunFolder) -> None:
    watchers = [program("watch", "living") for _ in range(3)]
    request(living.root, "stop")
    ended(living)
    for watcher in watchers:
        out, err = watcher.communicate(timeout=60)
        assert (watcher.returncode, "stopped" in out) == (0, True), err
    assert not any(living.control_dir.iterdir())


def test_the_memory_that_a_run_holds_on_its_gpu_is_shown(
    done: RunFolder, living: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    card = {"index": 1, "memory_used": 9_000_000_000, "memory_run": 6_000_000_000, "memory_run_most": 7_000_000_000}
    add_lines(done, [event_line("resources", gpus=[card], ram_used=1)])
    assert command(["runs", "show", str(done.root)]) == 0
    assert "memory on GPU 1: 7.0 GB at most" in capsys.readouterr().out
    assert command(["runs", "show", str(done.root), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["gpu_memory"] == [{"index": 1, "now": 6_000_000_000, "most": 7_000_000_000}]
    assert command(["runs", "show", str(living.root), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["gpu_memory"] == []
