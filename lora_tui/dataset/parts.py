"""Which part of an image a person chose by hand, for whoever looks at images without scanning the dataset."""

from __future__ import annotations

from pathlib import Path

from lora_tui.dataset.buckets import Box, Size
from lora_tui.dataset.facts import read_facts
from lora_tui.dataset.notes import Crop, NotesBelow
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
        crop = self._crop(name)
        return None if crop is None else crop.box

    def shares_of(self, name: str) -> tuple[float, float, float, float] | None:
        """As :meth:`of`, its edges (left, top, right, bottom) as shares of the image from 0 to 1."""
        crop = self._crop(name)
        if crop is None:
            return None
        box, (width, height) = crop.box, (crop.of.width, crop.of.height)
        return box.left / width, box.top / height, box.right / width, box.bottom / height

    def _crop(self, name: str) -> Crop | None:
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
        return crop if crop.of == Size(facts.width, facts.height) else None
