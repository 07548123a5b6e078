"""Choosing a part of an image: a box that is moved, resized, shaped and put in place. Pure arithmetic on px.

Boxes always lie within their image and are never empty. A shape is a ratio of width to height in lowest terms; a box
that has one has it exactly, except in images too small for that.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from lora_tui.dataset.buckets import Box, Fit, Size

LEAST = 8
"""Px that no side of a box goes below, where the image itself is not smaller."""

RATIOS: tuple[tuple[int, int], ...] = ((1, 1), (2, 3), (3, 2), (3, 4), (4, 3), (9, 16), (16, 9))
"""The shapes that people ask for by name."""

_NUMBERS = re.compile(r"\s*(\d{1,7})\s*,\s*(\d{1,7})\s*,\s*(\d{1,7})\s*[x×*,]\s*(\d{1,7})\s*")

Ratio = tuple[int, int]


@dataclass(frozen=True)
class Cut:
    """What a fit does to a part: its ``scale`` (above 1 it is enlarged), and the px of the image that are cut away
    on the left and right together, and above and below together."""

    scale: float
    across: int
    down: int
    share: float


def whole(image: Size) -> Box:
    """All of the image."""
    return Box(0, 0, image.width, image.height)


def ratio_of(size: Size) -> Ratio:
    """Width to height in lowest terms."""
    common = math.gcd(size.width, size.height) or 1
    return size.width // common, size.height // common


def move(box: Box, image: Size, right: int, down: int) -> Box:
    """The box so many px further; it stops at the edges."""
    return _at(box.size, image, box.left + right, box.top + down)


def stretch(box: Box, image: Size, wider: int, taller: int, ratio: Ratio | None = None) -> Box:
    """The right and the lower edge so many px further; at the image's edge the opposite one gives way.

    With a ratio the other side follows, and the change is at least one step of the ratio.
    """
    if ratio is None:
        size = _bounded(Size(box.width + wider, box.height + taller), image)
    else:
        by = wider / ratio[0] + taller / ratio[1]
        size = _in_ratio(box, image, ratio, by)
    return _at(size, image, box.left, box.top)


def grow(box: Box, image: Size, pixels: int, ratio: Ratio | None = None) -> Box:
    """The longer side so many px longer (or shorter), about the middle; the other in proportion."""
    longer = max(box.width, box.height)
    if ratio is None:
        most = min(image.width / box.width, image.height / box.height)
        least = max(min(LEAST, image.width) / box.width, min(LEAST, image.height) / box.height)
        factor = max(min((longer + pixels) / longer, most), least)
        size = _bounded(Size(round(box.width * factor), round(box.height * factor)), image)
    else:
        size = _in_ratio(box, image, ratio, pixels / max(ratio))
    return about(size, image, *middle(box))


def shape(box: Box, image: Size, ratio: Ratio) -> Box:
    """The box in another shape: as much area as before where the image has room for it, about the same middle."""
    steps = round(math.sqrt(box.width * box.height / (ratio[0] * ratio[1])))
    return about(_steps(image, ratio, steps), image, *middle(box))


def about(size: Size, image: Size, x: float, y: float) -> Box:
    """A box of this size with its middle at a place, or as near as the image allows."""
    return _at(size, image, round(x - size.width / 2), round(y - size.height / 2))


def centre(box: Box, image: Size) -> Box:
    """The box in the middle of the image."""
    return about(box.size, image, image.width / 2, image.height / 2)


def middle(box: Box) -> tuple[float, float]:
    """The middle of the box."""
    return (box.left + box.right) / 2, (box.top + box.bottom) / 2


def times(box: Box, image: Size, bucket: Size) -> tuple[Box, int] | None:
    """The box as exactly one, two or more times a bucket, about its middle; none when not even one fits.

    One that has such a size already gets the next larger one, and the largest is followed by one.
    """
    most = min(image.width // bucket.width, image.height // bucket.height)
    if not most:
        return None
    number = next((n for n in range(1, most + 1) if box.size == Size(bucket.width * n, bucket.height * n)), 0)
    number = number % most + 1
    size = Size(bucket.width * number, bucket.height * number)
    return about(size, image, *middle(box)), number


def parse(text: str) -> Box | None:
    """``left,top,WIDTHxHEIGHT`` as a person writes it; none when it is no part of anything."""
    found = _NUMBERS.fullmatch(text)
    if found is None:
        return None
    left, top, width, height = (int(part) for part in found.groups())
    return Box(left, top, left + width, top + height) if width and height else None


def written(box: Box) -> str:
    """The box as :func:`parse` reads it."""
    return f"{box.left},{box.top},{box.width}x{box.height}"


def lies_in(box: Box, image: Size) -> bool:
    """Whether all of the box is in the image."""
    return box.right <= image.width and box.bottom <= image.height


def cut_of(box: Box, fit: Fit) -> Cut:
    """What bringing a part to its bucket does to it."""
    resize, bucket = fit.resize, fit.bucket
    scale = max(resize.width / box.width, resize.height / box.height)
    across = round((resize.width - bucket.width) / resize.width * box.width)
    down = round((resize.height - bucket.height) / resize.height * box.height)
    share = 1 - bucket.width * bucket.height / (resize.width * resize.height)
    return Cut(scale, across, down, share)


def _in_ratio(box: Box, image: Size, ratio: Ratio, by: float) -> Size:
    """The box's size so many steps of the ratio larger: whole steps, and at least one."""
    now = round((box.width / ratio[0] + box.height / ratio[1]) / 2)
    return _steps(image, ratio, now + (math.ceil(by) if by > 0 else math.floor(by)))


def _steps(image: Size, ratio: Ratio, steps: int) -> Size:
    """So many steps of a ratio as the image has room for, and as keep the sides from vanishing."""
    most = min(image.width // ratio[0], image.height // ratio[1])
    if not most:  # the image is smaller than one step: the nearest to the shape that it holds
        scale = min(image.width / ratio[0], image.height / ratio[1])
        return _bounded(Size(round(ratio[0] * scale), round(ratio[1] * scale)), image)
    least = min(math.ceil(LEAST / min(ratio)), most)
    steps = min(max(steps, least), most)
    return Size(ratio[0] * steps, ratio[1] * steps)


def _bounded(size: Size, image: Size) -> Size:
    width = min(max(size.width, LEAST), image.width)
    height = min(max(size.height, LEAST), image.height)
    return Size(width, height)


def _at(size: Size, image: Size, left: int, top: int) -> Box:
    left = min(max(left, 0), image.width - size.width)
    top = min(max(top, 0), image.height - size.height)
    return Box(left, top, left + size.width, top + size.height)
