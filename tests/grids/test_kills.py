"""Grids and pictures whose processes are killed, whose disk is full, or of which two are drawn at once."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from pathlib import Path

import pytest
from grid_models import Nursery, drawn, new_grid
from support import until

from lora_tui.grids.folder import GridFolder
from lora_tui.jobs.lock import holder
from lora_tui.tasks.folder import TaskFolder
from lora_tui.tasks.start import resume_task, start_task
from lora_tui.tasks.status import task_status

KILLS = 12


def files_of(folder: GridFolder) -> dict[str, bytes]:
    """All that a person would look at, byte for byte: pictures, sheets, tables, page."""
    names = [*folder.cells.iterdir(), *folder.root.glob("sheet*.png"), folder.root / "cells.csv",
             folder.root / "cells.json", folder.root / "index.html"]  # fmt: skip
    return {path.name: path.read_bytes() for path in names}


@pytest.mark.slow
def test_killed_at_random_points_and_resumed_it_gives_the_same_files(nursery: Nursery, tmp_path: Path) -> None:
    """SIGKILL at any moment of any life: while it loads, draws, writes a picture, or makes the sheets."""
    axes = ("strength=0-1 [4]", "lora=one,two", "seed=1-4")
    whole = new_grid(nursery, tmp_path / "whole", *axes, steps=6)
    drawn(whole)
    folder = new_grid(nursery, tmp_path / "killed", *axes, steps=6)
    chance = random.Random(11)
    task = start_task(folder.root, "grid", "small", {"folder": str(folder.root)})
    seen, kills = [0], 0
    while kills < KILLS and task_status(task).state != "finished":
        _wait_for_a_moment(task, folder, chance)
        found = holder(task.root / "lock")
        if found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(found, signal.SIGKILL)
                kills += 1
        until(lambda: not task.alive(), 120)
        seen.append(len(folder.there()))
        assert seen[-1] >= seen[-2]  # nothing that was drawn is lost
        if task_status(task).state != "finished":
            resume_task(task)
    until(lambda: task_status(task).state == "finished", 240)
    assert kills >= 3
    assert files_of(folder) == files_of(whole)
    assert not [path for path in folder.cells.iterdir() if path.suffix != ".png"]


def _wait_for_a_moment(task: TaskFolder, folder: GridFolder, chance: random.Random) -> None:
    """Until a few more pictures are there, or some part of a second has passed since it began."""
    before, more = len(folder.there()), chance.randint(0, 4)
    until(lambda: len(folder.there()) >= before + more or task_status(task).state == "finished", 240)
    end = time.monotonic() + chance.random() * 0.3
    until(lambda: time.monotonic() > end or task_status(task).state == "finished", 10)
