"""Drawing a grid, as a task: ``work`` takes its folder, draws what is missing, and writes sheets and tables.

Imports torch when it is called. It may be killed at any point: a picture is there whole or not at all, and the next
life draws what is not there.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_tui.errors import UserError
from lora_tui.files import sweep_temporaries, write_atomic
from lora_tui.grids.cell import Cell, short
from lora_tui.grids.files import changes_text
from lora_tui.grids.folder import GridFolder
from lora_tui.grids.grid import Grid
from lora_tui.grids.outputs import write_outputs
from lora_tui.grids.pace import note_pace
from lora_tui.grids.plan import Plan, plan_of, together
from lora_tui.jobs.lock import RunLock
from lora_tui.tasks.report import Report
from lora_tui.text import _, plain

if TYPE_CHECKING:
    from PIL.Image import Image

    from lora_tui.sampling.painter import Painter

MARK = "grid"
"""Marks the temporary files of this work: only one process at a time does it."""

GPU_BATCH = 4
"""Pictures that are predicted together on a GPU, where they may be; a CPU gains nothing by it."""


class Stopped(Exception):
    """Somebody asked to stop."""


def work(options: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Draw the grid in the folder of ``options`` (``folder``; ``batch``: pictures predicted together, 0 chooses).

    Raises:
        UserError: it cannot be read, another process draws it, the device is missing, or the disk is full.
    """
    folder = GridFolder(Path(str(options["folder"])))
    grid = folder.read()
    with RunLock.acquire(folder.lock_path):
        try:
            sweep_temporaries(folder.cells, 0.0, by=MARK)
            return _Drawing(folder, grid, report, int(options.get("batch", 0))).run()
        except OSError as error:
            raise _of_disk(error, folder) from error


