"""Keeping lists of tags and translations that other programs have, where completion, categories and advice find them.

A file is kept as it is, under its own name; one in an old encoding is kept as UTF-8. What is in a list and in which
folder they lie, :mod:`lora_tui.captions.complete` knows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lora_tui.captions.complete import is_list, parse_csv, parse_lines
from lora_tui.captions.encodings import likely_encoding
from lora_tui.errors import UserError
from lora_tui.files import write_atomic
from lora_tui.text import _, plain

_LARGEST = 256 << 20
_FOLDERS = ("tags", "translations")
"""The folders of BooruDatasetTagManager in which its lists lie, in lower case."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One list.

    Attributes:
        path: where it is kept.
        tags, translations: how many it has.
        odd: how many rows are none.
        encoding: in which the source was, for a person; empty for UTF-8.
        is_new: false when it was kept already with the same content.
    """

    path: Path
    tags: int
    translations: int
    encoding: str = ""
    is_new: bool = True
    odd: int = 0


def lists_in(source: Path) -> list[Path]:
    """The lists that a file is, or a folder holds: in its folders ``Tags`` and ``Translations``, else directly.

    Raises:
        UserError: ``tags.unreadable`` when there is nothing of this name, ``tags.none`` when it holds no list.
    """
    try:
        if not source.is_dir():
            source.stat()
            found = [source] if is_list(source) else []
        else:
            inside = sorted(source.iterdir())
            folders = [path for path in inside if path.name.lower() in _FOLDERS and path.is_dir()]
            found = [path for folder in folders for path in sorted(folder.iterdir()) if is_list(path)]
            found = found or [path for path in inside if is_list(path)]
    except OSError as error:
        raise _unreadable(source, error) from error
    if not found:
        raise UserError(
            _("There is no list of tags here."),
            place=plain(str(source)),
            remedy=_("Name a .csv or .txt file, or a folder that holds such files."),
            code="tags.none",
        )
    return found


def keep_list(source: Path, folder: Path, *, replace: bool = False) -> Kept:
    """Keep one file in ``folder``, which is made when it is missing.

    Args:
        replace: take the place of another list of this name.

    Raises:
        UserError: the file cannot be read or holds nothing (``tags.unreadable``, ``tags.none``), another list of this
            name is kept already (``tags.exists``), or the folder cannot be written (``tags.write``).
    """
    text, encoding = _read(source)
    tags, translations, odd = counted(source, text)
    if not tags and not translations:
        raise UserError(
            _("There is no tag and no translation in this file."),
            place=plain(str(source)),
            remedy=_("Lines are: name,type,count,aliases (.csv), a tag, or tag=translation (.txt)."),
            code="tags.none",
        )
    path = folder / source.name
    data = text.encode("utf-8")
    try:
        known = path.read_bytes() if path.exists() else None
        if known is not None and known.removeprefix(b"\xef\xbb\xbf") == data:
            return Kept(path, tags, translations, encoding, is_new=False, odd=odd)
        if known is not None and not replace:
            raise UserError(
                _("Another list of this name is kept already."),
                place=plain(str(path)),
                remedy=_("--replace puts this one in its place."),
                code="tags.exists",
            )
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(path, data)
    except OSError as error:
        raise UserError(
            _("The list cannot be kept: {reason}.").format(reason=plain(error.strerror or str(error))),
            place=plain(str(path)),
            remedy=_("Check the folder's permissions and free space."),
            code="tags.write",
        ) from error
    return Kept(path, tags, translations, encoding, odd=odd)


def kept_lists(paths: Iterable[Path]) -> list[Kept]:
    """What is in lists that are kept.

    Raises:
        UserError: ``tags.unreadable``.
    """
    found = []
    for path in paths:
        text, encoding = _read(path)
        tags, translations, odd = counted(path, text)
        found.append(Kept(path, tags, translations, encoding, is_new=False, odd=odd))
    return found


def counted(path: Path, text: str) -> tuple[int, int, int]:
    """How many tags and how many translations the text of a list has, and how many rows that are neither."""
    if path.suffix.lower() == ".csv":
        odd: list[str] = []
        return sum(1 for _named in parse_csv(text, odd)), 0, len(odd)
    tags, translations = parse_lines(text)
    return len(tags), len(translations), 0


def _read(path: Path) -> tuple[str, str]:
    """The text of a list, and its encoding when that is not UTF-8."""
    try:
        with path.open("rb") as file:
            raw = file.read(_LARGEST + 1)
    except OSError as error:
        raise _unreadable(path, error) from error
    if len(raw) > _LARGEST:
        raise _refused(path, _("it is too large for a list of tags"))
    try:
        return raw.decode("utf-8-sig"), ""
    except UnicodeDecodeError:
        codec, name = likely_encoding(raw)
    if not codec or b"\0" in raw:
        raise _refused(path, _("it is no text in an encoding that is known here"))
    return raw.decode(codec), name


def _unreadable(path: Path, error: OSError) -> UserError:
    return _refused(path, error.strerror or str(error))


def _refused(path: Path, reason: str) -> UserError:
    return UserError(
        _("The list of tags cannot be read: {reason}.").format(reason=plain(reason)),
        place=plain(str(path)),
        remedy=_("Check the file and its permissions; save it as UTF-8."),
        code="tags.unreadable",
    )
