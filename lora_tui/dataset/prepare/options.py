"""What a person may ask of a preparation. Data only, with the rules that every choice must keep."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from lora_tui.errors import UserError
from lora_tui.text import _, plain

FAMILY_SIZES = {
    "sd15": 512, "sd2": 768, "sdxl": 1024, "sd3": 1024, "sd35": 1024, "flux": 1024, "flux2": 1024, "chroma": 1024,
    "zimage": 1024, "qwen": 1024,
}  # fmt: skip
"""The training size of each family of models, px."""

SHAPES = ("side", "square", "bucket")
FITS = ("crop", "pad")
PLACES = ("centre", "subject")
SMALL = ("keep", "enlarge", "leave-out")
FORMATS = ("png", "jpeg", "webp")
FOLDERS = ("keep", "flat", "repeats")
PADS = ("background", "edge", "blur")
COLOURS = {"white": (255, 255, 255), "black": (0, 0, 0)}
RANDOM = "random"

SMALLEST, LARGEST = 16, 8192
MOST_REPEATS = 10_000
_HEX = re.compile(r"#(?:[0-9a-fA-F]{3}){1,2}")


@dataclass(frozen=True)
class Options:
    """Every choice of a preparation; two with equal options and equal images write equal files.

    Attributes:
        size: the training size, px.
        shape: ``side``: one side has the size and the other is a multiple of ``step``; ``square``: both sides have it;
            ``bucket``: the buckets that the trainer makes for this resolution.
        fit: ``crop`` cuts away what is too much, ``pad`` adds what is missing.
        at: where a crop lies when nobody has chosen: ``centre`` or ``subject``.
        step: the sides that are not the size are multiples of this, px.
        bucket_min, bucket_max: sides of buckets, px; 0 for half of the size and twice the size.
        small: an image that is smaller than its place: ``keep`` it nearly in its own size, at the next lower
            multiples of the step (padding fills the rest of its place), ``enlarge`` it, or ``leave-out``.
        background: below transparent pixels: ``white``, ``black``, ``#rrggbb``, or ``random``, a colour of its own
            for each file.
        pad: what padding is made of: ``background``, a colour, ``edge`` (the outermost pixels), ``blur`` (the image
            itself, blurred).
        remove_background: model that tells the subject from the rest, a name or a file; empty to leave it.
        faces: file of a face detector that helps to find the subject; empty for none.
        split: images this many times as long as wide, or more, become several that overlap; 0 for never.
        overlap: the share of such a piece that it has in common with the next.
        flips: also write a mirrored copy of each image.
        crops: crops that were chosen by hand are used.
        format: ``png``, ``jpeg`` or ``webp``.
        quality: of JPEG and WebP, 1 to 100; a WebP of 100 loses nothing.
        name: pattern of the new names, see :mod:`lora_tui.dataset.prepare.names`.
        folders: ``keep`` those of the source, ``flat`` for none, ``repeats`` for ``N_name``.
        repeats: N of those folders; 0 takes what the source's folders say.
        label: name of those folders; empty takes what the source's folders say.
        masks: a folder of masks with the names of the images; empty for those beside the images only.
        seed: names the random colours.
    """

    size: int = 512
    shape: str = "side"
    fit: str = "crop"
    at: str = "centre"
    step: int = 64
    bucket_min: int = 0
    bucket_max: int = 0
    small: str = "keep"
    background: str = "white"
    pad: str = "background"
    remove_background: str = ""
    faces: str = ""
    split: float = 0.0
    overlap: float = 0.2
    flips: bool = False
    crops: bool = True
    format: str = "png"
    quality: int = 95
    name: str = "{stem}"
    folders: str = "keep"
    repeats: int = 0
    label: str = ""
    masks: str = ""
    seed: int = 0

    def as_dict(self) -> dict[str, Any]:
        """As JSON and TOML can hold it."""
        return asdict(self)

    @property
    def heavy(self) -> bool:
        """Whether a neural network has to look at each image."""
        return bool(self.remove_background or self.faces)


def options_from(data: Mapping[str, Any]) -> Options:
    """The options that :meth:`Options.as_dict` gave.

    Raises:
        UserError: ``prepare.option`` for an unknown name, a value of another type, or what :func:`checked` refuses.
    """
    known = {item.name: item for item in fields(Options)}
    values: dict[str, Any] = {}
    for name, value in data.items():
        if name not in known:
            raise wrong(name, _("There is no such option of a preparation."))
        default = known[name].default
        if isinstance(default, float) and type(value) is int:
            value = float(value)
        if type(value) is not type(default):
            raise wrong(name, _("This value is of another type."))
        values[name] = value
    return checked(Options(**values))


def checked(options: Options) -> Options:
    """``options`` when they hold together.

    Raises:
        UserError: ``prepare.option``, with the option's name as place.
    """
    from lora_tui.dataset.prepare.names import check_pattern

    for name, among in _CHOICES.items():
        value = getattr(options, name)
        if value not in among:
            message = _("{value} is none of the choices.").format(value=plain(str(value), limit=40))
            raise wrong(name, message, _("Choose one of: {names}.").format(names=", ".join(among)))
    for name, (low, high, zero) in _RANGES.items():
        value = getattr(options, name)
        if not (low <= value <= high or (zero and value == 0)):
            message = _("{value} is out of range.").format(value=plain(str(value), limit=40))
            raise wrong(name, message, _("From {low} to {high}.").format(low=low, high=high))
    if options.background != RANDOM:
        colour(options.background, "background")
    if options.pad not in PADS:
        colour(options.pad, "pad")
    low, high = bucket_sides(options)
    if low > high:
        raise wrong("bucket_min", _("The smallest side of a bucket is larger than the largest."))
    if "/" in options.label or "\0" in options.label or options.label.startswith("."):
        raise wrong("label", _("The name of a folder has no slash and does not begin with a full stop."))
    check_pattern(options.name)
    return options


def bucket_sides(options: Options) -> tuple[int, int]:
    """The smallest and the largest side of buckets, px."""
    return options.bucket_min or max(options.size // 2, SMALLEST), options.bucket_max or options.size * 2


def colour(text: str, name: str = "background") -> tuple[int, int, int]:
    """Red, green and blue, 0 to 255, of a colour's name or number.

    Raises:
        UserError: it is none.
    """
    if text in COLOURS:
        return COLOURS[text]
    if not _HEX.fullmatch(text):
        message = _("{value} is no colour.").format(value=plain(text, limit=40))
        raise wrong(name, message, _("Write white, black or #rrggbb."))
    digits = text[1:] if len(text) == 7 else "".join(digit * 2 for digit in text[1:])
    return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16)


def wrong(name: str, message: str, remedy: str = "") -> UserError:
    """The error of the option ``name``."""
    return UserError(message, place=name, remedy=remedy, code="prepare.option")


_CHOICES = {
    "shape": SHAPES,
    "fit": FITS,
    "at": PLACES,
    "small": SMALL,
    "format": FORMATS,
    "folders": FOLDERS,
}
_RANGES: dict[str, tuple[float, float, bool]] = {
    "size": (SMALLEST, LARGEST, False),
    "step": (1, 512, False),
    "bucket_min": (SMALLEST, LARGEST, True),
    "bucket_max": (SMALLEST, LARGEST * 2, True),
    "split": (1.2, 1000.0, True),
    "overlap": (0.0, 0.9, False),
    "quality": (1, 100, False),
    "repeats": (1, MOST_REPEATS, True),
}
