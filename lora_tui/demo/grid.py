"""The demo's grid: its checkpoints against strength, two seeds, scored by the small encoder. Knows no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lora_tui.grids.ask import Wanted, asked, made
from lora_tui.grids.folder import GridFolder
from lora_tui.scores.named import MICRO
from lora_tui.tasks.folder import TaskFolder
from lora_tui.tasks.start import start_task

AXES = (("--x", "strength=0, 0.5, 0.75, 1"), ("--y", "checkpoint=all"), ("--page", "seed=11, 12"))
"""Of four checkpoints 78 different pictures: the prompts of the run's samples with each."""


def make_grid(run: Path) -> tuple[GridFolder, dict[str, Any]]:
    """The grid of a demo's run, not drawn yet, and the options of the task that draws and scores it.

    Raises:
        UserError: the run has no LoRA file, or the grid cannot be written.
    """
    folder = made(asked(Wanted(str(run), axes=AXES)))
    return folder, {"folder": str(folder.root), "batch": 0, "score": {"encoders": [MICRO]}}


def start_grid(run: Path) -> tuple[GridFolder, TaskFolder]:
    """Make the grid of a demo's run, and start its task. Raises as :func:`make_grid`."""
    folder, options = make_grid(run)
    return folder, start_task(folder.root, "grid", folder.read().title, options, about=(folder.root.parent.parent,))
