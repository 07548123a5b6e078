"""Caption files beside images: which one belongs to an image, and reading it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path, PurePath

from lora_tui.captions.document import CaptionDocument
from lora_tui.errors import UserError
from lora_tui.text import _, plain

#: No caption is as long as this; a larger file is something else with a caption's name.
MAX_BYTES = 1 << 20


def sidecar_names(image: PurePath, extensions: Sequence[str]) -> tuple[str, ...]:
    """The names that a caption of ``image`` may have, in the order in which they are tried."""
    return tuple(image.stem + ending for ending in with_dots(extensions))


def with_dots(extensions: Sequence[str]) -> tuple[str, ...]:
    """Endings as they stand in file names: ``txt`` means ``.txt``."""
    return tuple(ending if ending.startswith(".") else f".{ending}" for ending in extensions)


def pick_sidecar(stem: str, names: Collection[str], endings: Sequence[str]) -> str | None:
    """The name of the caption for an image's stem among ``names``, the files of its folder.

    Args:
        endings: as :func:`with_dots` gives them; the first that exists wins.
    """
    for ending in endings:
        if stem + ending in names:
            return stem + ending
    return None


def find_sidecar(image: Path, extensions: Sequence[str]) -> Path | None:
    """The caption of ``image`` on disk: the first ending in ``extensions`` for which there is a file."""
    for name in sidecar_names(image, extensions):
        candidate = image.parent / name
        if candidate.is_file():
            return candidate
    return None


def read_caption(path: Path) -> CaptionDocument:
    """Read a caption file.

    Raises:
        UserError: it cannot be read, or it is far too large for a caption.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UserError(
            _("The caption cannot be read: {reason}.").format(reason=plain(error.strerror or str(error))),
            place=plain(str(path)),
            remedy=_("Check the file and its permissions."),
            code="caption.unreadable",
        ) from error
    if len(raw) > MAX_BYTES:
        raise UserError(
            _("This file is too large to be a caption."),
            place=plain(str(path)),
            remedy=_("Move it away, or shorten it to less than 1 MB."),
            code="caption.too_large",
        )
    return CaptionDocument.parse(raw)
