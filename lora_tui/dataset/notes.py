"""What a person has noted about a dataset: images left out, crops by hand, pictures reviewed, source and licence.

Kept in ``.lora-tui/dataset.toml`` of the dataset's folder, or of the nearest folder above that has ``.lora-tui``; names
in it are relative to that folder, with ``/``, so a dataset can move. A folder below may have notes of its own: an image
that any of them leaves out is left out, and of several crops the one nearest to the image holds. Names are only ever
compared with those of images that were found, and never opened.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lora_tui.captions.journal.log import HOME, home_of
from lora_tui.dataset.buckets import Box, Size
from lora_tui.errors import UserError
from lora_tui.files import kind_of, write_atomic
from lora_tui.text import _, count, plain
from lora_tui.toml_files import MOST_BYTES, TomlError, parse_toml

FILE = "dataset.toml"
VERSION = 1
MOST_TEXT = 10_000
"""Characters of a source, a licence note or a name."""
PATIENCE = 10.0
"""Seconds that a change waits for another program's."""

_LOCK = "dataset.lock"
_KEYS = ("version", "source", "licence", "asked", "excluded", "reviewed", "alike", "crops")
_LARGEST = 1 << 31
_HEAD = """\
# What lora-tui knows of this dataset; plan, training and export obey it. Names are relative to the folder above this.
# A crop: left, top, width and height in px of the image as it is shown, then the image's own width and height.
"""


@dataclass(frozen=True, slots=True)
class Crop:
    """A part of an image that a person chose, px of the image as it is shown, and the image's size then."""

    box: Box
    of: Size


@dataclass(frozen=True)
class Notes:
    """What one ``dataset.toml`` says.

    Attributes:
        excluded: images that are neither trained nor exported.
        reviewed: images that somebody has looked at and found right, the picture and not its caption.
        crops: the part of an image that is used instead of the whole.
        source: where the images are from, in a person's words.
        licence: what may be done with them, likewise.
        alike: groups of images that are the same or nearly the same and are meant to be there all the same.
        asked: whether somebody was asked for source and licence, and may have answered nothing.
    """

    excluded: frozenset[str] = frozenset()
    reviewed: frozenset[str] = frozenset()
    crops: Mapping[str, Crop] = field(default_factory=lambda: MappingProxyType({}))
    source: str = ""
    licence: str = ""
    alike: frozenset[frozenset[str]] = frozenset()
    asked: bool = False

    def excluding(self, *names: str) -> Notes:
        """The same with these images left out."""
        return replace(self, excluded=self.excluded.union(names))

    def including(self, *names: str) -> Notes:
        """The same with these images taken in again."""
        return replace(self, excluded=self.excluded.difference(names))

    def with_crop(self, name: str, crop: Crop | None) -> Notes:
        """The same with another crop of an image; none for the whole image."""
        return self.with_crops({name: crop})

    def with_crops(self, chosen: Mapping[str, Crop | None]) -> Notes:
        """The same with other crops of images; none for whole images."""
        crops = {**self.crops, **chosen}
        return replace(self, crops={name: crop for name, crop in crops.items() if crop is not None})

    def reviewing(self, *names: str, reviewed: bool = True) -> Notes:
        """The same with these images marked as reviewed, or not."""
        marks = self.reviewed.union(names) if reviewed else self.reviewed.difference(names)
        return replace(self, reviewed=marks)

    def keeping_alike(self, *names: str, kept: bool = True) -> Notes:
        """The same with these images being alike on purpose, or not."""
        group = frozenset({frozenset(names)})
        return replace(self, alike=self.alike | group if kept else self.alike - group)

    def present(self) -> Notes:
        """The same without what is kept of images in the trash for when they come back."""
        names = {*self.excluded, *self.reviewed, *self.crops}
        gone = {name for name in names if name.startswith(f"{HOME}/")}
        crops = {name: crop for name, crop in self.crops.items() if name not in gone}
        return replace(self, excluded=self.excluded - gone, reviewed=self.reviewed - gone, crops=crops)

    def about(self, *, source: str | None = None, licence: str | None = None, asked: bool | None = None) -> Notes:
        """The same with another source or licence note, where one is given; who gives one has been asked.

        Raises:
            UserError: ``notes.too_long``.
        """
        given = source is not None or licence is not None
        for text in (source or "", licence or ""):
            if len(text) > MOST_TEXT:
                message = _("The text has {number} characters; {most} is the most.")
                raise UserError(
                    message.format(number=count(len(text)), most=count(MOST_TEXT)),
                    remedy=_("Write less, or name a file that says the rest."),
                    code="notes.too_long",
                )
        return replace(
            self,
            source=self.source if source is None else source,
            licence=self.licence if licence is None else licence,
            asked=(self.asked or given) if asked is None else asked,
        )


