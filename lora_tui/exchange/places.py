"""Places in another program's file: of another system, or counted from a folder that the file does not name."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from lora_tui.config.paths import is_hub_name
from lora_tui.places import exists, expand, flaw
from lora_tui.text import _

_DRIVE = re.compile(r"([A-Za-z]):[\\/]+(.*)", re.DOTALL)
_SHARE = re.compile(r"\\\\[^\\]")
ABOVE = 3
"""How many folders above the file's own a relative place is looked for in: programs count from their own root."""


@dataclass
class Places:
    """Finds what a file names. ``folder`` is the file's own.

    Attributes:
        missing: how many places were looked for in vain.
    """

    folder: Path
    missing: int = field(default=0)

    def find(self, text: object, *, model: bool = False) -> tuple[str, str]:
        """The place as we write it, and what is to be said of it; ``model``: a name on the hub will do."""
        place = str(text).strip().strip("\"'").strip()
        if not place or flaw(place):
            return place, ""
        if (found := _DRIVE.fullmatch(place)) or _SHARE.match(place):
            return self._of_windows(place, found)
        if "\\" in place and "/" not in place:
            place = place.replace("\\", "/")
        if expand(place).is_absolute():
            whole = os.path.normpath(expand(place))
            return whole, "" if exists(Path(whole)) else self._gone()
        for root in (self.folder, *self.folder.parents[:ABOVE], Path.cwd()):
            if exists(root / place):
                return os.path.normpath(root / place), ""
        if model and is_hub_name(place):
            return place, ""
        return os.path.normpath(self.folder / place), self._gone()

    def _of_windows(self, place: str, found: re.Match[str] | None) -> tuple[str, str]:
        """A place of Windows: that of the same disk in its Linux, where it is there."""
        if found is not None:
            mounted = Path("/mnt", found[1].lower(), *re.split(r"[\\/]+", found[2]))
            if exists(mounted):
                return os.fspath(mounted), _("a place of Windows, found where its disks are mounted")
        self.missing += 1
        return place.replace("\\", "/"), _("a place of Windows: give the one on this machine")

    def _gone(self) -> str:
        self.missing += 1
        return _("nothing is there on this machine")
