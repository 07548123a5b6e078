"""Buckets: the sizes that images are trained at, and how an image fits into one. Pure arithmetic.

The rules are those of sd-scripts' bucket manager, so that a dataset falls into the same buckets here:
areas up to the square of the resolution, sides in steps, the nearest ratio wins, the image is scaled
to cover its bucket and the rest is cut away evenly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lora_tui.config.schema import DataSection

#: The autoencoders of all families shrink by 8, so no side may be anything but a multiple of it.
LATENT_STEP = 8


@dataclass(frozen=True, order=True)
class Size:
    """Width and height in pixels."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


@dataclass(frozen=True, order=True)
class Box:
    """A part of an image, px of the image as it is shown: from ``left`` and ``top`` to before ``right``, ``bottom``."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def size(self) -> Size:
        return Size(self.width, self.height)


@dataclass(frozen=True)
class Fit:
    """How an image becomes a training image: scaled to ``resize``, then cut to ``bucket`` (pixels).

    ``resize`` covers ``bucket``: no side is shorter. ``crop_left`` and ``crop_top`` are the corner that stays.
    ``source`` is the part of the image that all this is about; none for the whole.
    """

    bucket: Size
    resize: Size
    crop_left: int
    crop_top: int
    source: Box | None = None


def make_buckets(resolution: int, minimum: int, maximum: int, step: int) -> tuple[Size, ...]:
    """All bucket sizes, sorted: area at most ``resolution`` squared, sides multiples of ``step``.

    Sides lie within ``minimum``, rounded down to the step, and ``maximum``, rounded up to it, as sd-scripts takes
    them. When nothing lies there, the only bucket is the square of the resolution, rounded down.
    """
    low, high = max(_down(minimum, step), step), _up(maximum, step)
    area = resolution * resolution
    found: set[Size] = set()
    square = _down(resolution, step)
    if low <= square <= high:
        found.add(Size(square, square))
    for width in range(low, high + 1, step):
        height = min(high, _down(area // width, step))
        if height >= low:
            found.add(Size(width, height))
            found.add(Size(height, width))
    return tuple(sorted(found)) if found else (square_bucket(resolution),)


def square_bucket(resolution: int) -> Size:
    """The one bucket when there are no others: a square as near to the resolution as latents allow."""
    side = max(_down(resolution, LATENT_STEP), LATENT_STEP)
    return Size(side, side)


def buckets_for(data: DataSection) -> tuple[Size, ...]:
    """The bucket sizes of a configuration; one square when buckets are off."""
    if not data.buckets:
        return (square_bucket(data.resolution),)
    return make_buckets(data.resolution, data.bucket_min, data.bucket_max, data.bucket_step)


def fit_image(width: int, height: int, data: DataSection, buckets: Sequence[Size]) -> Fit:
    """The bucket of an image of this size, and how the image is scaled and cut for it.

    With ``data.upscale`` off (and buckets on) an image is never enlarged: it gets a bucket of its own
    size, rounded down to the step, after being shrunk to the area of the resolution when larger; the
    list of buckets and the limits of the sides then play no part. Only an image with a side below
    one step is still enlarged, to one step.

    Args:
        width: of the image after EXIF orientation, px.
        height: likewise.
        buckets: what :func:`buckets_for` gave, sorted; not looked at when buckets are off.
    """
    if not data.buckets:
        return _cover(width, height, square_bucket(data.resolution))
    if not data.upscale:
        return _fit_without_upscale(width, height, data.resolution, data.bucket_step)
    return _cover(width, height, nearest_bucket(width, height, buckets))


def nearest_bucket(width: int, height: int, buckets: Sequence[Size]) -> Size:
    """The bucket of exactly this size, else the one whose ratio of width to height is nearest (the first of equals)."""
    exact = Size(width, height)
    if exact in buckets:
        return exact
    ratio = width / height
    return min(buckets, key=lambda size: abs(size.width / size.height - ratio))


def _cover(width: int, height: int, bucket: Size) -> Fit:
    if width / height > bucket.width / bucket.height:
        scale = bucket.height / height
    else:
        scale = bucket.width / width
    resized = Size(int(width * scale + 0.5), int(height * scale + 0.5))
    return _centred(bucket, resized)


def _fit_without_upscale(width: int, height: int, resolution: int, step: int) -> Fit:
    area = resolution * resolution
    shrunk = Size(width, height) if width * height <= area else _shrink(width, height, area, step)
    bucket = Size(_down(shrunk.width, step), _down(shrunk.height, step))
    if bucket.width and bucket.height:
        return _centred(bucket, shrunk)
    longest = max(_down(area // step, step), step)
    sides = Size(
        min(max(bucket.width, step), longest),
        min(max(bucket.height, step), longest),
    )
    return _cover(width, height, sides)


def _shrink(width: int, height: int, area: int, step: int) -> Size:
    """The size of the given area and ratio with one side on the step: the side that keeps the ratio better."""
    ratio = width / height
    exact_width = math.sqrt(area * ratio)
    by_width = _nearest_down(exact_width, step)
    by_height = _nearest_down(area / exact_width, step)
    height_for = _nearest_down(by_width / ratio, step)
    width_for = _nearest_down(by_height * ratio, step)
    if not (by_width and by_height and height_for and width_for):
        return Size(int(exact_width + 0.5), int(area / exact_width + 0.5))
    if abs(by_width / height_for - ratio) < abs(width_for / by_height - ratio):
        return Size(by_width, int(by_width / ratio + 0.5))
    return Size(int(by_height * ratio + 0.5), by_height)


def _centred(bucket: Size, resized: Size) -> Fit:
    covering = Size(max(resized.width, bucket.width), max(resized.height, bucket.height))
    left = (covering.width - bucket.width) // 2
    top = (covering.height - bucket.height) // 2
    return Fit(bucket=bucket, resize=covering, crop_left=left, crop_top=top)


def _nearest_down(value: float, step: int) -> int:
    return _down(int(value + 0.5), step)


def _down(value: int, step: int) -> int:
    return value - value % step


def _up(value: int, step: int) -> int:
    return -(-value // step) * step
