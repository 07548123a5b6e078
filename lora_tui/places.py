"""Paths as people write them: ``~`` filled in, and asked about without errors that nobody can mend.

``Path.exists`` raises for a name that is too long, ``Path.expanduser`` for a user that is not there, and everything
for a NUL. Here such a path is one where nothing is, and :func:`flaw` says why.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from lora_tui.errors import UserError
from lora_tui.text.plain import plain
from lora_tui.text.translate import _

NAME_BYTES, PATH_BYTES = 255, 4095
"""The longest name and the longest path of the usual file systems."""


def expand(text: str | Path) -> Path:
    """``text`` as a path with ``~`` filled in; unchanged where it names a user that is not there."""
    try:
        return Path(os.path.expanduser(text))  # noqa: PTH111 - pathlib's own raises for an unknown user
    except ValueError:
        return Path(text)


def flaw(text: str | Path) -> str:
    """Why nothing can have the path ``text``, one sentence; empty when something can."""
    raw = os.fspath(text).encode("utf-8", "replace")  # a byte that is no UTF-8 counts as one
    if b"\0" in raw:
        return _("A path cannot contain the character NUL.")
    if len(raw) > PATH_BYTES:
        return _("The path is longer than {limit} bytes.").format(limit=PATH_BYTES)
    if any(len(name) > NAME_BYTES for name in raw.split(b"/")):
        return _("A name in the path is longer than {limit} bytes.").format(limit=NAME_BYTES)
    return ""


def absolute(path: str | Path, place: str = "") -> Path:
    """``path`` expanded and absolute, links not followed, so that a linked folder stays where a person sees it.

    Raises:
        UserError: nothing can have this path (``place.path``), or it begins with a user that is not there
            (``place.user``); ``place`` names the field or variable it is from.
    """
    where = place or plain(str(path), limit=200)
    if message := flaw(path):
        raise UserError(message, place=where, remedy=_("Give another path."), code="place.path")
    expanded = expand(path)
    if str(expanded).startswith("~"):
        raise UserError(
            _("There is no user {name} on this machine, so there is no home folder.").format(
                name=plain(expanded.parts[0][1:], limit=60)
            ),
            place=where,
            remedy=_("Write the whole path."),
            code="place.user",
        )
    return Path(os.path.abspath(expanded))  # noqa: PTH100 - see above


def exists(path: Path) -> bool:
    """Whether anything is there, links followed."""
    return _mode(path) is not None


def is_folder(path: Path) -> bool:
    """Whether a folder is there, links followed."""
    mode = _mode(path)
    return mode is not None and stat.S_ISDIR(mode)


def is_file(path: Path) -> bool:
    """Whether a regular file is there, links followed."""
    mode = _mode(path)
    return mode is not None and stat.S_ISREG(mode)


def _mode(path: Path) -> int | None:
    try:
        return path.stat().st_mode
    except (OSError, ValueError):
        return None
