"""A path that is being typed, completed as a shell does: as far as what is on disk leaves no choice. No widget."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from lora_tui.places import expand

LISTED = 2000
"""Entries of a folder that are looked at."""


def complete_path(text: str, base: Path, suffixes: Sequence[str] = ()) -> tuple[str, list[str]]:
    """``text`` with what must follow, and the names that could: folders end in ``/``.

    Reads the folder, so it blocks.

    Args:
        base: where relative paths count from.
        suffixes: endings (lower case) of the files that are meant; folders always are.
    """
    head, slash, prefix = text.rpartition("/")
    try:
        folder = base / expand(head + slash) if head or slash else base
        names = _names(folder, prefix, tuple(suffixes))
    except (OSError, ValueError):
        return text, []
    if not names:
        return text, []
    longest = _common(names)
    return head + slash + (longest if len(longest) >= len(prefix) else prefix), names


def _common(names: Sequence[str]) -> str:
    """What all names begin with."""
    first, last = min(names), max(names)
    same = next((at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first[:same]


def _names(folder: Path, prefix: str, suffixes: tuple[str, ...]) -> list[str]:
    found: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if not name.casefold().startswith(prefix.casefold()) or (name[0] == "." and prefix[:1] != "."):
                continue
            if entry.is_dir():
                found.append(name + "/")
            elif not suffixes or name.lower().endswith(suffixes):
                found.append(name)
            if len(found) >= LISTED:
                break
    return sorted(found)
