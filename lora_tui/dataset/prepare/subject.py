"""Where the subject of a picture is, so that a crop keeps it: saliency by simple means, with Pillow alone.

A place stands out when its colour and brightness differ from their wider surroundings and from the picture's border,
when it has detail, and when it has the colour of skin. The sum of that over a small version of the picture, weakly
drawn to the middle, is compared for all places of the crop. Faces that a detector has found outweigh all else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE = 64
"""Cells along the longer side of the small version."""
SKIN_BLUE, SKIN_RED = (77, 127), (133, 173)
"""Chroma (Cb, Cr) of human skin of all tones (Chai and Ngan, 1999)."""
SKIN_WEIGHT = 60
CENTRE_PULL = 0.25
"""How much less a crop at the very edge is worth than one in the middle."""
AT_THE_END = 0.6
"""What saliency at the end of a crop counts, against saliency in its middle."""
FACE_WEIGHT = 4.0
"""All faces together against all saliency."""
FLAT = 2.0
"""Mean saliency, in grey levels, below which a picture has no subject."""


@dataclass(frozen=True, slots=True)
class Face:
    """A face: corners in px of the picture it was found in, and how sure the detector is, 0 to 1."""

    left: float
    top: float
    right: float
    bottom: float
    score: float = 1.0


def best_place(
    picture: Image, kept: tuple[float, float], *, alpha: Image | None = None, faces: Sequence[Face] = ()
) -> tuple[float, float]:
    """Left and top corner of the crop of the size ``kept`` that holds most of the subject, px of ``picture``.

    Args:
        picture: RGB, of any size.
        kept: width and height of the crop, px of ``picture``; no side is longer than the picture's.
        alpha: how much of the subject each pixel is (L, the size of ``picture``), where that is known.
        faces: in ``picture``.
    """
    cells = saliency(picture, alpha)
    wide, high = cells.size
    values = cells.tobytes()
    columns = [float(sum(values[column::wide])) for column in range(wide)]
    rows = [float(sum(values[row * wide : (row + 1) * wide])) for row in range(high)]
    if sum(columns) < FLAT * wide * high and not faces:
        return (picture.width - kept[0]) / 2, (picture.height - kept[1]) / 2
    _add_faces(columns, [(face.left, face.right, _weight(face)) for face in faces], picture.width)
    _add_faces(rows, [(face.top, face.bottom, _weight(face)) for face in faces], picture.height)
    return _best(columns, picture.width, kept[0]), _best(rows, picture.height, kept[1])


def saliency(picture: Image, alpha: Image | None = None) -> Image:
    """How much each cell of a small version of the picture stands out, as grey levels above what is usual in it (L)."""
    from PIL import Image, ImageChops, ImageFilter, ImageStat

    scale = min(SIDE / max(picture.size), 1.0)
    size = max(round(picture.width * scale), 1), max(round(picture.height * scale), 1)
    channels = picture.resize(size, Image.Resampling.BOX).convert("YCbCr").split()
    wide = max(size) / 4
    found = Image.new("L", size)
    for channel in channels:
        near, far = channel.filter(ImageFilter.GaussianBlur(1)), channel.filter(ImageFilter.GaussianBlur(wide))
        around = Image.new("L", size, _border(channel))
        unlike = ImageChops.add(ImageChops.difference(near, far), ImageChops.difference(near, around), 2)
        found = ImageChops.add(found, unlike)
    light, blue, red = channels
    found = ImageChops.add(found, ImageChops.difference(light, light.filter(ImageFilter.GaussianBlur(2))))
    found = ImageChops.add(found, _skin(blue, red))
    if alpha is not None:
        shape = alpha.resize(size, Image.Resampling.BOX)
        found = ImageChops.multiply(ImageChops.add(found, Image.new("L", size, 40)), shape)
    statistics = ImageStat.Stat(found)
    usual = math.floor(statistics.mean[0] + statistics.stddev[0] / 2)
    return found.point([max(level - usual, 0) for level in range(256)])


def _border(channel: Image) -> int:
    """The mean of the outermost pixels."""
    from PIL import ImageStat

    width, height = channel.size
    strips = ((0, 0, width, 1), (0, height - 1, width, height), (0, 0, 1, height), (width - 1, 0, width, height))
    return round(sum(ImageStat.Stat(channel.crop(strip)).mean[0] for strip in strips) / 4)


def _skin(blue: Image, red: Image) -> Image:
    from PIL import ImageChops

    found = []
    for channel, (low, high) in ((blue, SKIN_BLUE), (red, SKIN_RED)):
        found.append(channel.point([SKIN_WEIGHT * (low <= level <= high) for level in range(256)]))
    return ImageChops.darker(*found)


def _weight(face: Face) -> float:
    """Large and certain faces count most."""
    return face.score * math.sqrt(max(face.right - face.left, 0) * max(face.bottom - face.top, 0))


def _add_faces(profile: list[float], faces: Sequence[tuple[float, float, float]], length: float) -> None:
    """Add spans with a weight each (px of ``length``) to a profile, so that they outweigh what is there."""
    total = sum(weight for _low, _high, weight in faces)
    if not total:
        return
    unit = FACE_WEIGHT * max(sum(profile), 1.0) / total
    cell = length / len(profile)
    for low, high, weight in faces:
        margin = (high - low) * 0.25
        first, last = (low - margin) / cell, (high + margin) / cell
        span = max(last - first, 1e-6)
        for place in range(len(profile)):
            common = min(place + 1, last) - max(place, first)
            if common > 0:
                profile[place] += unit * weight * common / span


def _best(profile: Sequence[float], length: float, kept: float) -> float:
    """Where along ``length`` px a stretch of ``kept`` px holds most of the profile, and has it in its middle.

    A cell in the middle of the stretch counts in full and one at its ends by :data:`AT_THE_END`, with a parabola
    between, so that sums of the profile and of its first two moments are enough for every place.
    """
    room = length - kept
    if room <= 0:
        return 0.0
    cell = length / len(profile)
    middles = [(place + 0.5) * cell for place in range(len(profile))]
    moments = [
        _Sums([value * at**power for value, at in zip(profile, middles, strict=True)], cell) for power in range(3)
    ]
    steepness = 4 * (1 - AT_THE_END) / kept**2

    def held(start: float) -> float:
        """What a stretch from ``start`` holds."""
        middle = start + kept / 2
        whole, first, second = (sums.between(start, start + kept) for sums in moments)
        spread = second - 2 * middle * first + middle**2 * whole
        return (whole - steepness * spread) * (1 - CENTRE_PULL * abs(start - room / 2) / length)

    steps = max(min(4 * len(profile), math.ceil(room)), 1)
    places = [room * step / steps for step in range(steps + 1)]
    return max(places, key=lambda place: (held(place), -abs(place - room / 2)))


class _Sums:
    """Sums of a row of cells up to any place, px."""

    def __init__(self, values: Sequence[float], cell: float) -> None:
        self._values, self._cell = values, cell
        self._until = [0.0, *accumulate(values)]

    def between(self, low: float, high: float) -> float:
        return self._up_to(high) - self._up_to(low)

    def _up_to(self, position: float) -> float:
        place = min(max(position / self._cell, 0.0), len(self._values) - 1e-9)
        return self._until[int(place)] + self._values[int(place)] * (place - int(place))
