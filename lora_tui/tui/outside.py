"""Folders of images that the configuration names outside the project, as one of another program does. No widget."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.cells import cell_len

from lora_tui.text import _, count, ngettext, plain
from lora_tui.tui.cells import Cell, fit

if TYPE_CHECKING:
    from lora_tui.tui.workspace import Workspace

LEAST_FOLDER = 24
"""Cells of a folder's path that tell which it is; the file that names it is said where there are more."""


def outside_folders(workspace: Workspace) -> list[tuple[str, str]]:
    """Folders in use that the configuration names and the project does not have: the setting of each, and its path."""
    if workspace.project is None or workspace.config is None:
        return []
    own = (workspace.project.root, *(dataset.path for dataset in workspace.project.datasets))
    named = [(f"datasets.{number}.path", one.path) for number, one in enumerate(workspace.config.datasets) if one.use]
    return [
        (setting, path)
        for setting, path in named
        if Path(path).is_absolute()
        and not any(Path(path).is_relative_to(one) or one.is_relative_to(path) for one in own)
    ]


def foreign_folder(workspace: Workspace) -> str:
    """Where the images are, when the configuration names no folder of the project; empty when it does."""
    outside = outside_folders(workspace)
    in_use = sum(one.use for one in workspace.config.datasets) if workspace.config is not None else 0
    return outside[0][1] if outside and len(outside) == in_use else ""


def outside_line(workspace: Workspace, width: int, ellipsis: str) -> list[Cell]:
    """One line of ``width`` cells that says whose images are shown; empty when all are of the project."""
    outside = outside_folders(workspace)
    if not outside:
        return []
    setting, folder = outside[0]
    words = _("Images from {folder}, outside this project ({setting})")
    of_file = _("Images from {folder}, outside this project ({setting} of {file})")
    if workspace.config_path is not None and not workspace.config_changed:
        of_file = of_file.replace("{setting}", setting).replace("{file}", plain(workspace.config_path.name, limit=40))
        if width - cell_len(of_file) + len("{folder}") >= LEAST_FOLDER:
            words = of_file
    if more := len(outside) - 1:
        named = ngettext("{names} and {count} more", "{names} and {count} more", more)
        words = words.replace("{folder}", named.replace("{names}", "{folder}").replace("{count}", count(more)))
    before, _mark, after = words.replace("{setting}", setting).partition("{folder}")
    room = max(width - cell_len(before) - cell_len(after), 8)
    return [Cell(before, "muted"), Cell(_shortened(folder, room, ellipsis)), Cell(after, "muted")]


def _shortened(folder: str, width: int, ellipsis: str) -> str:
    """A path in at most ``width`` cells: its last parts as a whole, which tell folders apart, where there is room."""
    parts = plain(folder).split("/")
    for first in range(len(parts)):
        shown = "/".join([ellipsis, *parts[first:]] if first else parts)
        if cell_len(shown) <= width:
            return shown
    return fit(parts[-1], width, cut="middle", ellipsis=ellipsis).rstrip()