@dataclass
class _Drawing:
    """One life of the work on a grid."""

    folder: GridFolder
    grid: Grid
    report: Report
    batch: int
    failures: dict[str, dict[str, str]] = field(default_factory=dict)
    drawn: int = 0
    keys: dict[Cell, str] = field(default_factory=dict)

    def run(self) -> dict[str, Any]:
        """Draw what is missing and write what is made of it."""
        config = self.folder.config()
        self.report.progress("reading", 0, 0)
        cells = dict.fromkeys(self.grid.cell(place) for place in self.grid.places())
        self.keys = self.folder.keys(cells)
        self.folder.note_contents(cells)
        there = self.folder.there()
        plan = plan_of((cell for cell in cells if self.keys[cell] not in there), self.grid.family, config.model.vae)
        counts: Mapping[str, int] = {}
        complete = True
        if plan.cells:
            from lora_tui.sampling.painter import Painter

            painter = Painter(config, changes_text)
            try:
                self._draw(painter, plan)
            except Stopped:
                complete = False
            counts = painter.counts
        self.folder.note_failures(self.failures)
        self.report.progress("writing", 0, 0)
        write_outputs(self.folder, self.grid)
        return {
            "complete": complete, "folder": str(self.folder.root), "cells": self.grid.count, "pictures": len(cells),
            "kept": len(cells) - len(plan.cells), "drawn": self.drawn, "failed": len(self.failures),
            "loads": {name: counts.get(name, 0) for name in ("bases", "loras", "vaes", "texts")},
            "planned": {"bases": plan.bases, "loras": plan.loras, "vaes": plan.vaes, "texts": plan.texts},
        }  # fmt: skip

    def _draw(self, painter: Painter, plan: Plan) -> None:
        painter.begin(plan.cells)
        most = self.batch or (GPU_BATCH if painter.on_gpu else 1)
        done = 0
        for batch in together(plan.cells, most):
            self._batch(painter, batch, done, len(plan.cells))
            painter.passed(len(batch))
            done += len(batch)
        self.report.progress("drawing", done, len(plan.cells))

    def _batch(self, painter: Painter, batch: Sequence[Cell], done: int, total: int) -> None:
        """Draw these together; where memory does not suffice, fewer at once; what cannot be drawn says why."""
        import torch

        clock = _Clock()

        def progress(at: int, steps: int) -> None:
            clock.tick(at)
            if self.report.should_stop():
                raise Stopped
            self.report.progress("drawing", done, total, f"{_words(batch[0])}  {at}/{steps}")

        self.report.progress("drawing", done, total, _words(batch[0]))
        if self.report.should_stop():
            raise Stopped
        try:
            pictures = painter.paint(batch, progress)
        except (torch.OutOfMemoryError, MemoryError):
            self._with_less(painter, batch, done, total)
            return
        except UserError as error:
            self._fail(batch, error)
            return
        except (RuntimeError, ValueError, OSError) as error:
            self._fail(batch, _unexpected(error))
            return
        clock.note(self.grid.family, batch)
        for cell, picture in zip(batch, pictures, strict=True):
            self._write(cell, picture)

    def _with_less(self, painter: Painter, batch: Sequence[Cell], done: int, total: int) -> None:
        painter.spare()
        if len(batch) > 1:
            half = len(batch) // 2
            self._batch(painter, batch[:half], done, total)
            self._batch(painter, batch[half:], done + half, total)
        elif not painter.apart:
            painter.apart = True
            self._batch(painter, batch, done, total)
        else:
            self._fail(
                batch,
                UserError(
                    _("there is not enough memory for a picture of {width} x {height}.").format(
                        width=batch[0].width, height=batch[0].height
                    ),
                    remedy=_("Draw smaller ones, or set memory.base_weights to int8."),
                    code="grid.memory",
                ),
            )

    def _write(self, cell: Cell, picture: Image) -> None:
        from lora_tui.sampling.infotext import as_png, parameters

        text = parameters(
            cell.sample(), cell.loras, Model=short(cell.base), VAE=short(cell.vae) if cell.vae else "",
            Clip_skip=cell.clip_skip if self.grid.family == "sd15" else "",
        )  # fmt: skip
        own = {"cell": cell.told(), "key": self.keys[cell]}
        write_atomic(self.folder.picture(self.keys[cell]), as_png(picture, text, own), durable=False, by=MARK)
        self.drawn += 1

    def _fail(self, batch: Sequence[Cell], error: UserError) -> None:
        for cell in batch:
            self.failures[self.keys[cell]] = error.as_dict()
        self.report.warn(error)


class _Clock:
    """How long the steps of a picture take, without what is loaded before the first."""

    def __init__(self) -> None:
        self._first: float | None = None

    def tick(self, at: int) -> None:
        if at == 0:
            self._first = time.monotonic()

    def note(self, family: str, batch: Sequence[Cell]) -> None:
        if self._first is not None:
            pixels = sum(cell.width * cell.height * cell.steps for cell in batch)
            note_pace(family, (time.monotonic() - self._first) / pixels * 1e6)


def _words(cell: Cell) -> str:
    """A cell in a few words, for whoever watches."""
    loras = " + ".join(f"{one.path.stem} {one.strength:g}" for one in cell.loras) or _("base")
    return plain(f"{loras}  #{cell.seed}", limit=120)


def _unexpected(error: Exception) -> UserError:
    return UserError(
        _("the picture could not be drawn: {reason}.").format(
            reason=plain(f"{type(error).__name__}: {error}", limit=300)
        ),
        code="grid.failed",
    )


def _of_disk(error: OSError, folder: GridFolder) -> UserError:
    if isinstance(error, UserError):
        return error
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    reason = os.strerror(error.errno) if error.errno else str(error)
    return UserError(
        _("nothing can be written there: {reason}.").format(reason=plain(reason)),
        place=plain(str(folder.root)),
        remedy=_("Make room on the disk; the grid goes on where it was.") if full else _("Make the folder writable."),
        code="file.write",
    )
