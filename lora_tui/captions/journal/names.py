"""Which files a journal may write. It may come with a dataset from anywhere, and what it says is done on opening it.

Captions only: no program, no settings and nothing hidden. And nothing outside the dataset through a link, unless a
person asks for it and an image lies beside.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from lora_tui.captions.files import IMAGE_SUFFIXES
from lora_tui.text import _

CAPTIONS = (".txt", ".caption", ".captions", ".cap", ".tags", ".tag", ".prompt")
"""Endings of captions, whoever wrote them; others are written while a person names them."""


class Reach:
    """The files below ``home`` that a journal may write.

    Args:
        endings: those of captions that a person named, beside the usual ones.
    """

    def __init__(self, home: Path, endings: Sequence[str] = ()) -> None:
        self._home = str(home)
        self._endings = (*CAPTIONS, *endings)
        self._inside: dict[str, bool] = {}

    def why_not(self, name: str, *, asked: bool) -> str:
        """Why a file may not be written, in words; empty when it may.

        Args:
            asked: whether a person asks for it now, and not only the journal.
        """
        folder, _slash, base = name.rpartition("/")
        if base.startswith(".") or not base.endswith(self._endings):
            return _("it is no caption by its name")
        if self._is_inside(folder) and (asked or not os.path.islink(f"{self._home}/{name}")):  # noqa: PTH114
            return ""
        return "" if asked and self._has_image(folder, base) else _("a link leads out of the dataset")

    def _is_inside(self, folder: str) -> bool:
        """Whether no link on the way to a folder leads out of home."""
        if folder not in self._inside:
            real, home = os.path.realpath(f"{self._home}/{folder}"), os.path.realpath(self._home)
            self._inside[folder] = os.path.commonpath([home, real]) == home
        return self._inside[folder]

    def _has_image(self, folder: str, base: str) -> bool:
        """Whether an image lies beside a file, with the same name up to an ending."""
        stems = [base[:at] for at, sign in enumerate(base) if sign == "." and at]
        return any(os.path.isfile(f"{self._home}/{folder}/{stem}{end}") for stem in stems for end in IMAGE_SUFFIXES)  # noqa: PTH113
