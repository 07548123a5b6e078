"""Every test starts from the same environment, in a user's folder of its own, and without a network."""

from __future__ import annotations

import gc
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Laws hold on a busy machine, too; how long they take there says nothing. The suite tries the same examples each time,
# so that it fails for what was changed and not by chance; `make fuzz` tries new ones, and more of them.
settings.register_profile("lora-tui", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
settings.register_profile("fuzz", settings.get_profile("lora-tui"), derandomize=False, print_blob=True)
settings.load_profile("lora-tui")

_OURS_AND_THE_TERMINALS = ("LORA_TUI_", "TEXTUAL", "TMUX", "NO_COLOR", "FORCE_COLOR", "COLORTERM", "STY", "SSH_")

_scratch = tempfile.TemporaryDirectory(prefix="lora-tui-tests-")  # goes with the process

for _name in [name for name in os.environ if name.startswith(_OURS_AND_THE_TERMINALS)]:
    del os.environ[_name]
os.environ.update(
    HF_HUB_OFFLINE="1",
    LANG="C.UTF-8",
    LC_ALL="C.UTF-8",
    LORA_TUI_HOME=_scratch.name,
    TERM="xterm-256color",
    TEXTUAL_ANIMATIONS="none",  # read when textual is imported
)

_GPUS = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in the background of a shell; what tests start inherits it
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Libraries of thousands of modules are looked through again and again for garbage that is not there: a tenth of the
# time of all tests. What is there before the first test is never garbage, and the rest is looked at less often.
gc.disable()
gc.set_threshold(10_000, 20, 20)


def pytest_configure(config: pytest.Config) -> None:
    """What is not for a GPU sees none: its numbers are those of a CPU, and its trainers are forked from others."""
    wanted = str(config.option.markexpr)
    if any(Path(place).exists() for place in _GPUS) and ("gpu" not in wanted or "not gpu" in wanted):
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def pytest_collection_finish(session: pytest.Session) -> None:
    """All test files are imported."""
    gc.freeze()
    gc.enable()


COMPUTING = ("trainer", "tools", "cli", "demo")
WAITING = ("e2e", "jobs", "tasks", "tui")
"""Rooms whose tests keep a core busy, and those whose tests often wait for timers and for programs that they drive."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Files that compute and files that wait in turns, then the others.

    Processes that take them in this order use the cores evenly, and at the end none has a long file for itself.
    """
    root = config.rootpath / "tests"
    groups: dict[int, list[Path]] = {0: [], 1: [], 2: []}
    for path in dict.fromkeys(item.path for item in items):
        room = path.relative_to(root).parts[0] if path.is_relative_to(root) else ""
        groups[0 if room in COMPUTING else 1 if room in WAITING else 2].append(path)
    places = {
        path: (number + 0.5) / len(groups[group]) for group in (0, 1) for number, path in enumerate(groups[group])
    }
    places |= {path: 1.0 + number for number, path in enumerate(groups[2])}
    items.sort(key=lambda item: places[item.path])


@pytest.fixture(autouse=True)
def user_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings, caches and the registry of jobs of one test are no other's."""
    monkeypatch.setenv("LORA_TUI_HOME", str(tmp_path_factory.mktemp("user")))


@pytest.fixture
def may_fetch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model on the hub is as good as one here: nothing forbids to fetch it, and no test does."""
    monkeypatch.delenv("HF_HUB_OFFLINE")


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    """A test that changes the language leaves it as it was."""
    from lora_tui.text import set_language

    set_language("en")
    yield
    set_language("en")