@dataclass(frozen=True, slots=True)
class Layer:
    """Notes that hold for a folder, and what stands before the names of its files in them."""

    notes: Notes
    prefix: str


def name_in_notes(home: Path, image: Path) -> str:
    """How the notes of ``home`` (see :func:`~lora_tui.captions.journal.log.home_of`) call an image below it."""
    return clean(Path(os.path.relpath(os.path.abspath(image), home)).as_posix())  # noqa: PTH100 - links stay


def clean(name: str) -> str:
    """A file's name as text that can be written anywhere: bytes that are no UTF-8 become ``\\xNN``."""
    if name.isascii():
        return name
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def layers_of(folder: Path) -> tuple[Layer, ...]:
    """The notes that hold for the files of ``folder``, outermost first; those below it have to be asked for.

    Raises:
        UserError: as :func:`load_notes`.
    """
    home = home_of(folder)
    inside = name_in_notes(home, folder)
    return _with_notes((), home, "" if inside == "." else f"{inside}/")


def layers_below(layers: tuple[Layer, ...], folder: Path, *, has_home: bool) -> tuple[Layer, ...]:
    """The notes that hold for ``folder`` when ``layers`` hold for the folder around it.

    Args:
        has_home: whether ``folder`` has a ``.lora-tui`` of its own.

    Raises:
        UserError: as :func:`load_notes`.
    """
    deeper = tuple(Layer(layer.notes, f"{layer.prefix}{clean(folder.name)}/") for layer in layers)
    return _with_notes(deeper, folder, "") if has_home else deeper


def is_excluded(layers: tuple[Layer, ...], name: str) -> bool:
    """Whether any of the notes leaves out the file ``name`` of the folder that they hold for."""
    return any(layer.prefix + name in layer.notes.excluded for layer in layers)


def is_reviewed(layers: tuple[Layer, ...], name: str) -> bool:
    """Whether any of the notes has the picture ``name`` marked as reviewed, see :func:`is_excluded`."""
    return any(layer.prefix + name in layer.notes.reviewed for layer in layers)


def crop_in(layers: tuple[Layer, ...], name: str) -> Crop | None:
    """The crop of the file ``name``, see :func:`is_excluded`."""
    crops = (layer.notes.crops.get(layer.prefix + name) for layer in reversed(layers))
    return next((crop for crop in crops if crop is not None), None)


class NotesBelow:
    """The notes for files at and below ``root``, asked for by name; those of each folder are read once."""

    def __init__(self, root: Path) -> None:
        """Raises as :func:`load_notes`."""
        self._root = root
        self._layers = {"": layers_of(root)}

    def excluded(self, name: str) -> bool:
        """Whether the file ``name`` (relative to the root, with ``/``) is left out. Raises as :func:`load_notes`."""
        folder, _slash, file = name.rpartition("/")
        return is_excluded(self._of(folder), clean(file))

    def crop(self, name: str) -> Crop | None:
        """The crop of the file ``name``. Raises as :func:`load_notes`."""
        folder, _slash, file = name.rpartition("/")
        return crop_in(self._of(folder), clean(file))

    def reviewed(self, name: str) -> bool:
        """Whether the picture ``name`` is marked as reviewed. Raises as :func:`load_notes`."""
        folder, _slash, file = name.rpartition("/")
        return is_reviewed(self._of(folder), clean(file))

    def _of(self, folder: str) -> tuple[Layer, ...]:
        found = self._layers.get(folder)
        if found is None:
            path = self._root / folder
            around = self._of(folder.rpartition("/")[0])
            found = self._layers[folder] = layers_below(around, path, has_home=(path / HOME).is_dir())
        return found


