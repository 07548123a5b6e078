"""A picture as it was meant: upright, its first frame, its colours in sRGB, whatever the file holds.

Colour profiles are turned into sRGB after the picture was scaled, which is a fraction of the work and makes no
difference that could be seen.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.dataset.buckets import Size
from lora_tui.dataset.facts import ImageFacts, read_facts
from lora_tui.dataset.load import decoding, grey_levels, must_be_as_scanned, turns

if TYPE_CHECKING:
    from PIL import Image

LARGEST_PROFILE = 1 << 22
"""Bytes; profiles of printing presses have two million."""
SPARE = 2
"""A JPEG may be decoded at a fraction of its size that is still this many times what is wanted."""


@dataclass(frozen=True)
class Source:
    """A decoded picture.

    Attributes:
        image: upright, in RGB, RGBA, L, LA or CMYK; perhaps smaller than in the file.
        profile: its ICC profile, empty for sRGB.
        across, down: px of ``image`` for each px of the file, as it is shown.
    """

    image: Image.Image
    profile: bytes
    across: float
    down: float


def open_source(path: Path, *, at_least: Size, planned: ImageFacts | None = None) -> Source:
    """Decode a picture.

    Args:
        at_least: the size of the whole picture, as it is shown, that is wanted; it may be decoded somewhat larger only.
        planned: facts that must still hold.

    Raises:
        UserError: as :func:`~lora_tui.dataset.load.load_image`.
    """
    facts = read_facts(path)
    if planned is not None:
        must_be_as_scanned(path, planned, facts)
    wide, high = at_least.width * SPARE, at_least.height * SPARE
    with decoding(path) as opened:
        opened.draft(None, (high, wide) if facts.orientation >= 5 else (wide, high))
        opened.load()
        profile = opened.info.get("icc_profile")
        image = _in_base_mode(opened)
    turn = turns().get(facts.orientation)
    image = image if turn is None else image.transpose(turn)
    known = profile if isinstance(profile, bytes) and 0 < len(profile) <= LARGEST_PROFILE else b""
    return Source(image, known, image.width / facts.width, image.height / facts.height)


_WHOLE_WHEN_LOADED = frozenset({"JPEG", "PNG"})
"""Formats of one picture: once it is decoded nothing asks for the file again, and no copy is needed."""


def _in_base_mode(image: Image.Image) -> Image.Image:
    """Eight bits a channel, in a mode that can be scaled, and to be used when the file is closed."""
    if image.mode.startswith("I") or image.mode == "F":
        return grey_levels(image)
    if "transparency" in image.info:
        return image.convert("RGBA")
    if image.mode in ("RGB", "RGBA", "L", "LA", "CMYK"):
        return image if image.format in _WHOLE_WHEN_LOADED else image.copy()
    if image.mode in ("1", "La"):
        return image.convert("L" if image.mode == "1" else "LA")
    return image.convert("RGBA" if image.mode in ("PA", "RGBa") else "RGB")


def in_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """``image`` as RGB or RGBA with its colours in sRGB; a profile that does not fit is not used."""
    alpha = image.getchannel("A") if image.mode in ("RGBA", "LA") else None
    colours = image.convert({"RGBA": "RGB", "LA": "L"}.get(image.mode, image.mode)) if alpha is not None else image
    transform = _transform(profile, colours.mode) if profile else None
    if transform is not None:
        colours = transform(colours)
    if colours.mode != "RGB":
        colours = colours.convert("RGB")
    if alpha is not None:
        colours = colours.copy() if colours is image else colours
        colours.putalpha(alpha)
    return colours


@lru_cache(maxsize=8)
def _transform(profile: bytes, mode: str) -> Callable[[Image.Image], Image.Image] | None:
    """What turns a picture of ``mode`` with this profile into sRGB; none when nothing is to be done, or can be."""
    from PIL import ImageCms

    try:
        found = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in (ImageCms.getProfileDescription(found) or "").lower() and mode == "RGB":
            return None
        space = {"RGB": "RGB ", "L": "GRAY", "CMYK": "CMYK"}[mode]
        if found.profile.xcolor_space.ljust(4) != space:
            return None
        transform = ImageCms.buildTransform(
            found,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError, KeyError):
        return None

    def apply(image: Image.Image) -> Image.Image:
        converted = ImageCms.applyTransform(image, transform)
        return converted if converted is not None else image

    return apply
