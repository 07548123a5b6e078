"""One journal for captions that were edited by themselves first, and then together with those of a folder above.

Each folder that is edited gets a journal. When an edit reaches captions of a folder below that has one of its own, that
is joined to the one above: undo, blame and the lock are one from then on.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import count
from pathlib import Path

from lora_tui.captions.journal.log import FILE, FOLDER, HOME, Journal
from lora_tui.captions.journal.records import Record
from lora_tui.captions.journal.recovery import recover

JOINED = "joined"
"""Ending of a journal that was joined; it is kept, and nobody reads it."""


def folders_with_journals(home: Path, names: Iterable[str]) -> list[str]:
    """The folders between ``home`` and some files that have a journal of their own, the outer ones first."""
    folders: set[str] = set()
    for folder in {name.rpartition("/")[0] for name in names}:
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    return sorted(one for one in folders if os.path.isfile(f"{home}/{one}/{HOME}/{FOLDER}/{FILE}"))  # noqa: PTH113


def join(journal: Journal, folder: str) -> list[Record]:
    """Take the journal of a folder below over, under the lock of ``journal``, which the caller holds.

    Returns:
        The transactions that came with it.

    Raises:
        UserError: ``journal.folder``, ``journal.locked``, ``journal.newer``.
    """
    other = Journal(journal.home / folder, journal.endings)
    with other.locked():
        recover(other, locked=True)
        found = journal.adopt(other, folder + "/")
        spare = (other.path.with_suffix(f".{JOINED}{number or ''}") for number in count())
        other.path.rename(next(path for path in spare if not path.exists()))
    return found