class KeptAlike:
    """Which images are alike on purpose; the notes of each dataset are read once, and unreadable ones say nothing."""

    def __init__(self) -> None:
        self._notes: dict[Path, Notes] = {}

    def has(self, images: Iterable[Path]) -> bool:
        """Whether one note names all of these images."""
        paths = list(images)
        return any(self._says(home, paths) for home in {home_of(path.parent) for path in paths})

    def _says(self, home: Path, paths: list[Path]) -> bool:
        if home not in self._notes:
            self._notes[home] = Notes()
            with contextlib.suppress(UserError):
                self._notes[home] = load_notes(home)
        groups = self._notes[home].alike
        names = {name_in_notes(home, path) for path in paths} if groups else set()
        return any(names <= group for group in groups)


def names_left_out(root: Path, names: Iterable[str]) -> set[str]:
    """Those of the files ``names`` (relative to ``root``, with ``/``) that a person has left out.

    Raises:
        UserError: as :func:`load_notes`.
    """
    notes = NotesBelow(root)
    return {name for name in names if notes.excluded(name)}


def load_notes(home: Path) -> Notes:
    """What ``.lora-tui/dataset.toml`` of ``home`` says; empty when there is none.

    Raises:
        UserError: the file cannot be read (``notes.unreadable``), was written by a newer version (``notes.newer``), or
            says something that it cannot mean (``notes.invalid``).
    """
    path = home / HOME / FILE
    try:
        data = parse_toml(_read(path).decode("utf-8-sig"))
    except (FileNotFoundError, NotADirectoryError):
        return Notes()
    except OSError as error:
        message = _("The dataset's notes cannot be read: {reason}.")
        raise _wrong(path, message.format(reason=plain(error.strerror or str(error))), "notes.unreadable") from error
    except (TomlError, UnicodeDecodeError) as error:
        message = _("The dataset's notes are not valid TOML: {reason}.")
        raise _wrong(path, message.format(reason=plain(str(error), limit=200)), "notes.invalid") from error
    return _from_data(path, data)


