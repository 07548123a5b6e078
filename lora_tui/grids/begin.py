"""Beginning to draw a grid as a task, going on with it, and the grid that one key makes after a training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lora_tui.errors import UserError
from lora_tui.grids.ask import USUAL, Asked, Wanted, asked
from lora_tui.grids.folder import GridFolder, list_grids
from lora_tui.runs.folder import RunFolder
from lora_tui.scores.named import check_names, usual
from lora_tui.settings import load_settings
from lora_tui.tasks.folder import TaskFolder, tasks_of
from lora_tui.tasks.start import ask_task, start_task
from lora_tui.tasks.status import task_status

KIND = "grid"


def begin(folder: GridFolder, title: str, project: Path, *, batch: int = 0) -> TaskFolder:
    """Draw what is missing of a grid, in the background; then score it, where models for that are known.

    Raises:
        UserError: the settings cannot be read, or as :func:`lora_tui.tasks.start.start_task`.
    """
    options: dict[str, Any] = {"folder": str(folder.root), "batch": batch}
    if names := usual(folder.root, load_settings().encoders):
        options["score"] = _scoring(names)
    return start_task(folder.root, KIND, title, options, about=(project,))


def check_begin(project: Path) -> None:
    """Refuse what would keep a grid of this project from being begun, before its folder is made.

    Raises:
        UserError: the settings cannot be read, or name a model for scores that is none.
    """
    check_names(usual(project, load_settings().encoders))


def begin_scoring(folder: GridFolder, project: Path) -> TaskFolder:
    """Score a grid's pictures, in the background: by the usual models, or by validation loss without any.

    Raises:
        UserError: the grid or the settings cannot be read, or as :func:`lora_tui.tasks.start.start_task`.
    """
    title = folder.read().title
    options = {"folder": str(folder.root), **_scoring(usual(folder.root, load_settings().encoders))}
    return start_task(folder.root, "score", title, options, about=(project,))


def _scoring(names: Sequence[str]) -> dict[str, Any]:
    """What the scoring takes besides the folder; names are looked at, so that a wrong one is told before it begins."""
    check_names(names)
    return {"encoders": list(names), "trigger": "", "on_sheet": True}


def task_of(folder: GridFolder) -> TaskFolder | None:
    """The newest task that drew or scored this grid, or does."""
    return next(iter(tasks_of(folder.root)), None)


def _drawing_of(folder: GridFolder) -> TaskFolder | None:
    """The newest task that drew it, or does."""
    return next((one for one in tasks_of(folder.root) if one.name.endswith(f"-{KIND}")), None)


def go_on(folder: GridFolder, project: Path) -> TaskFolder:
    """Let a task that rests, was stopped or died go on; else draw what is missing by a new one.

    Raises:
        UserError: the grid cannot be read, or as :func:`lora_tui.tasks.start.ask_task`.
    """
    task = _drawing_of(folder)
    if task is not None:
        status = task_status(task)
        if status.alive or status.can_resume:
            ask_task(task, "resume")
            return task
    return begin(folder, folder.read().title, project)


def after_run(run: RunFolder) -> tuple[Asked, bool]:
    """The checkpoints of a run against strength, from its sample prompts; whether somebody draws it now.

    Where there is such a grid already it grows by the files that have come since.

    Raises:
        UserError: the run has no LoRA file, or no prompt.
    """
    here = run.root.parent.parent
    names = ("--x", "--y")
    axes = tuple(zip(names, USUAL, strict=True))
    kinds = {text.partition("=")[0] for text in USUAL}
    for folder in reversed(list_grids(here / "grids")):
        try:
            grid = folder.read()
        except UserError:
            continue
        if grid.run == str(run.root) and {axis.kind for axis in grid.axes} - {"prompt"} == kinds:
            return asked(Wanted(str(folder.root), here, axes=axes)), is_drawn_now(folder)
    return asked(Wanted(str(run.root), here)), False


def is_drawn_now(folder: GridFolder) -> bool:
    """Whether a task is at work on it, or rests."""
    task = task_of(folder)
    return task is not None and task_status(task).alive
