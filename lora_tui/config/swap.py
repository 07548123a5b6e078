"""Another folder in the place of one of a file's datasets: one line of the file changes, comments and all else stay.

For configurations and for the project's own file, which both name folders in ``[[datasets]]``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from lora_tui.config.paths import shortened
from lora_tui.errors import UserError
from lora_tui.files import write_atomic
from lora_tui.places import expand
from lora_tui.text import _, plain
from lora_tui.toml_files import parse_toml

_PATH = re.compile(r"""(\bpath[ \t]*=[ \t]*)("(?:[^"\\\n]|\\.)*"|'[^'\n]*')""")


@dataclass(frozen=True)
class Swapped:
    """A file as it was and as it is now."""

    file: Path
    before: bytes
    after: bytes

    def take_back(self) -> None:
        """The file as it was.

        Raises:
            UserError: somebody has changed it since (``swap.changed``), or it cannot be written.
        """
        try:
            if self.file.read_bytes() != self.after:
                raise UserError(
                    _("The file was changed since, and stays as it is."),
                    place=plain(str(self.file)),
                    remedy=_("Change the folder back in the parameters, under Dataset."),
                    code="swap.changed",
                )
            write_atomic(self.file, self.before)
        except OSError as error:
            raise _unwritable(self.file, error) from error


def swap_folder(file: Path, old: Path, new: Path, otherwise: Callable[[], object]) -> Swapped:
    """Name ``new`` wherever the datasets of ``file`` name ``old``.

    Args:
        otherwise: writes the whole file, where its lines are such that no single one can be changed.

    Raises:
        UserError: the file cannot be read or written.
    """
    try:
        before = file.read_bytes()
        text = _changed(before.decode("utf-8"), file.parent, old, new)
        if text is None:
            otherwise()
        else:
            write_atomic(file, text.encode("utf-8"))
        return Swapped(file, before, file.read_bytes())
    except UserError:
        raise
    except (OSError, UnicodeError) as error:
        raise _unwritable(file, error) from error


def _changed(text: str, base: Path, old: Path, new: Path) -> str | None:
    """The document with other paths; none when it cannot be told line by line."""
    try:
        wanted = parse_toml(text)
        entries = wanted.get("datasets", [])
        found = {entry["path"] for entry in entries if _is(base, entry, old)}
        value = shortened(os.fspath(new), base, model=False)
        for entry in entries:
            if entry.get("path") in found:
                entry["path"] = value
        written = tomli_w.dumps({"path": value}).partition("= ")[2].rstrip("\n")
        lines = [_line(line, found, written) for line in text.splitlines(keepends=True)]
        result = "".join(lines)
        return result if found and parse_toml(result) == wanted else None
    except (ValueError, TypeError, AttributeError):
        return None


def _line(line: str, found: set[str], written: str) -> str:
    """A line with the new path in the place of each that is one of those found; what stands in a comment stays."""

    def other(match: re.Match[str]) -> str:
        here = parse_toml(match[0])["path"] in found and "#" not in line[: match.start()]
        return match[1] + written if here else match[0]

    return _PATH.sub(other, line)


def _is(base: Path, entry: Any, old: Path) -> bool:
    path = entry.get("path", "") if isinstance(entry, dict) else ""
    return bool(path) and os.path.normpath(base / expand(path)) == os.path.normpath(old)


def _unwritable(file: Path, error: Exception) -> UserError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return UserError(
        _("The configuration cannot be written: {reason}.").format(reason=plain(reason)),
        place=plain(str(file)),
        remedy=_("Check the folder's permissions and free space."),
        code="config.write",
    )
