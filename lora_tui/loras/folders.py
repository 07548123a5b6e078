"""The folders whose LoRA files are listed: the project's runs and ``loras``, and those that a person named."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from lora_tui.errors import UserError
from lora_tui.places import absolute, is_folder
from lora_tui.project import Project

OWN = "loras"
"""A folder of a project whose LoRA files are listed without being named."""


def listed_folders(project: Project | None, root: Path, named: Iterable[str]) -> list[Path]:
    """The folders to look into, each once: the project's runs first, then its own, then those that are named."""
    found = [project.runs if project is not None else root / "runs", root / OWN]
    for text in named:
        try:
            found.append(absolute(text))
        except UserError:
            continue
    return list(dict.fromkeys(path for path in found if is_folder(path)))


def with_folder(named: Iterable[str], folder: Path) -> tuple[str, ...]:
    """The named folders with one more."""
    return tuple(dict.fromkeys((*named, str(folder))))


def without_folder(named: Iterable[str], folder: str) -> tuple[str, ...]:
    """The named folders without one."""
    return tuple(name for name in named if name != folder)
