"""Drawing the pictures of an order, as a task. Imports torch when it is called.

It may be killed at any point: a picture is there whole or not at all, and the next life draws what is not there. No
file that is there is ever replaced.
"""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_tui.config.load import parse_config
from lora_tui.config.schema import Config
from lora_tui.errors import UserError
from lora_tui.files import sweep_temporaries, write_new
from lora_tui.generate.read import OWN
from lora_tui.grids.cell import Cell, cell_of
from lora_tui.grids.drawing import Drawing, of_disk, png_of
from lora_tui.grids.plan import plan_of
from lora_tui.tasks.report import Report
from lora_tui.text import _, plain

if TYPE_CHECKING:
    from PIL.Image import Image


def work(options: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Draw the pictures of ``options``, see :func:`lora_tui.generate.start.options_of`.

    Raises:
        UserError: they cannot be read, the device is missing, or the disk is full.
    """
    folder = Path(str(options["folder"]))
    try:
        config = parse_config(options["config"])
        wanted = [Wanted(str(one["file"]), str(one["key"]), cell_of(one["cell"])) for one in options["pictures"]]
        order = _Order(folder, wanted, str(options["start"]), config, report)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            _("What was asked for cannot be read."), place=plain(str(folder)), remedy=_("Ask for the pictures again."),
            code="generate.damaged",
        ) from error  # fmt: skip
    try:
        return order.draw(int(options.get("batch", 0)))
    except OSError as error:
        raise of_disk(error, folder) from error


@dataclass(frozen=True)
class Wanted:
    """A picture: the file that it was given, the key of its cell when it was asked for, and the cell."""

    file: str
    key: str
    cell: Cell


class _Order:
    """One life of the work on an order."""

    def __init__(self, folder: Path, wanted: Sequence[Wanted], mark: str, config: Config, report: Report) -> None:
        """``mark``: of the temporary files, which are nobody else's."""
        self._folder, self._mark, self._config, self._report = folder, mark, config, report
        self._wanted = {one.cell: one for one in wanted}
        self._files: dict[Cell, str] = {}

    def draw(self, batch: int) -> dict[str, Any]:
        """Draw what is missing; what came of it."""
        self._report.progress("reading", 0, 0)
        sweep_temporaries(self._folder, 0.0, by=self._mark)
        self._files = {cell: name for cell, one in self._wanted.items() if (name := self._there(one))}
        kept = len(self._files)
        missing = [cell for cell in self._wanted if cell not in self._files]
        plan = plan_of(missing, self._config.model.family, self._config.model.vae)
        drawing = Drawing(self._config, self._report, batch, self._write)
        complete = drawing.run(plan)
        return {
            "complete": complete, "folder": str(self._folder), "pictures": len(self._wanted), "kept": kept,
            "files": [self._files[cell] for cell in self._wanted if cell in self._files],
            "failures": [
                {"file": self._wanted[cell].file, **error.as_dict()} for cell, error in drawing.failures.items()
            ],
            **drawing.told(plan),
        }  # fmt: skip

    def _there(self, one: Wanted) -> str:
        """The file of a picture that an earlier life drew; empty where there is none."""
        for name in _choices(one.file):
            path = self._folder / name
            if not path.exists():
                return ""
            if _key_of(path) == one.key:
                return name
        return ""

    def _write(self, cell: Cell, picture: Image) -> None:
        """Keep the picture under its name, or under another where a stranger has it by now."""
        one = self._wanted[cell]
        data = png_of(cell, picture, self._config.model.family, one.key)
        for name in _choices(one.file):
            with contextlib.suppress(FileExistsError):
                write_new(self._folder / name, data, by=self._mark)
                self._files[cell] = name
                return


def _choices(name: str) -> Iterator[str]:
    stem = name.removesuffix(".png")
    return (name if number == 1 else f"{stem}-{number}.png" for number in itertools.count(1))


def _key_of(path: Path) -> str:
    """The key of the cell that a picture shows; empty where it is none of ours."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return str(json.loads(str(picture.info.get(OWN, "")))["key"])
    except (OSError, ValueError, SyntaxError, KeyError, TypeError):
        return ""
