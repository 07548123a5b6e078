"""What becomes of an image's size: pure arithmetic, no file and no pixel.

An image, or the part of it that a person chose, is first split when it is very long, and each part is then fitted: a
place of a certain size is chosen for it, and either the most of the part that has the place's ratio is kept (crop), or
all of it goes into the place and the rest of the place is padded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from lora_tui.dataset.buckets import Box, Size, fit_image, make_buckets, nearest_bucket
from lora_tui.dataset.prepare.options import Options, bucket_sides

if TYPE_CHECKING:
    from lora_tui.config.schema import DataSection

MOST_TILES = 64
"""Pieces that one image may become; one that would become more is far longer than any picture."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """How a part of an image fills its place.

    Attributes:
        part: of the image, px of the image as it is shown.
        size: of the place, and of the file that is written.
        kept: width and height, px of the image, of what is kept of the part; all of it when padded.
        content: the size at which that stands in the place.
        left, top: where it stands there, px.
    """

    part: Box
    size: Size
    kept: tuple[float, float]
    content: Size
    left: int
    top: int

    @property
    def scale(self) -> float:
        """How much the image is enlarged; below 1 it is shrunk."""
        return max(self.content.width / self.kept[0], self.content.height / self.kept[1])

    @property
    def cut(self) -> float:
        """The share of the part's area that is cut away."""
        return 1 - self.kept[0] * self.kept[1] / (self.part.width * self.part.height)

    @property
    def padded(self) -> float:
        """The share of the place that is no image."""
        return 1 - self.content.width * self.content.height / (self.size.width * self.size.height)

    @property
    def free(self) -> bool:
        """Whether the crop could lie elsewhere: by a pixel of the image, or more."""
        return self.part.width - self.kept[0] >= 1 or self.part.height - self.kept[1] >= 1


def parts_of(whole: Box, options: Options) -> tuple[Box, ...]:
    """The parts that are fitted one by one: the whole, or squares along a very long one, evenly spread.

    Each has at least ``options.overlap`` of itself in common with the next. More than :data:`MOST_TILES` are possible.
    """
    short, long = sorted((whole.width, whole.height))
    if not options.split or long < options.split * short:
        return (whole,)
    step = short * (1 - options.overlap)
    parts = max(math.ceil((long - short) / step - 1e-9) + 1, 2)
    starts = [round((long - short) * number / (parts - 1)) for number in range(parts)]
    if whole.width > whole.height:
        return tuple(Box(whole.left + at, whole.top, whole.left + at + short, whole.bottom) for at in starts)
    return tuple(Box(whole.left, whole.top + at, whole.right, whole.top + at + short) for at in starts)


def fit(part: Box, options: Options) -> Fitted | None:
    """How a part of an image is fitted; none when it is too small for what ``options.small`` says."""
    place = _place(part.width, part.height, options)
    if place is None:
        return None
    if options.fit == "pad":
        return _padded(part, place, enlarge=options.small == "enlarge")
    scale = max(place.width / part.width, place.height / part.height)
    kept = min(place.width / scale, part.width), min(place.height / scale, part.height)
    return Fitted(part, place, kept, place, 0, 0)


def is_small(part: Box, options: Options) -> bool:
    """Whether a part of an image would have to be enlarged for its place."""
    place = _full_place(part.width, part.height, options)
    if options.fit == "pad":
        return part.width < place.width and part.height < place.height
    return part.width < place.width or part.height < place.height


def crop_box(fitted: Fitted, left: float | None = None, top: float | None = None) -> tuple[float, float, float, float]:
    """The corners of what is kept, px of the image: at ``left`` and ``top``, or in the middle of the part.

    It stays within the part. Where nothing is scaled it lies on whole pixels, so that nothing is blurred.
    """
    part, (width, height) = fitted.part, fitted.kept
    x = part.left + (part.width - width) / 2 if left is None else left
    y = part.top + (part.height - height) / 2 if top is None else top
    x = min(max(x, part.left), part.right - width)
    y = min(max(y, part.top), part.bottom - height)
    if (width, height) == (fitted.content.width, fitted.content.height):
        x, y = float(int(x)), float(int(y))
    return x, y, x + width, y + height


def _place(width: int, height: int, options: Options) -> Size | None:
    part = Box(0, 0, width, height)
    if options.small == "enlarge" or not is_small(part, options):
        return _full_place(width, height, options)
    if options.small == "leave-out":
        return None
    if options.fit == "pad":
        return _full_place(width, height, options) if options.shape != "side" else _own_place(width, height, options)
    if options.shape == "bucket":
        own = fit_image(width, height, _trainer_data(options, upscale=False), ()).bucket
        return own if own.width <= width and own.height <= height else None
    if options.shape == "square":
        side = min(width, height, options.size) // options.step * options.step
        return Size(side, side) if side else None
    own = Size(width // options.step * options.step, height // options.step * options.step)
    return own if own.width and own.height else None


def _full_place(width: int, height: int, options: Options) -> Size:
    """The place of an image of this size, however much it has to be enlarged."""
    if options.shape == "square":
        return Size(options.size, options.size)
    if options.shape == "bucket":
        low, high = bucket_sides(options)
        return nearest_bucket(width, height, _buckets(options.size, low, high, options.step))
    short, long = sorted((width, height))
    scaled = long * options.size / short
    if options.fit == "pad":
        other = math.ceil(scaled / options.step - 1e-9) * options.step
    else:
        other = max(math.floor(scaled / options.step + 1e-9), 1) * options.step
    return Size(options.size, other) if width <= height else Size(other, options.size)


def _own_place(width: int, height: int, options: Options) -> Size:
    """The place that a small image is padded to: its shorter side to the size, the other one to the next multiple."""
    other = -(-max(width, height, options.size) // options.step) * options.step
    return Size(options.size, other) if width <= height else Size(other, options.size)


@cache
def _buckets(resolution: int, low: int, high: int, step: int) -> tuple[Size, ...]:
    return make_buckets(resolution, low, high, step)


def _trainer_data(options: Options, *, upscale: bool) -> DataSection:
    """The trainer's settings that make the buckets of these options."""
    from lora_tui.config.schema import DataSection

    low, high = bucket_sides(options)
    return DataSection.model_construct(
        resolution=options.size, bucket_min=low, bucket_max=high, bucket_step=options.step, upscale=upscale
    )


def _padded(part: Box, place: Size, *, enlarge: bool) -> Fitted:
    scale = min(place.width / part.width, place.height / part.height)
    if not enlarge:
        scale = min(scale, 1.0)
    width = min(max(round(part.width * scale), 1), place.width)
    height = min(max(round(part.height * scale), 1), place.height)
    left, top = (place.width - width) // 2, (place.height - height) // 2
    return Fitted(part, place, (part.width, part.height), Size(width, height), left, top)
