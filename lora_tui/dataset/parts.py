"""Which part of an image a person chose by hand, for whoever looks at images without scanning the dataset."""

from __future__ import annotations

from pathlib import Path

from lora_tui.dataset.buckets import Box, Size
from lora_tui.dataset.facts import read_facts
from lora_tui.dataset.notes import NotesBelow
from lora_tui.errors import UserError


class Parts:
    """The parts of images below one folder, as the trainer takes them by what the notes say when this is made."""

    def __init__(self, root: Path, *, forgiving: bool = False) -> None:
        """Args:
            forgiving: where notes cannot be read, every image is whole.

        Raises:
            UserError: notes cannot be read.
        """
        self._root, self._forgiving = root, forgiving
        self._notes: NotesBelow | None = None
        try:
            self._notes = NotesBelow(root)
        except UserError:
            if not forgiving:
                raise

    def of(self, name: str) -> Box | None:
        """The part of the image ``name`` (relative to the folder, with ``/``), px of the upright image.

        None where nobody chose one, or the image has another size than it had then: the whole is trained.

        Raises:
            UserError: notes of a folder cannot be read.
        """
        try:
            crop = self._notes.crop(name) if self._notes is not None else None
        except UserError:
            if not self._forgiving:
                raise
            crop = None
        if crop is None:
            return None
        try:
            facts = read_facts(self._root / name)
        except UserError:
            return None  # whoever decodes it says what is wrong
        return crop.box if crop.of == Size(facts.width, facts.height) else None
