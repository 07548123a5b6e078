"""What must be known of an ONNX tagger to feed it: how a picture becomes numbers, and where its tags are listed.

A small TOML file beside the model says it::

    name = "deepdanbooru"         # by which the journal knows it; else the file's name
    model = "model.onnx"          # paths are relative to this file
    tags = "tags.txt"             # .txt, .csv or .json, see lora_tui.tagging.vocabulary
    layout = "NHWC"               # or NCHW; else where the model's input has its three colours
    colours = "RGB"               # or BGR
    scale = 0.00392156862745098   # of the values 0 to 255; 1 leaves them
    mean = [0.5, 0.5, 0.5]        # then taken away, and
    std = [0.5, 0.5, 0.5]         # divided by; both in the order of colours
    size = 512                    # pixels, or [width, height]; else the model's own
    fit = "pad"                   # to a white square; "stretch", or "crop" the middle
    background = [255, 255, 255]  # below transparency and around the picture
    sigmoid = true                # where the model gives logits
    output = "predictions"        # where it has several
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from lora_tui.errors import UserError
from lora_tui.places import expand, is_file
from lora_tui.text import _, plain
from lora_tui.toml_files import TomlError, read_toml

Layout = Literal["", "NHWC", "NCHW"]
Fit = Literal["pad", "stretch", "crop"]
Triple = tuple[float, float, float]

LARGEST_SIDE = 4096


@dataclass(frozen=True)
class Description:
    """How to feed one model; the words are those of the file above.

    Attributes:
        model, tags: files.
        size: width and height in px; none to take the model's own.
    """

    name: str
    model: Path
    tags: Path
    layout: Layout = ""
    colours: Literal["RGB", "BGR"] = "RGB"
    scale: float = 1 / 255
    mean: Triple = (0.0, 0.0, 0.0)
    std: Triple = (1.0, 1.0, 1.0)
    size: tuple[int, int] | None = None
    fit: Fit = "pad"
    background: tuple[int, int, int] = (255, 255, 255)
    sigmoid: bool = False
    output: str = ""

    def as_plain(self) -> dict[str, Any]:
        """The description as JSON can hold it; :func:`of_plain` reads it."""
        return asdict(self) | {"model": str(self.model), "tags": str(self.tags)}

    @property
    def matter(self) -> str:
        """All that the answers depend on beyond the content of the files."""
        return repr([(item.name, getattr(self, item.name)) for item in fields(self) if item.name not in _PLACES])


_PLACES = ("name", "model", "tags")


def of_plain(data: Mapping[str, Any]) -> Description:
    """The description that :meth:`Description.as_plain` gave."""
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
    values |= {"model": Path(data["model"]), "tags": Path(data["tags"])}
    return Description(**values)


def wd14(folder: Path, name: str, model: str = "model.onnx") -> Description:
    """The taggers of the WD14 and WD-v3 kind: BGR, 0 to 255, padded to a white square."""
    return Description(name, folder / model, folder / "selected_tags.csv", colours="BGR", scale=1.0)


def read_description(path: Path) -> Description:
    """The description in a TOML file, its paths absolute.

    Raises:
        UserError: ``tagger.description`` when it cannot be read or says something that cannot be.
    """
    try:
        data = read_toml(path)
    except (OSError, UnicodeDecodeError, TomlError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise _wrong(path, "", _("it cannot be read: {reason}").format(reason=plain(reason, limit=200))) from error
    known = [item.name for item in fields(Description)]
    for key in data:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            meant = _("Did you mean “{word}”?").format(word=near[0]) if near else ""
            raise _wrong(path, key, _("there is no such key"), meant)
    values: dict[str, Any] = {"name": _text(path, data, "name") or path.stem}
    for key in ("model", "tags"):
        values[key] = _file(path, data, key)
    for key, choices in _CHOICES.items():
        if key in data:
            values[key] = _choice(path, data, key, choices)
    for key, length in (("mean", 3), ("std", 3), ("background", 3)):
        if key in data:
            values[key] = _numbers(path, data, key, length)
    if "scale" in data:
        values["scale"] = _number(path, "scale", data["scale"])
    if "size" in data:
        values["size"] = _size(path, data["size"])
    if "sigmoid" in data:
        values["sigmoid"] = _flag(path, data, "sigmoid")
    if "output" in data:
        values["output"] = _text(path, data, "output")
    return _checked(path, Description(**values))


_CHOICES = {"layout": ("NHWC", "NCHW"), "colours": ("RGB", "BGR"), "fit": ("pad", "stretch", "crop")}


def _checked(path: Path, found: Description) -> Description:
    if any(value == 0 for value in found.std):
        raise _wrong(path, "std", _("it cannot be 0"))
    if any(not (0 <= value <= 255 and value == int(value)) for value in found.background):
        raise _wrong(path, "background", _("three whole numbers from 0 to 255 are wanted"))
    red, green, blue = map(int, found.background)
    return replace(found, background=(red, green, blue))


def _file(path: Path, data: Mapping[str, Any], key: str) -> Path:
    name = _text(path, data, key)
    if not name:
        raise _wrong(path, key, _("a file is wanted here"))
    found = path.parent.absolute() / expand(name)
    if not is_file(found):
        raise _wrong(path, key, _("there is no file {name}").format(name=plain(str(found))))
    return found


def _text(path: Path, data: Mapping[str, Any], key: str) -> str:
    value = data.get(key, "")
    if not isinstance(value, str):
        raise _wrong(path, key, _("a text is wanted here"))
    return value.strip()


def _flag(path: Path, data: Mapping[str, Any], key: str) -> bool:
    value = data[key]
    if not isinstance(value, bool):
        raise _wrong(path, key, _("true or false is wanted here"))
    return value


def _choice(path: Path, data: Mapping[str, Any], key: str, choices: tuple[str, ...]) -> str:
    if data[key] not in choices:
        raise _wrong(path, key, _("choose one of: {names}").format(names=", ".join(choices)))
    return str(data[key])


def _number(path: Path, key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e9:
        raise _wrong(path, key, _("a number is wanted here"))
    return float(value)


def _numbers(path: Path, data: Mapping[str, Any], key: str, length: int) -> tuple[float, ...]:
    value = data[key]
    if not isinstance(value, list) or len(value) != length:
        raise _wrong(path, key, _("{count} numbers are wanted here, as [0.5, 0.5, 0.5]").format(count=length))
    return tuple(_number(path, key, item) for item in value)


def _size(path: Path, value: Any) -> tuple[int, int]:
    sides = value if isinstance(value, list) and len(value) == 2 else [value, value]
    if any(isinstance(side, bool) or not isinstance(side, int) or not 8 <= side <= LARGEST_SIDE for side in sides):
        raise _wrong(path, "size", _("pixels are wanted here, as 448 or [448, 448]"))
    return sides[0], sides[1]


def _wrong(path: Path, key: str, reason: str, remedy: str = "") -> UserError:
    return UserError(
        _("This description of a tagger cannot be used: {reason}.").format(reason=reason),
        place=plain(f"{path}, {key}" if key else str(path)),
        remedy=remedy or _("See docs/tagging.md."),
        code="tagger.description",
    )
