"""``train`` with the real trainer and a micro model, in processes of their own."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from run_builders import end_all, ended, events, kill, training
from support import until

from lora_tui.bench.model import write_model
from lora_tui.cli.main import run as command
from lora_tui.config.load import parse_config, save_config
from lora_tui.jobs.job import read_job, trainer_alive
from lora_tui.runs.choose import runs_dir_for
from lora_tui.runs.folder import RunFolder, list_runs
from lora_tui.runs.status import inspect


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "base", seed=1)


@pytest.fixture
def config(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    images = tmp_path / "project" / "images"
    images.mkdir(parents=True)
    for number in range(4):
        Image.new("RGB", (64, 64), (number * 60, 90, 200)).save(images / f"{number}.png")
        (images / f"{number}.txt").write_text("blob")
    values = {
        "model": {"base": str(model)},
        "datasets": [{"path": str(images)}],
        "data": {"resolution": 64, "bucket_min": 64, "bucket_max": 64},
        "steps": {"epochs": 1, "batch_size": 2},
        "network": {"rank": 2, "alpha": 2.0},
        "memory": {"precision": "fp32", "threads": 1, "device": "cpu"},
        "sampling": {"at_start": False, "every_epochs": 0},
        "saving": {"name": "blob"},
    }
    path = tmp_path / "project" / "blob.toml"
    save_config(parse_config(values, base=None, place="test"), path)
    monkeypatch.chdir(path.parent)
    return path


@pytest.fixture(autouse=True)
def nothing_left_behind(tmp_path: Path) -> Iterator[None]:
    """What a test leaves running is ended."""
    yield
    end_all(tmp_path)


def program(*args: str, **options: object) -> subprocess.Popen[str]:
    line = [sys.executable, "-m", "lora_tui", *args]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)  # type: ignore[call-overload]


def only_run(config: Path) -> RunFolder:
    (run,) = list_runs(config.parent / "runs")
    return run


def test_training_to_the_end_names_run_and_file(config: Path) -> None:
    process = program("train", "blob.toml", "--set", "steps.epochs=2", "--json")
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    told = json.loads(out)
    run = only_run(config)
    assert (told["run"], told["state"], told["step"], told["total_steps"]) == (str(run.root), "finished", 4, 4)
    assert told["lora"] == str(run.checkpoints_dir / "blob.safetensors") and Path(told["lora"]).is_file()
    assert "saved checkpoints/blob.safetensors" in err and "Traceback" not in err


def test_ctrl_c_leaves_it_training_and_so_does_the_death_of_its_keeper_until_it_is_stopped(config: Path) -> None:
    """On a real terminal, where Ctrl+C reaches all processes of the foreground."""
    main, side = pty.openpty()
    line = [sys.executable, "-m", "lora_tui", "train", "blob.toml", "--set", "steps.epochs=100000"]
    process = subprocess.Popen(line, stdin=side, stdout=side, stderr=side, start_new_session=True)
    os.close(side)
    until(lambda: list_runs(config.parent / "runs"), 60)
    run = only_run(config)
    training(run, 2)
    os.killpg(process.pid, signal.SIGINT)
    shown = read_all(main)
    assert process.wait(30) == 0
    assert f"lora-tui runs stop {run.name}" in shown and "\r\x1b[K" in shown
    os.close(main)
    training(run, len(events(run, "step")) + 2)
    assert command(["runs", "stop"]) == 0
    assert inspect(run).state == "stopped"
    step = events(run, "finished")[-1]["step"]
    assert command(["train", "--resume", "1", "--detach", "--json"]) == 0
    training(run, step + 1)
    job = read_job(run.root)
    assert job is not None
    kill(job.pid)
    until(lambda: inspect(run).state == "orphaned")
    training(run, inspect(run).step + 2)
    assert command(["runs", "stop", "--now", "--no-wait"]) == 0
    until(lambda: not inspect(run).alive, 60)
    assert events(run, "resumed")[0]["step"] == step


@pytest.mark.parametrize("early", [True, False])
def test_ctrl_c_gives_a_script_the_run_that_goes_on(config: Path, early: bool) -> None:
    process = program("train", "blob.toml", "--set", "steps.epochs=100000", "--json")
    assert process.stderr is not None
    until(lambda: list_runs(config.parent / "runs"), 60)
    if not early:
        process.stderr.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    run = only_run(config)
    told = json.loads(out)
    assert (process.returncode, told["run"], told["alive"]) == (0, str(run.root), True)
    assert "lora-tui runs stop" in err and "Traceback" not in err
    job = read_job(run.root)
    assert job is not None and trainer_alive(run.root, job)
    kill(job.child_pid)
    ended(run)


def read_all(descriptor: int) -> str:
    """What was written to a terminal until its other side was closed."""
    found = b""
    while True:
        try:
            part = os.read(descriptor, 65536)
        except OSError:
            return found.decode()
        if not part:
            return found.decode()
        found += part


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["none.toml"], "config.missing"),
        (["blob.toml", "--set", "network.rnak=3"], "config.unknown_key"),
        (["blob.toml", "--set", "saving.title"], "usage"),
        (["blob.toml", "--set", "datasets.0.path="], "datasets.path"),
        (["blob.toml", "--set", "model.base=gone.safetensors"], None),
        (["blob.toml", "--resume", "x"], "usage"),
        (["--resume", "x"], "run.not_found"),
        (["--resume", "x", "--set", "a=b"], "usage"),
    ],
)
def test_a_wrong_wish_is_refused_before_anything_starts(
    config: Path, args: list[str], code: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["train", *args, "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["message"] and (code is None or error["code"] == code)
    assert list_runs(config.parent / "runs") == []


def test_runs_go_where_the_configuration_belongs(config: Path, tmp_path: Path) -> None:
    from lora_tui.project import Project

    assert runs_dir_for(config) == config.parent / "runs"
    in_run = RunFolder.create(tmp_path / "elsewhere", "x", "", {})
    assert runs_dir_for(in_run.config_path) == tmp_path / "elsewhere"
    Project.create(config.parent, purpose="style", trigger="w")
    assert runs_dir_for(config.parent / "configs" / "a.toml") == config.parent / "runs"
