"""Caption files beside images: which one belongs to an image, and reading it."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path, PurePath

from lora_tui.captions.document import CaptionDocument
from lora_tui.errors import UserError
from lora_tui.files import kind_of
from lora_tui.text import _, plain

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif"})
CAPTION_EXTENSIONS = (".txt", ".caption")

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


def no_caption_file(path: Path, kind: str) -> UserError:
    """The error for something with a caption's name that is no file but ``kind``, see :func:`~.files.kind_of`."""
    return UserError(
        _("{name} is {kind}, not a caption file, and is not read.").format(name=plain(path.name), kind=kind),
        place=plain(str(path)),
        remedy=_("Rename it or move it away, and write the caption into a file of this name."),
        code="caption.no_file",
    )


def read_caption(path: Path) -> CaptionDocument:
    """Read a caption file. What is no file is never waited for: a pipe without a writer would block for ever.

    Raises:
        UserError: it is no file (``caption.no_file``), cannot be read, or is far too large for a caption.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            state = os.fstat(descriptor)
            if kind := kind_of(state.st_mode):
                raise no_caption_file(path, kind)
            raw = b""
            while len(raw) <= MAX_BYTES and (part := os.read(descriptor, min(state.st_size, MAX_BYTES) + 1)):
                raw += part
        finally:
            os.close(descriptor)
    except UserError:
        raise
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
