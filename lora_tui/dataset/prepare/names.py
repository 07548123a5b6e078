"""The names of what is written: a pattern for files, and the folders that they lie in.

A pattern is a text with fields: ``{stem}`` is the old name without its ending, ``{folder}`` the name of the folder it
lay in, ``{number}`` counts all images from 1 in their natural order (``{number:05}`` with zeros in front), ``{width}``
and ``{height}`` are those of the new file. Pieces of a long image get ``_1``, ``_2`` …, mirrored copies ``_flip``.
"""

from __future__ import annotations

import re
import string
from pathlib import PurePosixPath

from lora_tui.dataset.buckets import Size
from lora_tui.dataset.prepare.options import Options, wrong
from lora_tui.dataset.scan import DatasetImage
from lora_tui.places import NAME_BYTES
from lora_tui.text import _, plain

FIELDS = ("stem", "folder", "number", "width", "height")
ENDINGS = {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}

_WIDTH = re.compile(r"0?[0-9]{1,2}")
_REPEATS = re.compile(r"\d{1,18}_")


def check_pattern(pattern: str) -> None:
    """Refuse a pattern of names that cannot be filled in.

    Raises:
        UserError: it names a field that there is none of, is empty, or would lead to other folders.
    """
    try:
        parts = list(string.Formatter().parse(pattern))
    except ValueError as error:
        message = _("The pattern of names has a bracket that is not closed, or a stray one.")
        raise wrong("name", message, _("Write fields as {stem} and brackets as {{ and }}.")) from error
    for literal, field, width, conversion in parts:
        if "/" in literal or "\0" in literal:
            raise wrong("name", _("A name has no slash in it."), _("Choose the folders apart from the names."))
        if field is None:
            continue
        if field not in FIELDS or conversion:
            message = _("There is no field {field} for names.").format(field=plain(field or "{}", limit=40))
            raise wrong("name", message, _("There are: {names}.").format(names=", ".join(FIELDS)))
        if width and (field in ("stem", "folder") or not _WIDTH.fullmatch(width)):
            message = _("{width} is no width of a number.").format(width=plain(width, limit=40))
            raise wrong("name", message, _("Write it as {number:05}."))
    if not any(field in ("stem", "number") for _literal, field, _width, _conversion in parts):
        raise wrong("name", _("All images would have one name."), _("Put {stem} or {number} into the pattern."))


def file_stem(image: DatasetImage, number: int, size: Size, options: Options) -> str:
    """The name of a new file without its ending; bytes of the old name that are no UTF-8 stay as they are."""
    return options.name.format(
        stem=image.path.stem, folder=image.path.parent.name, number=number, width=size.width, height=size.height
    )


def suffix(piece: int, pieces: int, *, flipped: bool) -> str:
    """What tells the pieces and copies of one image apart; ``piece`` counts from 0."""
    return (f"_{piece + 1}" if pieces > 1 else "") + ("_flip" if flipped else "")


def folder_for(image: DatasetImage, inside: str, options: Options) -> str:
    """The folder of a new file below the destination, ending with ``/``; empty for the destination itself.

    Args:
        inside: the old folder below the source, ending with ``/`` or empty.
    """
    if options.folders == "flat":
        return ""
    if options.folders == "keep":
        return inside
    old = PurePosixPath(inside.rstrip("/")).name or image.path.parent.name
    return f"{options.repeats or image.repeats}_{options.label or _REPEATS.sub('', old, count=1) or old}/"


def flaw_of(name: str) -> str:
    """Why no file may have the name ``name`` (its last part), one sentence; empty when one may."""
    file = name.rpartition("/")[2]
    if "\0" in file or file.startswith("."):
        return _("The new name begins with a full stop, or is empty.")
    if len(file.encode("utf-8", "surrogateescape")) > NAME_BYTES:
        return _("The new name is too long.")
    return ""
