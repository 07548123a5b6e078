"""Drawing a grid, as a task: ``work`` takes its folder, draws what is missing, and writes sheets and tables.

Imports torch when it is called. It may be killed at any point: a picture is there whole or not at all, and the next
life draws what is not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_tui.errors import UserError
from lora_tui.files import sweep_temporaries, write_atomic
from lora_tui.grids.cell import Cell
from lora_tui.grids.drawing import Drawing, of_disk, png_of
from lora_tui.grids.folder import GridFolder
from lora_tui.grids.outputs import write_outputs
from lora_tui.grids.plan import plan_of
from lora_tui.jobs.lock import RunLock
from lora_tui.tasks.report import Report
from lora_tui.text import _, plain

if TYPE_CHECKING:
    from PIL.Image import Image

MARK = "grid"
"""Marks the temporary files of this work: only one process at a time does it."""


def work(options: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Draw the grid in the folder of ``options`` (``folder``; ``batch``: pictures predicted together, 0 chooses;
    ``score``: what :func:`lora_tui.scores.work.work` takes, where it is to be scored then).

    Raises:
        UserError: it cannot be read, another process draws it, the device is missing, or the disk is full.
    """
    folder = GridFolder(Path(str(options["folder"])))
    folder.read()
    with _alone(folder):
        try:
            sweep_temporaries(folder.cells, 0.0, by=MARK)
            result = _draw(folder, report, int(options.get("batch", 0)))
        except OSError as error:
            raise of_disk(error, folder.root) from error
    scoring = options.get("score")
    if not isinstance(scoring, Mapping) or not result["complete"]:
        return result
    from lora_tui.scores.work import work as score

    scored = score({**scoring, "folder": str(folder.root)}, report)
    return {**result, "complete": scored["complete"], "scores": scored}


def _alone(folder: GridFolder) -> RunLock:
    """The lock of the grid. Raises :class:`UserError` while another process has it."""
    try:
        return RunLock.acquire(folder.lock_path)
    except UserError as error:
        if error.code != "run.locked":
            raise
        raise UserError(
            _("the grid is being drawn by another process."),
            place=plain(str(folder.root)),
            remedy=_("Wait until that has ended, or stop it: lora-tui tasks list, lora-tui tasks stop TASK"),
            code=error.code,
        ) from error


def _draw(folder: GridFolder, report: Report, batch: int) -> dict[str, Any]:
    """Draw what is missing and write what is made of it."""
    grid, config = folder.read(), folder.config()
    report.progress("reading", 0, 0)
    cells = dict.fromkeys(grid.cell(place) for place in grid.places())
    keys = folder.keys(cells)
    folder.note_contents(cells)
    there = folder.there()
    plan = plan_of((cell for cell in cells if keys[cell] not in there), grid.family, config.model.vae)

    def write(cell: Cell, picture: Image) -> None:
        data = png_of(cell, picture, grid.family, keys[cell])
        write_atomic(folder.picture(keys[cell]), data, durable=False, by=MARK)

    wanted = {keys[cell] for cell in plan.cells}
    before = {key: why for key, why in folder.failures().items() if key in wanted}

    def tell(failures: Mapping[Cell, UserError]) -> None:
        """Those of an earlier life are told until their cells are drawn or fail again."""
        folder.note_failures({**before, **{keys[cell]: error.as_dict() for cell, error in failures.items()}})

    drawing = Drawing(config, report, batch, write, tell)
    complete = drawing.run(plan)
    if complete:
        before = {}
        tell(drawing.failures)
    report.progress("writing", 0, 0)
    write_outputs(folder, grid)
    return {
        "complete": complete, "folder": str(folder.root), "cells": grid.count, "pictures": len(cells),
        "kept": len(cells) - len(plan.cells), **drawing.told(plan),
    }  # fmt: skip
