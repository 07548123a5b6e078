"""What is made of a grid's pictures: a labelled sheet for each page, tables of the cells, and a page for a browser."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_tui.files import write_atomic
from lora_tui.grids.cell import Cell
from lora_tui.grids.folder import GridFolder
from lora_tui.grids.grid import Grid, Place
from lora_tui.scores.shown import as_table, for_page, heads, row, short
from lora_tui.scores.told import Scores, read_scores
from lora_tui.text import _, plain

if TYPE_CHECKING:
    from PIL.Image import Image

SHEET = "sheet"
_SHEETS = re.compile(rf"{SHEET}(-\d+)?\.png")
TABLE, CSV, PAGE = "cells.json", "cells.csv", "index.html"
MOST_SHEETS = 200
"""Pages of which sheets are made; a browser shows the others, too."""


@dataclass(frozen=True)
class Shown:
    """A cell in its place: ``state`` is ``drawn``, ``failed`` or ``waiting``, ``file`` is relative to the folder."""

    place: Place
    labels: tuple[str, ...]
    cell: Cell
    key: str
    state: str
    why: str = ""

    @property
    def file(self) -> str:
        return f"cells/{self.key}.png"

    def told(self, grid: Grid) -> dict[str, Any]:
        """For tables."""
        axes = {axis.kind: label for axis, label in zip(grid.shown, self.labels, strict=True)}
        found = {"place": list(self.place), "axes": axes, "state": self.state, "file": self.file, "key": self.key}
        return {**found, **({"why": self.why} if self.why else {}), "settings": self.cell.told()}


def shown_cells(folder: GridFolder, grid: Grid) -> list[Shown]:
    """All cells with what became of them, page by page and row by row."""
    places = list(grid.places())
    cells = [grid.cell(place) for place in places]
    keys, there, failures = folder.keys(cells), folder.there(), folder.failures()
    return [shown_as(grid, place, cell, keys[cell], there, failures) for place, cell in zip(places, cells, strict=True)]


def shown_as(
    grid: Grid,
    place: Place,
    cell: Cell,
    key: str,
    there: Container[str],
    failures: Mapping[str, Mapping[str, str]],
) -> Shown:
    """A cell with what became of it, by the keys that are there and those that failed."""
    why = failures.get(key, {})
    state = "drawn" if key in there else "failed" if why else "waiting"
    labels = tuple(value.label for value in grid.values(place))
    told = " ".join(filter(None, (why.get("place", ""), why.get("message", "")))) if state == "failed" else ""
    return Shown(place, labels, cell, key, state, told)


def write_outputs(folder: GridFolder, grid: Grid) -> list[Path]:
    """Write sheets, tables and the page anew from the pictures that are there.

    Raises:
        OSError: the folder cannot be written.
    """
    from lora_tui.grids.page import page_of

    cells = shown_cells(folder, grid)
    scores = read_scores(folder.root) or Scores()
    table = {
        "title": grid.title,
        "axes": [{"kind": axis.kind, "title": axis.title, "values": [value.label for value in axis.values]}
                 for axis in grid.shown],
        "cells": [_with_scores(one.told(grid), scores) for one in cells],
        "scores": for_page(scores),
    }  # fmt: skip
    write_atomic(folder.root / TABLE, json.dumps(table, ensure_ascii=False, indent=1).encode("utf-8", "replace"),
                 durable=False)  # fmt: skip
    write_atomic(folder.root / CSV, _rows(grid, cells, scores).encode("utf-8", "replace"), durable=False)
    write_atomic(folder.root / PAGE, page_of(table).encode("utf-8", "replace"), durable=False)
    written = list(_sheets(folder, grid, cells, scores))
    for path in folder.root.glob(f"{SHEET}*.png"):
        if path not in written and _SHEETS.fullmatch(path.name):  # of fewer or more pages
            path.unlink(missing_ok=True)
    return written


def _with_scores(told: dict[str, Any], scores: Scores) -> dict[str, Any]:
    own = scores.cells.get(told["key"])
    return {**told, "scores": as_table(own)} if own is not None else told


def _rows(grid: Grid, cells: list[Shown], scores: Scores) -> str:
    """A row a cell; opens in a spreadsheet as UTF-8."""
    text = io.StringIO()
    writer = csv.writer(text)
    settings = ("base", "vae", "prompt", "negative", "seed", "steps", "guidance", "sampler", "width", "height")
    loras = ("lora", "strength", "text_strength", "blocks")
    writer.writerow([*(f"axis: {axis.kind}" for axis in grid.shown), "state", "file", *settings, *loras, "why",
                     *(heads() if scores.cells else ())])  # fmt: skip
    for one in cells:
        told = one.cell.told()
        worn = one.cell.loras
        columns = (
            " + ".join(lora.path.name for lora in worn),
            " + ".join(f"{lora.strength:g}" for lora in worn),
            " + ".join(f"{lora.of('text_encoder'):g}" for lora in worn),
            " + ".join(lora.blocks for lora in worn),
        )
        row_of = [*one.labels, one.state, one.file, *(told[name] for name in settings), *columns, one.why]
        row_of += row(scores.cells.get(one.key)) if scores.cells else []
        writer.writerow([_harmless(value) for value in row_of])
    return "\ufeff" + text.getvalue()


def _harmless(value: Any) -> Any:
    """What a spreadsheet would compute stands as text."""
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" and not _is_number(value) else value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text == ""
    return True


def _sheets(folder: GridFolder, grid: Grid, cells: list[Shown], scores: Scores) -> Iterator[Path]:
    from lora_tui.grids.sheet import draw_sheet, room

    by_place = {one.place: one for one in cells}
    across, down, *others = grid.shown
    pages = list(grid.pages())
    largest = (max(one.cell.width for one in cells), max(one.cell.height for one in cells))
    box = room(largest, len(across.values), len(down.values))
    for number, page in enumerate(pages[:MOST_SHEETS], start=1):
        name = f"{SHEET}.png" if len(pages) == 1 else f"{SHEET}-{number:0{len(str(len(pages)))}d}.png"
        pictures = [
            [_picture(folder, by_place[column, row, *page], box) for column in range(len(across.values))]
            for row in range(len(down.values))
        ]
        below = [
            [_below(scores, by_place[column, row, *page].key) for column in range(len(across.values))]
            for row in range(len(down.values))
        ]
        parts = [f"{axis.title} {axis.values[at].label}" for axis, at in zip(others, page, strict=True)]
        title = "   ".join([f"{across.title} × {down.title}" if down.values[0].label else across.title, *parts])
        sheet = draw_sheet(
            pictures,
            rows=[value.label for value in down.values],
            columns=[value.label for value in across.values],
            title=title,
            below=below if any(map(any, below)) else (),
        )
        buffer = io.BytesIO()
        sheet.save(buffer, "PNG")
        write_atomic(folder.root / name, buffer.getvalue(), durable=False)
        yield folder.root / name


def _below(scores: Scores, key: str) -> str:
    """The numbers below a picture, with a star where it is recommended."""
    best = scores.recommendation
    star = "* " if best is not None and key in best.cells else ""
    return star + short(scores.cells.get(key)) if scores.on_sheet else ""


def _picture(folder: GridFolder, one: Shown, box: tuple[int, int]) -> Image | str:
    """The picture, no larger than it stands on the sheet; or why there is none."""
    from PIL import Image

    if one.state == "failed":
        return one.why or _("failed")
    if one.state == "waiting":
        return _("not drawn")
    try:
        with Image.open(folder.picture(one.key)) as picture:
            shown = picture.convert("RGB")
            shown.thumbnail(box)
            return shown
    except (OSError, ValueError, SyntaxError) as error:
        return plain(str(error), limit=120)


def counted(cells: list[Shown]) -> Mapping[str, int]:
    """How many cells are drawn, failed and waiting."""
    return {state: sum(1 for one in cells if one.state == state) for state in ("drawn", "failed", "waiting")}
