"""Cells drawn in the order of their plan, those together that may be; what fails says why and stops no other.

Imports torch when it is called. Serves grids and ``generate``, which say what becomes of a picture.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_tui.config.schema import Config
from lora_tui.errors import UserError
from lora_tui.grids.cell import Cell, short
from lora_tui.grids.files import changes_text
from lora_tui.grids.pace import note_pace
from lora_tui.grids.plan import Plan, together
from lora_tui.hub import StoppedError
from lora_tui.tasks.report import Report
from lora_tui.text import _, plain

if TYPE_CHECKING:
    from PIL.Image import Image

    from lora_tui.sampling.painter import Painter

GPU_BATCH = 4
"""Pictures that are predicted together on a GPU, where they may be; a CPU gains nothing by it."""
TELLING = 20
"""Times as long as telling of failures takes is not told again."""
LOADED = ("bases", "loras", "vaes", "texts")


class Stopped(Exception):
    """Somebody asked to stop."""


@dataclass
class Drawing:
    """One life of the work on a plan's cells.

    Attributes:
        batch: pictures predicted together; 0 chooses.
        write: keeps a picture.
        tell: told of all failures so far, as they come.
        drawn: how many were.
        failures: why cells failed.
        counts: how often anything was loaded, by names of :data:`LOADED`.
    """

    config: Config
    report: Report
    batch: int
    write: Callable[[Cell, Image], None]
    tell: Callable[[Mapping[Cell, UserError]], None] = lambda _failures: None
    drawn: int = 0
    failures: dict[Cell, UserError] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    _untold: bool = False
    _not_before: float = 0.0

    def run(self, plan: Plan) -> bool:
        """Draw the plan's cells; false where it was stopped before the last.

        Raises:
            UserError: the device is missing.
            OSError: a picture cannot be kept.
        """
        if not plan.cells:
            return True
        from lora_tui.sampling.painter import Painter

        painter = Painter(self.config, changes_text)
        try:
            self._draw(painter, plan)
        except Stopped:
            return False
        finally:
            self.counts = painter.counts
            self._tell_failures(at_once=True)
        return True

    def told(self, plan: Plan) -> dict[str, Any]:
        """What came of it, as a task tells it."""
        return {
            "drawn": self.drawn, "failed": len(self.failures),
            "loads": {name: self.counts.get(name, 0) for name in LOADED},
            "planned": {name: getattr(plan, name) for name in LOADED},
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
            self._tell_failures()
            with clock.resting():
                stop = self.report.should_stop()
            if stop:
                raise Stopped
            self.report.progress("drawing", done, total, f"{_words(batch[0])}  {at}/{steps}")

        self.report.progress("drawing", done, total, _words(batch[0]))
        if self.report.should_stop():
            raise Stopped
        pictures: Sequence[Image] | None = None
        try:
            pictures = painter.paint(batch, progress)
        except (torch.OutOfMemoryError, MemoryError):
            pass  # what comes of it comes when the error is gone, and with it the memory that its frames hold
        except UserError as error:
            self._fail(batch, error)
            return
        except (Stopped, StoppedError):
            raise
        except Exception as error:  # a damaged file makes its readers raise nearly everything
            self._fail(batch, _unexpected(error))
            return
        if pictures is None:
            self._with_less(painter, batch, done, total)
            return
        clock.note(self.config.model.family, batch)
        for cell, picture in zip(batch, pictures, strict=True):
            self.write(cell, picture)
            self.drawn += 1

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

    def _fail(self, batch: Sequence[Cell], error: UserError) -> None:
        for cell in batch:
            self.failures[cell] = error
        self.report.warn(error)
        self._untold = True
        self._tell_failures()

    def _tell_failures(self, *, at_once: bool = False) -> None:
        """Tell of failures that came; of thousands in a row so seldom that telling takes next to no time."""
        begun = time.monotonic()
        if self._untold and (at_once or begun >= self._not_before):
            self.tell(self.failures)
            self._untold = False
            self._not_before = begun + TELLING * (time.monotonic() - begun)


def png_of(cell: Cell, picture: Image, family: str, key: str) -> bytes:
    """The picture as a PNG with its settings, in A1111's words and in our own."""
    from lora_tui.sampling.infotext import as_png, parameters

    text = parameters(
        cell.sample(), cell.loras, Model=short(cell.base), VAE=short(cell.vae) if cell.vae else "",
        Clip_skip=cell.clip_skip if family == "sd15" else "",
    )  # fmt: skip
    return as_png(picture, text, {"cell": cell.told(), "key": key})


class _Clock:
    """How long the steps of a picture take, without what is loaded before the first, and without rests."""

    def __init__(self) -> None:
        self._first: float | None = None
        self._rested = 0.0

    def tick(self, at: int) -> None:
        if at == 0:
            self._first, self._rested = time.monotonic(), 0.0

    @contextlib.contextmanager
    def resting(self) -> Iterator[None]:
        """Time that is not one of drawing: the task may be paused in it."""
        begun = time.monotonic()
        yield
        self._rested += time.monotonic() - begun

    def note(self, family: str, batch: Sequence[Cell]) -> None:
        if self._first is not None:
            pixels = sum(cell.width * cell.height * cell.steps for cell in batch)
            note_pace(family, (time.monotonic() - self._first - self._rested) / pixels * 1e6)


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


def of_disk(error: OSError, folder: Path) -> UserError:
    """What is said where nothing can be written in ``folder``."""
    if isinstance(error, UserError):
        return error
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    reason = os.strerror(error.errno) if error.errno else str(error)
    return UserError(
        _("nothing can be written there: {reason}.").format(reason=plain(reason)),
        place=plain(str(folder)),
        remedy=_("Make room on the disk; it goes on where it was.") if full else _("Make the folder writable."),
        code="file.write",
    )
