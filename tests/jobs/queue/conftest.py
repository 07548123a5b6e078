"""A queue in a folder of its own; what a test leaves at work is ended."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from lora_tui.jobs.queue.journal import turn
from lora_tui.settings import state_dir

STAND_IN = Path(__file__).with_name("stand_in")
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def at_rest() -> None:
    """No process starts by itself: for tests of the queue's records."""
    with turn() as change:
        change.say(stopped=True)


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a queue under test, which is set; every process that has it is ended after the test."""
    (tmp_path / "gates").mkdir()
    env = {
        "PYTHONPATH": os.pathsep.join((str(STAND_IN), str(ROOT))),
        "QUEUE_GATES": str(tmp_path / "gates"),
        "LORA_TUI_HOME": str(state_dir().parent),
    }
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    yield env
    for process in processes(env["QUEUE_GATES"]):
        process.send_signal(signal.SIGKILL)


def processes(gates: str, word: str = "") -> list[psutil.Process]:
    """The processes that were started below a queue under test, those with ``word`` in their command line."""
    found = []
    for process in psutil.process_iter():
        try:
            mine = process.pid != os.getpid() and process.environ().get("QUEUE_GATES") == gates
            if mine and word in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found
