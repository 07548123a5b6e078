"""A grid as a screen looks at it again and again: page by page, what became of its cells. Knows no torch.

The keys of pictures follow from what model and LoRA files hold, which costs reading them; so keys are made once, and
what has come since is found by the names in the folder.
"""

from __future__ import annotations

import itertools
import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lora_tui.errors import UserError
from lora_tui.grids.cell import Cell
from lora_tui.grids.folder import CELLS, CONTENTS, FAILURES, FILE, GridFolder, list_grids
from lora_tui.grids.grid import BARE, Grid, Place
from lora_tui.grids.outputs import Shown, shown_as
from lora_tui.jobs.events import as_time
from lora_tui.runs.folder import read_json
from lora_tui.text import _, count, plain

MOST_COUNTED = 20_000
"""Cells that are looked at one by one; of larger grids only the page in view is."""
Stamp = tuple[int, int]


@dataclass(frozen=True)
class Page:
    """One page of a grid.

    Attributes:
        number, pages: which one it is, from 0, of how many.
        cells: row by row.
        stamps: change time and size of each picture that is there, by key.
        counts: cells ``drawn``, ``failed`` and ``waiting`` of the whole grid; empty where they are too many to count.
    """

    grid: Grid
    number: int
    pages: int
    cells: tuple[Shown, ...]
    stamps: Mapping[str, Stamp] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def columns(self) -> int:
        return len(self.grid.shown[0].values)

    def labels(self) -> list[tuple[str, str]]:
        """Title and value of the axes that are held on this page."""
        at = page_at(self.grid, self.number)
        return [(axis.title, axis.values[n].label) for axis, n in zip(self.grid.shown[2:], at, strict=True)]

    def baseline(self, index: int) -> int:
        """The place on this page to which the one at ``index`` is compared: without any LoRA, else at strength 0, of
        its own row, else of its own column; -1 where there is none."""
        column, row = index % self.columns, index // self.columns
        across, down = self.grid.shown[:2]
        if (at := _bare(across)) >= 0:
            return row * self.columns + at
        if (at := _bare(down)) >= 0:
            return at * self.columns + column
        return -1


def _bare(axis: object) -> int:
    values = getattr(axis, "values", ())
    tests = (
        lambda changes: bool(changes.get(BARE)),
        lambda changes: "lora" in changes and changes["lora"] is None,
        lambda changes: changes.get("strength") == 0,
    )
    return next((at for test in tests for at, value in enumerate(values) if test(value.changes)), -1)


def page_at(grid: Grid, number: int) -> tuple[int, ...]:
    """The values of the third axis and those behind it on page ``number``, in the order of :meth:`Grid.pages`."""
    found = []
    for axis in reversed(grid.shown[2:]):
        number, at = divmod(number, len(axis.values))
        found.append(at)
    return tuple(reversed(found))


class GridReader:
    """Reads one grid again and again, in a thread; may be shared by nobody else meanwhile."""

    def __init__(self, folder: GridFolder) -> None:
        self.folder = folder
        self._stamp: object = None
        self._grid: Grid | None = None
        self._cells: dict[Place, Cell] = {}
        self._keys: dict[Cell, str] = {}

    def read(self, number: int = 0, *, anew: bool = False) -> Page:
        """Page ``number``, the nearest that there is, as it stands now.

        Args:
            anew: what the cells are drawn from is looked at again, too: files may have been replaced.

        Raises:
            UserError: the grid cannot be read, is gone, or has too many cells on a page.
        """
        grid = self._read_grid(anew)
        pages = math.prod(len(axis.values) for axis in grid.shown[2:])
        number = min(max(number, 0), pages - 1)
        many = len(grid.shown[0].values) * len(grid.shown[1].values)
        if many > MOST_COUNTED:
            raise UserError(
                _("a page of {count} cells is too large to be shown.").format(count=count(many)),
                place=plain(self.folder.root.name),
                remedy=_("Its tables and pictures are in its folder."),
                code="grid.page",
            )
        places = list(_places(grid, number))
        self._know(places if grid.count > MOST_COUNTED else grid.places())
        stamps, failures = pictures_in(self.folder), self.folder.failures()
        cells = tuple(self._shown(grid, place, stamps, failures) for place in places)
        counts: Mapping[str, int] = {}
        if grid.count <= MOST_COUNTED:
            counts = counted((self._keys[cell] for cell in self._cells.values()), stamps, failures)
        return Page(grid, number, pages, cells, stamps, counts)

    def _read_grid(self, anew: bool) -> Grid:
        stamp = [_stamp(self.folder.root / name) for name in (FILE, CONTENTS)]
        if anew or self._grid is None or stamp != self._stamp:
            self._grid, self._stamp = self.folder.read(), stamp
            self._cells.clear()
            self._keys.clear()
        return self._grid

    def _know(self, places: Iterable[Place]) -> None:
        grid = self._grid
        assert grid is not None
        new = {place: grid.cell(place) for place in places if place not in self._cells}
        self._cells |= new
        if unknown := [cell for cell in new.values() if cell not in self._keys]:
            self._keys |= self.folder.keys(unknown)

    def _shown(
        self, grid: Grid, place: Place, stamps: Mapping[str, Stamp], failures: Mapping[str, Mapping[str, str]]
    ) -> Shown:
        cell = self._cells[place]
        return shown_as(grid, place, cell, self._keys[cell], stamps, failures)


