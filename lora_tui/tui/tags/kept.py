"""What the tag editor remembers: quick tags and the captions that are edited first with the dataset, typed lines with
the person. No widgets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from lora_tui.captions.variants import checked_ending
from lora_tui.errors import UserError
from lora_tui.files import write_atomic
from lora_tui.settings import state_dir
from lora_tui.text import _, plain
from lora_tui.toml_files import read_toml

QUICK_FILE = "quick-tags.toml"
ENDING_FILE = "editor.toml"
PLACES_FILE = "tags-places.json"
_PLACES = 200
"""Folders whose place is remembered."""
_LINES = 200
"""Lines of each kind that are remembered."""


def load_quick(folder: Path) -> dict[str, str]:
    """The tags on the digits ``1`` to ``9`` of a dataset's ``.lora-tui``; a file that is wrong counts as none."""
    try:
        found = read_toml(folder / QUICK_FILE)
    except (OSError, ValueError):
        return {}
    return {digit: tag for digit, tag in found.items() if digit in tuple("123456789") and isinstance(tag, str) and tag}


def save_quick(folder: Path, tags: Mapping[str, str]) -> None:
    """Keep the tags on the digits.

    Raises:
        UserError: they cannot be written.
    """
    _save(folder, QUICK_FILE, dict(sorted(tags.items())))


def load_ending(folder: Path) -> str:
    """The ending of the captions that are edited first, by a dataset's ``.lora-tui``; empty for those that train."""
    try:
        return checked_ending(str(read_toml(folder / ENDING_FILE)["ending"]))
    except (OSError, ValueError, KeyError, UserError):
        return ""


def save_ending(folder: Path, ending: str) -> None:
    """Keep the ending of the captions that are edited first.

    Raises:
        UserError: it cannot be written.
    """
    if ending != load_ending(folder):
        _save(folder, ENDING_FILE, {"ending": ending})


def load_place(root: Path) -> str:
    """The image that was under the cursor when a folder was left; empty when nobody knows."""
    return _places().get(str(root), "")


def save_place(root: Path, name: str) -> None:
    """Remember the image under the cursor of a folder; a state folder that cannot be written is let be."""
    places = {path: other for path, other in _places().items() if path != str(root)} | {str(root): name}
    try:
        text = json.dumps(dict(list(places.items())[-_PLACES:]), ensure_ascii=True, indent=1)
        write_atomic(state_dir() / PLACES_FILE, text.encode("ascii"), durable=False)
    except (OSError, UserError):
        return


def _places() -> dict[str, str]:
    try:
        found = json.loads((state_dir() / PLACES_FILE).read_bytes())
    except (OSError, ValueError, RecursionError, UserError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {path: name for path, name in found.items() if isinstance(path, str) and isinstance(name, str)}


def _save(folder: Path, name: str, content: Mapping[str, str]) -> None:
    import tomli_w

    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / name, tomli_w.dumps(content).encode("utf-8", "surrogatepass"))
    except OSError as error:
        raise UserError(
            _("What the tag editor remembers cannot be written: {reason}.").format(
                reason=plain(error.strerror or str(error))
            ),
            place=plain(str(folder / name)),
            remedy=_("Check the folder's permissions and free space."),
            code="tags.kept",
        ) from error


class History:
    """The lines that were typed for one kind of question, oldest first; kept in the state folder."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._lines: list[str] | None = None

    @property
    def lines(self) -> list[str]:
        """All lines."""
        if self._lines is None:
            try:
                text = self._path.read_text("utf-8", "replace")
            except (OSError, UserError):
                text = ""
            self._lines = [line for line in text.split("\n") if line][-_LINES:]
        return self._lines

    def add(self, line: str) -> None:
        """Remember a line as the newest; a folder that cannot be written is let be."""
        if not line.strip() or "\n" in line:
            return
        self._lines = [*(one for one in self.lines if one != line), line][-_LINES:]
        try:
            write_atomic(self._path, ("\n".join(self._lines) + "\n").encode("utf-8", "surrogatepass"), durable=False)
        except (OSError, UserError):
            return

    @property
    def _path(self) -> Path:
        return state_dir() / f"tags-{self._kind}.txt"
