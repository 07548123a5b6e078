"""Where the images of a training are from and what may be done with them, as a person noted it (``dataset.notes``).

A run keeps both in its record, and its LoRA files carry them, so that whoever gets a file can ask the right person.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lora_tui.captions.journal.log import home_of
from lora_tui.dataset.notes import Notes, change_notes, load_notes
from lora_tui.errors import UserError
from lora_tui.text import N_

USUAL_LICENCES = (
    ("all rights reserved", N_("own work, or used with leave")),
    ("CC0 1.0", N_("public domain")),
    ("CC BY 4.0", N_("free with the author's name")),
    ("CC BY-SA 4.0", N_("the same, under this licence again")),
    ("CC BY-NC 4.0", N_("with the author's name, for no business")),
)
"""Licences that are offered, each with what it says in short."""

PERSON_PURPOSES = frozenset({"character"})
"""Purposes of a project that are often a person."""

CARE = N_(
    "If they show a real person: train and share only what this person agreed to, and write who agreed to what into "
    "the source."
)
"""What a person is told whose images may be portraits."""


@dataclass(frozen=True)
class Origin:
    """What is noted of a dataset.

    Attributes:
        folder: whose notes say it.
        asked: whether a person was asked; true also when nothing was answered.
    """

    folder: Path
    source: str
    licence: str
    asked: bool = True

    @property
    def is_known(self) -> bool:
        return bool(self.source or self.licence)


def origins_of(folders: Iterable[Path]) -> tuple[Origin, ...]:
    """What is noted for these folders, one entry for each dataset; notes that cannot be read say nothing."""
    found = []
    for home in dict.fromkeys(home_of(folder) for folder in dict.fromkeys(folders)):
        notes = Notes()
        with contextlib.suppress(UserError):
            notes = load_notes(home)
        found.append(Origin(home, notes.source.strip(), notes.licence.strip(), notes.asked))
    return tuple(found)


def note_origin(home: Path, source: str, licence: str) -> Origin:
    """Note source and licence of a dataset; the answer to both may be empty. Gives what was noted before.

    Raises:
        UserError: as :func:`~lora_tui.dataset.notes.change_notes`.
    """
    before: list[Origin] = []

    def change(notes: Notes) -> Notes:
        before.append(Origin(home, notes.source, notes.licence, notes.asked))
        return notes.about(source=source, licence=licence, asked=True)

    change_notes(home, change)
    return before[-1]


def take_back(before: Origin) -> None:
    """Note again what was noted before. Raises as :func:`note_origin`."""
    change_notes(
        before.folder,
        lambda notes: notes.about(source=before.source, licence=before.licence, asked=before.asked),
    )


def in_one_line(texts: Iterable[str]) -> str:
    """Different texts of several datasets, one after another, in one line."""
    return "; ".join(dict.fromkeys(" ".join(text.split()) for text in texts if text.strip()))