def _places(grid: Grid, number: int) -> Iterator[Place]:
    across, down = (range(len(axis.values)) for axis in grid.shown[:2])
    page = page_at(grid, number)
    for row, column in itertools.product(down, across):
        yield (column, row, *page)


def pictures_in(folder: GridFolder) -> dict[str, Stamp]:
    """The pictures that are there: key -> change time (ns) and size."""
    found: dict[str, Stamp] = {}
    try:
        with os.scandir(folder.cells) as entries:
            for entry in entries:
                if entry.name.endswith(".png") and not entry.name.startswith("."):
                    facts = entry.stat()
                    if facts.st_size:
                        found[entry.name[:-4]] = facts.st_mtime_ns, facts.st_size
    except OSError:
        return found
    return found


def counted(keys: Iterable[str], there: Mapping[str, object], failures: Mapping[str, object]) -> dict[str, int]:
    """How many cells with these keys are drawn, failed and waiting."""
    found = Counter("drawn" if key in there else "failed" if key in failures else "waiting" for key in keys)
    return {state: found[state] for state in ("drawn", "failed", "waiting")}


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        facts = path.stat()
    except OSError:
        return 0, 0, 0
    return facts.st_mtime_ns, facts.st_size, facts.st_ino


@dataclass(frozen=True)
class Summary:
    """A grid in a list.

    Attributes:
        axes: title and number of values of each axis that has several.
        counts: as of :class:`Page`.
        created: when it was last asked for, unix seconds.
        size: of its pictures, bytes.
        error: why it cannot be read; the rest is empty then.
    """

    folder: GridFolder
    title: str = ""
    run: str = ""
    axes: tuple[tuple[str, int], ...] = ()
    cells: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    created: float | None = None
    size: int = 0
    error: UserError | None = None


class GridsReader:
    """Reads the grids of a folder again and again, in a thread; only what has changed is looked at again."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[object, Summary]] = {}
        self._keys: dict[Path, tuple[object, list[str]]] = {}

    def read(self, parent: Path) -> list[Summary]:
        """The grids, newest first. Never raises."""
        found = [self._summary(folder) for folder in reversed(list_grids(parent))]
        there = {one.folder.root for one in found}
        self._known = {root: known for root, known in self._known.items() if root in there}
        self._keys = {root: known for root, known in self._keys.items() if root in there}
        return found

    def _summary(self, folder: GridFolder) -> Summary:
        stamp = [_stamp(folder.root / name) for name in (FILE, CONTENTS, FAILURES, CELLS)]
        kept = self._known.get(folder.root)
        if kept is None or kept[0] != stamp:
            kept = self._known[folder.root] = stamp, self._look(folder, stamp[:2])
        return kept[1]

    def _look(self, folder: GridFolder, stamp: object) -> Summary:
        try:
            grid = folder.read()
            counts: Mapping[str, int] = {}
            stamps = pictures_in(folder)
            if grid.count <= MOST_COUNTED:
                counts = counted(self._keys_of(folder, grid, stamp), stamps, folder.failures())
        except UserError as error:
            return Summary(folder, error=error)
        return Summary(
            folder, title=grid.title, run=grid.run, cells=grid.count, counts=counts,
            axes=tuple((axis.title, len(axis.values)) for axis in grid.shown if len(axis.values) > 1),
            created=as_time(read_json(folder.root / FILE).get("created")),
            size=sum(size for _changed, size in stamps.values()),
        )  # fmt: skip

    def _keys_of(self, folder: GridFolder, grid: Grid, stamp: object) -> list[str]:
        """The keys of all cells, by what their files held when they were drawn: in a list no file is read for it."""
        kept = self._keys.get(folder.root)
        if kept is None or kept[0] != stamp:
            cells = [grid.cell(place) for place in grid.places()]
            keys = folder.keys(cells, anew=False)
            kept = self._keys[folder.root] = stamp, [keys[cell] for cell in cells]
        return kept[1]
