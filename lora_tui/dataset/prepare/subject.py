"""Where the subject of a picture is, so that a crop keeps it: saliency by simple means, with Pillow alone.

A place stands out when its colour and brightness differ from their wider surroundings and from the picture's border,
when it has detail, and when it has the colour of skin. The sum of that over a small version of the picture, weakly
drawn to the middle, is compared for all places of the crop. Faces that a detector has found outweigh all else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
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
EQUAL = 0.98
"""Crops that hold this share of the best one's saliency are as good; the one around the subject's centre is taken."""
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
    """How much each cell of a small version of the picture stands out, as grey levels above the mean (L)."""
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
    mean = math.floor(ImageStat.Stat(found).mean[0])
    return found.point([max(level - mean, 0) for level in range(256)])


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
    """Where along ``length`` px a stretch of ``kept`` px holds most of the profile."""
    room = length - kept
    if room <= 0:
        return 0.0
    cell = length / len(profile)
    sums = [0.0]
    for value in profile:
        sums.append(sums[-1] + value)

    def until(position: float) -> float:
        """The sum of the profile up to ``position`` px."""
        place = min(max(position / cell, 0.0), len(profile) - 1e-9)
        return sums[int(place)] + profile[int(place)] * (place - int(place))

    steps = max(min(4 * len(profile), math.ceil(room)), 1)
    places = [room * step / steps for step in range(steps + 1)]
    values = []
    for place in places:
        off = abs(place - room / 2) / length
        values.append((until(place + kept) - until(place)) * (1 - CENTRE_PULL * off))
    most = max(values)
    start = places[values.index(most)]
    middle = _centroid(profile, cell, start, start + kept)
    good = [place for place, value in zip(places, values, strict=True) if value >= EQUAL * most]
    return min(good, key=lambda place: (abs(place + kept / 2 - middle), place))


def _centroid(profile: Sequence[float], cell: float, low: float, high: float) -> float:
    """The centre of what the profile has between two places, px."""
    cells = [(value, (place + 0.5) * cell) for place, value in enumerate(profile)]
    inside = [(value, at) for value, at in cells if low <= at <= high]
    total = sum(value for value, _at in inside)
    return sum(value * at for value, at in inside) / total if total else (low + high) / 2
