"""Which files a journal may write. It may come with a dataset from anywhere, and what it says is done on opening it.

Captions only: no program, no settings and nothing hidden. And nothing outside the dataset through a link, unless a
person asks for it and an image lies beside.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

CAPTIONS = (".txt", ".caption", ".captions", ".cap", ".tags", ".tag", ".prompt")
"""Endings of captions, whoever wrote them; others are written while a person names them."""

_IMAGES = (".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif")


def is_caption(name: str, endings: Sequence[str] = ()) -> bool:
    """Whether a file is a caption by its name.

    Args:
        endings: those that a person named, beside the usual ones.
    """
    base = name.rpartition("/")[2]
    return not base.startswith(".") and base.endswith((*CAPTIONS, *endings))


def leads_out(home: Path, name: str) -> bool:
    """Whether a file lies outside ``home``, because it or a folder on the way to it is a link."""
    inside = os.path.realpath(home)
    return os.path.commonpath([inside, os.path.realpath(f"{inside}/{name}")]) != inside


def has_image(home: Path, name: str) -> bool:
    """Whether an image lies beside a file, with the same name up to an ending."""
    folder, _slash, base = f"{home}/{name}".rpartition("/")
    stems = [base[:at] for at, sign in enumerate(base) if sign == "." and at]
    return any(os.path.isfile(f"{folder}/{stem}{ending}") for stem in stems for ending in _IMAGES)  # noqa: PTH113