def change_notes(home: Path, change: Callable[[Notes], Notes]) -> Notes:
    """Replace the notes of ``home`` by what ``change`` makes of them; waits for other programs that change them.

    Raises:
        UserError: as :func:`load_notes`; they cannot be written (``notes.write``), or are more than can be read again
            (``notes.large``).
    """
    path = home / HOME / FILE
    try:
        path.parent.mkdir(exist_ok=True)  # never the dataset's folder itself, should it have vanished
        with _turn(path):
            notes = change(load_notes(home))
            data = _as_toml(notes).encode("utf-8")
            if len(data) > MOST_BYTES:
                message = _("The dataset's notes would be larger than {size} MB.")
                raise _wrong(path, message.format(size=MOST_BYTES // 1_000_000), "notes.large")
            write_atomic(path, data)
    except UserError:
        raise
    except OSError as error:
        raise UserError(
            _("The dataset's notes cannot be written: {reason}.").format(reason=plain(error.strerror or str(error))),
            place=plain(str(path)),
            remedy=_("Check the folder's permissions and free space."),
            code="notes.write",
        ) from error
    return notes


def _with_notes(layers: tuple[Layer, ...], home: Path, prefix: str) -> tuple[Layer, ...]:
    notes = load_notes(home)
    return (*layers, Layer(notes, prefix)) if notes.excluded or notes.crops or notes.reviewed else layers


def _read(path: Path) -> bytes:
    """The bytes of a regular file; what is none is never waited for."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(mode := os.fstat(descriptor).st_mode):
            raise OSError(0, _("it is {kind}, not a file").format(kind=kind_of(mode)))
        raw = file.read(MOST_BYTES + 1)
    if len(raw) > MOST_BYTES:
        raise TomlError(_("it is larger than {size} MB").format(size=MOST_BYTES // 1_000_000))
    return raw


@contextlib.contextmanager
def _turn(path: Path) -> Iterator[None]:
    """Hold the lock of the notes; file systems without locks have none."""
    descriptor = os.open(path.with_name(_LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    message = _("Another program has been changing the dataset's notes for a long time.")
                    raise _wrong(path, message, "notes.locked") from None
                time.sleep(0.05)
            except OSError:
                break
        yield
    finally:
        os.close(descriptor)


def _from_data(path: Path, data: Mapping[str, Any]) -> Notes:
    version = data.get("version", VERSION)
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise _no_value(path, "version")
    if version > VERSION:
        message = _("The dataset's notes were written by a newer version of lora-tui.")
        raise UserError(message, place=plain(str(path)), remedy=_("Update lora-tui."), code="notes.newer")
    unknown = next((key for key in data if key not in _KEYS), None)
    if unknown is not None:
        message = _("The dataset's notes have the unknown key {key}.")
        raise _wrong(path, message.format(key=plain(unknown, limit=60)), "notes.invalid")
    return Notes(
        excluded=frozenset(_names(path, data, "excluded")),
        reviewed=frozenset(_names(path, data, "reviewed")),
        crops=MappingProxyType(_crops(path, data)),
        source=_text(path, data, "source"),
        licence=_text(path, data, "licence"),
        alike=frozenset(_groups(path, data)),
        asked=_truth(path, data, "asked"),
    )


def _truth(path: Path, data: Mapping[str, Any], key: str) -> bool:
    value = data.get(key, False)
    if not isinstance(value, bool):
        raise _no_value(path, key)
    return value


def _text(path: Path, data: Mapping[str, Any], key: str) -> str:
    value = data.get(key, "")
    if not isinstance(value, str) or len(value) > MOST_TEXT:
        raise _no_value(path, key)
    return value


def _names(path: Path, data: Mapping[str, Any], key: str) -> list[str]:
    value = data.get(key, [])
    if not isinstance(value, list) or not all(isinstance(name, str) and len(name) <= MOST_TEXT for name in value):
        raise _no_value(path, key)
    return value


def _groups(path: Path, data: Mapping[str, Any]) -> list[frozenset[str]]:
    value = data.get("alike", [])
    if not isinstance(value, list):
        raise _no_value(path, "alike")
    return [frozenset(_names(path, {"alike": group}, "alike")) for group in value]


def _crops(path: Path, data: Mapping[str, Any]) -> dict[str, Crop]:
    rows = data.get("crops", {})
    if not isinstance(rows, dict):
        raise _no_value(path, "crops")
    found = {}
    for name, row in rows.items():
        place = f"crops.{plain(name, limit=60)}"
        if not isinstance(row, list) or len(row) != 6 or not all(type(number) is int for number in row):
            raise _no_value(path, place)
        left, top, width, height, whole_width, whole_height = row
        if not all(0 <= number < _LARGEST for number in row) or not width or not height:
            raise _no_value(path, place)
        if left + width > whole_width or top + height > whole_height:
            raise _no_value(path, place)
        found[name] = Crop(Box(left, top, left + width, top + height), Size(whole_width, whole_height))
    return found


def _as_toml(notes: Notes) -> str:
    lines = [_HEAD + f"version = {VERSION}"]
    lines += [f"{key} = {_quoted(value)}" for key, value in (("source", notes.source), ("licence", notes.licence))]
    lines += ["asked = true"] * notes.asked
    for key, names in (("excluded", notes.excluded), ("reviewed", notes.reviewed)):
        rows = "".join(f"  {_quoted(name)},\n" for name in sorted(names))
        lines.append(f"{key} = [\n{rows}]" if rows else f"{key} = []")
    groups = sorted(", ".join(_quoted(name) for name in sorted(group)) for group in notes.alike)
    rows = "".join(f"  [{group}],\n" for group in groups)
    lines.append(f"alike = [\n{rows}]" if rows else "alike = []")
    lines.append("\n[crops]")
    for name, crop in sorted(notes.crops.items()):
        box = crop.box
        numbers = (box.left, box.top, box.width, box.height, crop.of.width, crop.of.height)
        lines.append(f"{_quoted(name)} = {list(numbers)}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A text between quotes as TOML wants it; what is no Unicode becomes ``\\xNN``."""
    written = json.dumps(clean(text), ensure_ascii=False)  # the escapes of JSON are those of TOML
    return written.replace("\x7f", "\\u007f")


def _no_value(path: Path, key: str) -> UserError:
    message = _("The dataset's notes have a value that {key} cannot have.")
    return _wrong(path, message.format(key=key), "notes.invalid")


def _wrong(path: Path, message: str, code: str) -> UserError:
    return UserError(message, place=plain(str(path)), remedy=_("Fix the file, or move it away."), code=code)
