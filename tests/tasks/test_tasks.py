"""Tagging and preparing in the background by the commands: followed, paused, killed, gone on with."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support import until
from tagger_builders import make_images, make_wd14

from lora_tui.cli.main import run
from lora_tui.jobs.job import read_job
from lora_tui.jobs.lock import holder
from lora_tui.tasks.folder import TaskFolder
from lora_tui.tasks.status import TaskStatus, task_status


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORA_TUI_HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture
def asked(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """A command's JSON."""

    def ask(*words: str | Path) -> Any:
        status = run([*(str(word) for word in words), "--json"])
        told = capsys.readouterr()
        assert status == 0, told.err
        return json.loads(told.out)

    return ask


def ended(task: TaskFolder, *, seconds: float = 120) -> TaskStatus:
    until(lambda: not task_status(task).alive and holder(task.root / "keeper.lock") is None, seconds=seconds)
    return task_status(task)


def kill(task: TaskFolder) -> None:
    """SIGKILL for the process that does the work, and for those it started."""
    job = read_job(task.root)
    assert job is not None
    os.killpg(job.child_pid, signal.SIGKILL)


def pictures(root: Path, number: int) -> Path:
    """Files of ``number`` images, of which only two are different: to make noise takes longer than to prepare it."""
    root.mkdir(parents=True)
    kinds = []
    for _kind in range(2):
        Image.effect_noise((900, 700), 60).convert("RGB").save(root / "kind.png", compress_level=1)
        kinds.append((root / "kind.png").read_bytes())
    (root / "kind.png").unlink()
    for index in range(number):
        (root / f"{index:03}.png").write_bytes(kinds[index % 2])
        (root / f"{index:03}.txt").write_text(f"thing, {index}")
    return root


def made(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in root.iterdir() if path.is_file()}


def test_a_preparation_killed_in_the_background_goes_on_to_the_same_images(
    tmp_path: Path, asked: Callable[..., Any]
) -> None:
    source = pictures(tmp_path / "src", 16)
    asked("dataset", "prepare", source, tmp_path / "whole", "--size", "256")
    started = asked("dataset", "prepare", source, tmp_path / "dst", "--size", "256", "--detach")
    task = TaskFolder(Path(started["task"]))
    until(lambda: task_status(task).done >= 2 or not task_status(task).alive, seconds=60, every=0.05)
    kill(task)
    died = ended(task)
    assert died.state in ("died", "finished")
    if died.state == "died":
        assert died.can_resume and died.message
        asked("tasks", "resume", task.root)
        assert ended(task).state == "finished"
    assert made(tmp_path / "dst") == made(tmp_path / "whole")
    assert task_status(task).result["complete"] is True


def test_a_tagging_is_paused_goes_on_and_is_one_step_of_undo(
    tmp_path: Path, asked: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    wd = make_wd14(tmp_path / "wd")
    number = 1_000  # of which it has tagged a part when it is asked to pause
    data = make_images(tmp_path / "data", {f"{n:03d}": (n % 256, 0, n // 4) for n in range(number)})
    words = ("tag", data, "--model", wd, "--device", "cpu", "--threads", "1", "--batch", "1", "--detach")
    task = TaskFolder(Path(asked(*words)["task"]))
    until(lambda: task_status(task).done >= 2 or not task_status(task).alive, seconds=60)
    if run(["tasks", "pause", str(task.root)]) == 0:  # else it has ended meanwhile
        until(lambda: task_status(task).state == "paused" or not task_status(task).alive, seconds=60)
    paused = task_status(task)
    capsys.readouterr()
    if paused.state == "paused":
        if paused.done < number:  # captions are written at the end, in one go
            assert not list(data.glob("*.txt"))
        asked("tasks", "resume", task.root)
    told = asked("tasks", "watch", task.root)
    assert (told["state"], told["result"]["complete"]) == ("finished", True)
    assert len(list(data.glob("*.txt"))) == number
    asked("captions", "undo", data)
    assert not list(data.glob("*.txt"))


def test_what_goes_on_is_listed_from_anywhere(
    tmp_path: Path, asked: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = pictures(tmp_path / "src", 2)
    monkeypatch.chdir(tmp_path)
    started = asked("dataset", "prepare", source, tmp_path / "dst", "--size", "256", "--detach")
    task = TaskFolder(Path(started["task"]))
    ended(task)
    for folder in ("src", "dst"):
        (one,) = asked("tasks", "list", "--dir", tmp_path / folder)
        assert asked("tasks", "list", tmp_path / folder) == [one]
        assert (one["kind"], one["state"], one["title"]) == ("prepare", "finished", "src > dst")
    assert asked("tasks", "watch", task.name)["name"] == task.name  # from a folder that has nothing to do with it


def test_a_failed_task_says_where_and_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_images(tmp_path / "data", {"a": (1, 2, 3)})
    (tmp_path / "empty").mkdir()
    assert run(["tag", str(data), "--model", f"wd14:{tmp_path / 'empty'}", "--detach", "--json"]) == 0
    task = TaskFolder(Path(json.loads(capsys.readouterr().out)["task"]))
    failed = ended(task)
    assert failed.state == "failed" and "model.onnx" in failed.message
    assert run(["tasks", "watch", str(task.root)]) == 1
    assert "model.onnx" in capsys.readouterr().out


def test_a_destination_that_is_not_empty_is_refused_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = pictures(tmp_path / "src", 1)
    (tmp_path / "dst").mkdir()
    (tmp_path / "dst" / "mine.txt").write_text("mine")
    assert run(["dataset", "prepare", str(source), str(tmp_path / "dst"), "--size", "256", "--detach"]) == 2
    assert "not empty" in capsys.readouterr().err
    assert not (tmp_path / "dst" / ".lora-tui" / "tasks").exists()


def test_there_is_no_task(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["tasks", "stop", "nothing", "--dir", str(tmp_path)]) == 2
    assert "tasks list" in capsys.readouterr().err
