"""An order becomes a task: its folder, names that nothing has yet, and what the worker is told. Knows no torch."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from lora_tui.config.schema import as_plain
from lora_tui.errors import UserError
from lora_tui.files import alone_in
from lora_tui.generate.ask import Order, begins_with, file_names, starts
from lora_tui.grids.contents import contents_of
from lora_tui.runs.folder import folder_name
from lora_tui.text import _, plain

KIND = "generate"
TAKEN = Path(".lora-tui") / "names"
"""In the pictures' folder: an empty folder for each beginning of names that an order has."""


def options_of(order: Order, *, batch: int = 0) -> dict[str, Any]:
    """What the task takes; from now on no other order has these names.

    Raises:
        UserError: the folder cannot be written (``generate.folder``).
    """
    stem = folder_name(order.name) if order.name else time.strftime("%Y%m%d-%H%M%S")
    try:
        (order.folder / TAKEN).mkdir(parents=True, exist_ok=True)
        with alone_in(order.folder):
            start = _free(order.folder, stem)
            (order.folder / TAKEN / start).mkdir()
    except OSError as error:
        raise UserError(
            _("nothing can be written there: {reason}.").format(reason=error.strerror or error),
            place=plain(str(order.folder)),
            remedy=_("Make the folder writable and leave room on the disk."),
            code="generate.folder",
        ) from error
    contents = contents_of(order.cells)
    pictures = [
        {"file": name, "key": cell.key(contents), "cell": cell.as_options()}
        for name, cell in zip(file_names(order, start), order.cells, strict=True)
    ]
    return {
        "folder": str(order.folder), "start": start, "config": as_plain(order.config), "pictures": pictures,
        "batch": batch,
    }  # fmt: skip


def _free(folder: Path, stem: str) -> str:
    """A beginning of names that no file here has, and no order."""
    there = {entry.name for entry in os.scandir(folder)}
    taken = {entry.name for entry in os.scandir(folder / TAKEN)}
    return next(
        start for start in starts(stem) if start not in taken and not any(begins_with(name, start) for name in there)
    )
