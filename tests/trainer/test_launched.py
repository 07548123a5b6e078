"""A run that a launcher's processes share, started as a person starts it, ends as one with a single process does."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from kills import assert_same_bits
from lives import events, lean_config, live_here, new_run
from support import until

from lora_tui.config.load import dump_config
from lora_tui.config.schema import Config
from lora_tui.runs.folder import RunFolder
from lora_tui.runs.record import read_record
from lora_tui.runs.status import inspect


def config(base: Path, data: Path, **sections: Any) -> Config:
    """Twelve updates of two batches each."""
    saving = {"precision": "fp32", "every_epochs": 0, "state_every_steps": 2, "keep_states": 1}
    return lean_config(
        base, data, steps={"epochs": 4, "batch_size": 4, "gradient_accumulation": 2}, saving=saving, **sections
    )


def port() -> tuple[str, str]:
    """A free one, for processes to find each other."""
    with socket.create_server(("", 0)) as listening:
        return "--main_process_port", str(listening.getsockname()[1])


class Launch:
    """``accelerate launch`` of two processes that ``train``; ``more`` are words of the launcher's own."""

    def __init__(self, folder: Path, *arguments: str, more: tuple[str, ...] = (), name: str = "launch") -> None:
        self.log = folder / f"{name}.log"
        self.runs = folder / "runs"
        line = ["--multi_gpu", "--num_processes", "2", *more]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "accelerate.commands.launch", *line, "-m", "lora_tui", "train", *arguments],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder,
            )  # fmt: skip

    def made(self) -> RunFolder:
        """The run that it made."""
        (found,) = self.runs.iterdir()
        return RunFolder(found)

    def comes_to(self, step: int) -> None:
        def reached() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            return self.runs.is_dir() and any(self.runs.iterdir()) and len(events(self.made(), "step")) >= step

        until(reached, 240)

    def second(self) -> psutil.Process:
        """The process that shares each step and decides nothing."""
        found = psutil.Process(self.process.pid).children()
        (second,) = [child for child in found if "lora_tui.trainer.follower" in child.cmdline()]
        return second

    def end(self) -> None:
        """Nothing that it started outlives a test."""
        status = inspect(self.made()) if self.runs.is_dir() else None
        if status and status.alive and status.pid:
            psutil.Process(status.pid).kill()
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(60)


def ended(run: RunFolder) -> str:
    """The state that it came to."""
    until(lambda: not inspect(run).alive, 60)
    return inspect(run).state


@pytest.fixture
def alone(base: Path, data: Path, tmp_path: Path) -> RunFolder:
    """What one process learns, with gradient accumulation."""
    run = new_run(tmp_path / "alone", config(base, data))
    assert live_here(run) == 0
    return run


@pytest.fixture
def words(base: Path, data: Path, tmp_path: Path) -> tuple[str, ...]:
    """The words after ``train`` for a new run."""
    place = tmp_path / "config.toml"
    place.write_text(dump_config(config(base, data)), "utf-8")
    return str(place), "--runs", str(tmp_path / "runs")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_stopped_lost_and_resumed_and_still_the_bits_of_one(
    alone: RunFolder, words: tuple[str, ...], tmp_path: Path
) -> None:
    launch = Launch(tmp_path, *words, more=port())
    try:
        launch.comes_to(2)
        launch.process.terminate()  # which asks all that it started to end
        assert launch.process.wait(60) != 0
    finally:
        launch.end()
    run = launch.made()
    assert ended(run) == "stopped"
    assert [event["request"] for event in events(run, "control") if event["status"] == "accepted"] == ["stop"]
    stopped = len(events(run, "step"))

    launch = Launch(tmp_path, "--resume", str(run.root), more=port())
    try:
        launch.comes_to(stopped + 2)
        launch.second().send_signal(signal.SIGKILL)
        assert launch.process.wait(60) == 1
    finally:
        launch.end()
    assert ended(run) == "failed"
    failed = events(run, "failed")
    assert [event["code"] for event in failed] == ["process.lost"], launch.log.read_text()
    assert failed[0]["message"] == "process 2 of 2 ended: it gave no reason."
    assert inspect(run).can_resume

    launch = Launch(tmp_path, "--resume", str(run.root), more=port())
    try:
        assert launch.process.wait(240) == 0, launch.log.read_text()
    finally:
        launch.end()
    assert ended(run) == "finished"
    assert_same_bits(alone, run)
    assert read_record(run)["device"]["processes"] == ["cpu", "cpu"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_launched_as_on_two_machines(alone: RunFolder, words: tuple[str, ...], tmp_path: Path) -> None:
    """Two launchers, that find each other by an address that is not the one of a single machine's processes."""
    there = ("--num_machines", "2", "--main_process_ip", "127.0.0.2", *port())
    launches = [
        Launch(tmp_path, *words, more=(*there, "--machine_rank", str(number)), name=f"machine{number}")
        for number in range(2)
    ]
    try:
        for launch in launches:
            assert launch.process.wait(240) == 0, launch.log.read_text()
    finally:
        for launch in launches:
            launch.end()
    run = launches[0].made()
    assert ended(run) == "finished"
    assert_same_bits(alone, run)
