"""The folder of a grid: what was asked for, its pictures, and what was made of them. Knows no torch."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lora_tui.config.load import load_config
from lora_tui.config.schema import Config
from lora_tui.config.write import dump_config
from lora_tui.errors import UserError
from lora_tui.files import write_atomic
from lora_tui.grids.cell import Cell
from lora_tui.grids.contents import contents_of
from lora_tui.grids.grid import Grid, grid_of
from lora_tui.runs.folder import free_name, read_json, unfinished, write_json
from lora_tui.text import _, plain

FORMAT = 1
FILE, CONFIG, CELLS = "grid.json", "config.toml", "cells"
FAILURES, CONTENTS = "failures.json", "contents.json"


@dataclass(frozen=True, order=True)
class GridFolder:
    """One grid on disk. Holds no state: every question is answered from the folder."""

    root: Path

    @property
    def cells(self) -> Path:
        return self.root / CELLS

    @property
    def lock_path(self) -> Path:
        return self.root / "lock"

    def exists(self) -> bool:
        return (self.root / FILE).is_file()

    def read(self) -> Grid:
        """What was asked for.

        Raises:
            UserError: ``grid.damaged`` or ``grid.newer``.
        """
        found = read_json(self.root / FILE)
        if found.get("format", 0) > FORMAT if isinstance(found.get("format", 0), int) else True:
            raise UserError(
                _("The grid was made by a newer version of lora-tui."),
                place=plain(str(self.root / FILE)),
                remedy=_("Update lora-tui: pip install --upgrade lora-tui"),
                code="grid.newer",
            )
        try:
            return grid_of(found)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(
                _("What was asked for cannot be read."),
                place=plain(str(self.root / FILE)),
                remedy=_("Make the grid again."),
                code="grid.damaged",
            ) from error

    def config(self) -> Config:
        """The configuration that names the base model, how prompts are read and where it computes.

        Raises:
            UserError: it cannot be read.
        """
        return load_config(self.root / CONFIG)

    def write(self, grid: Grid) -> None:
        """Take ``grid`` for what is asked for from now on.

        Raises:
            OSError: the folder cannot be written.
        """
        write_json(self.root / FILE, {"format": FORMAT, "created": round(time.time(), 3), **grid.as_options()})

    def picture(self, key: str) -> Path:
        """Where the cell with this key is or would be."""
        return self.cells / f"{key}.png"

    def there(self) -> set[str]:
        """The keys of the pictures that are there."""
        try:
            return {path.stem for path in self.cells.iterdir() if path.suffix == ".png" and path.stat().st_size}
        except OSError:
            return set()

    def keys(self, cells: Iterable[Cell], *, anew: bool = True) -> dict[Cell, str]:
        """The key of each cell, by what the files that it names hold now; of those that are gone, by what they held.

        Without ``anew`` no file is read: all count as what they held when they were last drawn from.
        """
        chosen = list(dict.fromkeys(cells))
        contents = contents_of(chosen, self._contents()) if anew else self._contents()
        return {cell: cell.key(contents) for cell in chosen}

    def note_contents(self, cells: Iterable[Cell]) -> None:
        """Remember what the files that ``cells`` name hold, for when they are gone."""
        known = self._contents()
        write_json(self.root / CONTENTS, {**known, **contents_of(cells, known)})

    def _contents(self) -> dict[str, str]:
        return {name: str(told) for name, told in read_json(self.root / CONTENTS).items()}

    def failures(self) -> dict[str, dict[str, str]]:
        """Why cells failed, by key."""
        return {key: why for key, why in read_json(self.root / FAILURES).items() if isinstance(why, dict)}

    def note_failures(self, failures: Mapping[str, Mapping[str, str]]) -> None:
        if failures or (self.root / FAILURES).exists():
            write_json(self.root / FAILURES, dict(failures))


def create(parent: Path, grid: Grid, config: Config) -> GridFolder:
    """Make a new grid's folder in ``parent``, complete or not at all.

    Raises:
        UserError: it cannot be written (``grid.create``).
    """
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with unfinished(parent) as root:
            folder = GridFolder(root)
            folder.cells.mkdir()
            write_atomic(root / CONFIG, dump_config(config).encode())
            folder.write(grid)
            return GridFolder(root.rename(free_name(parent, grid.title)))
    except OSError as error:
        raise UserError(
            _("The folder of the grid cannot be made: {reason}.").format(reason=error.strerror or error),
            place=plain(str(parent)),
            remedy=_("Make the folder writable and leave room on the disk."),
            code="grid.create",
        ) from error


def list_grids(parent: Path) -> list[GridFolder]:
    """The grids in a folder, oldest first."""
    try:
        names = sorted(path for path in parent.iterdir() if not path.name.startswith("."))
    except OSError:
        return []
    return [GridFolder(path) for path in names if GridFolder(path).exists()]
