"""Backgrounds for the demo's pictures: simple places, drawn from a keyed generator so that each is its own.

Needs Pillow, inside its functions.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

Colour = tuple[int, int, int]
Painter = Callable[["ImageDraw", int, int, random.Random], None]

HORIZON = 0.62
"""Where the ground begins, as a share of the height."""


def _plain(colour: Colour) -> Painter:
    def paint(draw: ImageDraw, width: int, height: int, chance: random.Random) -> None:
        draw.rectangle((0, 0, width, height), fill=_near(colour, chance, 6))

    return paint


def _meadow(draw: ImageDraw, width: int, height: int, chance: random.Random) -> None:
    _sky_and_ground(draw, width, height, (150, 206, 244), _near((112, 184, 84), chance, 14))
    _disc(draw, width * chance.uniform(0.08, 0.9), height * 0.12, height * 0.07, (255, 226, 110))
    for _flower in range(14):
        x, y = chance.random() * width, height * chance.uniform(HORIZON + 0.04, 1)
        _disc(draw, x, y, height * 0.013, chance.choice([(250, 240, 250), (244, 120, 150), (250, 220, 90)]))


def _night(draw: ImageDraw, width: int, height: int, chance: random.Random) -> None:
    _sky_and_ground(draw, width, height, (24, 30, 72), (38, 52, 62))
    for _star in range(40):
        _disc(draw, chance.random() * width, chance.random() * height * HORIZON, height * 0.005, (250, 250, 220))
    _disc(draw, width * chance.uniform(0.1, 0.9), height * 0.15, height * 0.08, (244, 240, 210))


def _beach(draw: ImageDraw, width: int, height: int, chance: random.Random) -> None:
    _sky_and_ground(draw, width, height, (176, 222, 246), (236, 214, 160))
    draw.rectangle((0, height * 0.45, width, height * HORIZON), fill=_near((58, 140, 196), chance, 12))
    _disc(draw, width * chance.uniform(0.1, 0.9), height * 0.14, height * 0.08, (255, 236, 140))


def _snow(draw: ImageDraw, width: int, height: int, chance: random.Random) -> None:
    _sky_and_ground(draw, width, height, _near((176, 192, 212), chance, 10), (244, 247, 252))
    for _flake in range(50):
        _disc(draw, chance.random() * width, chance.random() * height, height * 0.008, (255, 255, 255))


def _forest(draw: ImageDraw, width: int, height: int, chance: random.Random) -> None:
    _sky_and_ground(draw, width, height, (190, 220, 200), (96, 120, 64))
    for tree in range(6):
        x = width * (tree + chance.uniform(0.1, 0.9)) / 6
        top, foot, half = height * chance.uniform(0.05, 0.3), height * (HORIZON + 0.05), width * 0.1
        draw.rectangle((x - half / 6, foot - height * 0.15, x + half / 6, foot), fill=(110, 76, 48))
        draw.polygon([(x, top), (x - half, foot - height * 0.08), (x + half, foot - height * 0.08)], fill=(44, 104, 64))


def _room(draw: ImageDraw, width: int, height: int, chance: random.Random) -> None:
    _sky_and_ground(draw, width, height, _near((232, 208, 180), chance, 18), (150, 104, 72))
    left, top, size = width * chance.uniform(0.05, 0.6), height * 0.1, height * 0.28
    draw.rectangle(
        (left, top, left + size, top + size), fill=(170, 214, 240), outline=(250, 250, 250), width=height // 60
    )
    draw.line((left + size / 2, top, left + size / 2, top + size), fill=(250, 250, 250), width=height // 60)


PLACES: dict[str, tuple[tuple[str, ...], Painter]] = {
    "meadow": (("outdoors", "meadow", "flowers", "day"), _meadow),
    "night": (("outdoors", "night", "starry sky", "moon"), _night),
    "beach": (("outdoors", "beach", "sea", "day"), _beach),
    "snow": (("outdoors", "snow", "winter"), _snow),
    "forest": (("outdoors", "forest", "trees"), _forest),
    "room": (("indoors", "room", "window"), _room),
    "white": (("simple background", "white background"), _plain((248, 248, 248))),
    "pink": (("simple background", "pink background"), _plain((246, 184, 204))),
    "yellow": (("simple background", "yellow background"), _plain((250, 222, 120))),
}
"""Name of each place: the tags that describe it, and what paints it."""


def draw_place(place: str, width: int, height: int, chance: random.Random) -> Image:
    """The background ``place`` (a key of :data:`PLACES`) as an RGB picture of ``width`` x ``height`` px."""
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (width, height))
    PLACES[place][1](ImageDraw.Draw(picture), width, height, chance)
    return picture


def _sky_and_ground(draw: ImageDraw, width: int, height: int, sky: Colour, ground: Colour) -> None:
    draw.rectangle((0, 0, width, height), fill=sky)
    draw.rectangle((0, height * HORIZON, width, height), fill=ground)


def _disc(draw: ImageDraw, x: float, y: float, radius: float, colour: Colour) -> None:
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)


def _near(colour: Colour, chance: random.Random, spread: int) -> Colour:
    red, green, blue = (max(0, min(255, part + chance.randint(-spread, spread))) for part in colour)
    return red, green, blue
