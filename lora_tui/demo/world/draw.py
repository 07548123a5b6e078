"""Draws scenes: antialiased, at any size, in one of several styles. Needs Pillow, inside its functions."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lora_tui.demo.world.scene import (
    COLOURS,
    LARGE_REACH,
    PLACE_JITTER,
    PLACES,
    SIZES,
    Colour,
    Scene,
    Subject,
)
from lora_tui.demo.world.shapes import RING_HOLE, outline

if TYPE_CHECKING:
    from PIL.Image import Image

SUPERSAMPLING = 4
"""Pictures are drawn this many times larger and averaged, which smooths their edges."""
INK: Colour = (15, 15, 20)
EYE: Colour = (250, 250, 250)
COLOUR_JITTER = 10
TURN = 0.12
"""Subjects are turned by up to this many radians."""
PERIOD = 0.25
"""The width of a pair of stripes, and the distance of dots."""


@dataclass(frozen=True)
class Style:
    """How things are drawn.

    Attributes:
        line: width of outlines, a share of the side; 0 draws none.
        ink: colour of outlines and hatching.
        hatch: distance of hatching lines within subjects, a share of the side; 0 fills them instead.
        shade: darkens subjects from top to bottom by this share.
        paper: the colour of the ground between hatching lines, and of every background; none keeps the scene's.
    """

    line: float = 0.0
    ink: Colour = INK
    hatch: float = 0.0
    shade: float = 0.0
    paper: Colour | None = None


FLAT = Style()


class Pen:
    """Draws on a square canvas of ``side`` pixels; every length is a share of the side."""

    def __init__(self, side: int, colour: Colour, style: Style = FLAT) -> None:
        from PIL import Image, ImageDraw

        self.side = side
        self.style = style
        self._scale = side * SUPERSAMPLING
        self.canvas = Image.new("RGB", (self._scale, self._scale), colour)
        self._draw = ImageDraw.Draw(self.canvas)

    def picture(self) -> Image:
        """What was drawn, ``side`` pixels wide and high."""
        return self.canvas.reduce(SUPERSAMPLING)

    def ellipse(self, x: float, y: float, across: float, down: float, fill: Colour) -> None:
        """A filled ellipse of the half axes ``across`` and ``down``, with the style's outline."""
        box = [
            (x - across) * self._scale,
            (y - down) * self._scale,
            (x + across) * self._scale,
            (y + down) * self._scale,
        ]
        self._draw.ellipse(box, fill=fill, outline=self.style.ink if self._width else None, width=self._width)

    def disc(self, x: float, y: float, radius: float, fill: Colour) -> None:
        """A filled disc without an outline."""
        box = [
            (x - radius) * self._scale,
            (y - radius) * self._scale,
            (x + radius) * self._scale,
            (y + radius) * self._scale,
        ]
        self._draw.ellipse(box, fill=fill)

    def box(self, left: float, top: float, right: float, bottom: float, fill: Colour) -> None:
        """A filled box without an outline."""
        edges = [value * self._scale for value in (left, top, right, bottom)]
        self._draw.rectangle(edges, fill=fill)

    def polygon(self, points: Iterable[tuple[float, float]], fill: Colour) -> None:
        """A filled polygon with the style's outline."""
        self._draw.polygon([(x * self._scale, y * self._scale) for x, y in points], fill=fill)
        self.line([*points], closed=True)

    def line(self, points: list[tuple[float, float]], *, closed: bool = False) -> None:
        """The style's outline along ``points``; nothing when the style has none."""
        if self._width:
            corners = [(x * self._scale, y * self._scale) for x, y in points]
            ends = corners[:2] if closed else []
            self._draw.line([*corners, *ends], fill=self.style.ink, width=self._width, joint="curve")

    def stroke(self, points: list[tuple[float, float]], width: float, fill: Colour) -> None:
        """A line of its own colour and width."""
        corners = [(x * self._scale, y * self._scale) for x, y in points]
        self._draw.line(corners, fill=fill, width=max(round(width * self._scale), 1), joint="curve")

    def masked(
        self, points: Iterable[tuple[float, float]], hole: tuple[float, float, float] | None, fill: Colour
    ) -> None:
        """A filled polygon with a round hole (x, y, radius), or with the style's hatching or shading within it."""
        from PIL import Image, ImageDraw

        corners = [(x * self._scale, y * self._scale) for x, y in points]
        mask = Image.new("L", self.canvas.size, 0)
        pen = ImageDraw.Draw(mask)
        pen.polygon(corners, fill=255)
        if hole is not None:
            x, y, radius = (value * self._scale for value in hole)
            pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=0)
        self.canvas.paste(self._filling(fill), (0, 0), mask)
        if self._width:
            self._draw.line([*corners, *corners[:2]], fill=self.style.ink, width=self._width, joint="curve")
            if hole is not None:
                self._draw.ellipse(
                    [x - radius, y - radius, x + radius, y + radius], outline=self.style.ink, width=self._width
                )

    def _filling(self, fill: Colour) -> Image:
        from PIL import Image, ImageDraw

        if self.style.hatch:
            sheet = Image.new("RGB", self.canvas.size, self.style.paper or EYE)
            pen = ImageDraw.Draw(sheet)
            gap = self.style.hatch * self._scale
            for number in range(int(2 * self._scale / gap) + 1):
                start = number * gap
                pen.line([start, 0, start - self._scale, self._scale], fill=fill, width=max(round(gap * 0.55), 1))
            return sheet
        if self.style.shade:
            strip = Image.linear_gradient("L").resize(self.canvas.size)
            dark = tuple(round(value * (1 - self.style.shade)) for value in fill)
            return Image.composite(
                Image.new("RGB", self.canvas.size, dark), Image.new("RGB", self.canvas.size, fill), strip
            )
        return Image.new("RGB", self.canvas.size, fill)

    @property
    def _width(self) -> int:
        return round(self.style.line * self._scale)


def near(colour: Colour, chance: random.Random, amount: int = COLOUR_JITTER) -> Colour:
    """``colour`` with each channel moved by up to ``amount``."""
    red, green, blue = (min(max(value + chance.randint(-amount, amount), 0), 255) for value in colour)
    return red, green, blue


def locate(size: str, place: str, chance: random.Random | None = None) -> tuple[float, float, float]:
    """The middle (x, y) and the radius of a subject; without ``chance`` those in the middle of their ranges."""
    least, most = SIZES[size]
    x, y = PLACES[place]
    reach = LARGE_REACH if size == "large" else 1.0
    x, y = 0.5 + (x - 0.5) * reach, 0.5 + (y - 0.5) * reach
    if chance is None:
        return x, y, (least + most) / 2
    radius = chance.uniform(least, most)
    return x + chance.uniform(-PLACE_JITTER, PLACE_JITTER), y + chance.uniform(-PLACE_JITTER, PLACE_JITTER), radius


def draw_background(pen: Pen, pattern: str, first: Colour, second: Colour, chance: random.Random) -> None:
    """A background over the whole canvas."""
    pen.box(0, 0, 1, 1, first)
    if pattern == "striped":
        start = chance.uniform(0, PERIOD)
        for number in range(-1, 5):
            left = start + number * PERIOD
            pen.box(left, 0, left + PERIOD / 2, 1, second)
    elif pattern == "dotted":
        right, down = chance.uniform(0, PERIOD), chance.uniform(0, PERIOD)
        for column in range(-1, 5):
            for row in range(-1, 5):
                pen.disc(right + column * PERIOD, down + row * PERIOD, 0.058, second)
    elif pattern == "ground":
        pen.box(0, chance.uniform(0.62, 0.72), 1, 1, second)


def draw_shape(pen: Pen, shape: str, x: float, y: float, radius: float, turn: float, fill: Colour) -> None:
    """A shape around (x, y), turned clockwise by ``turn`` radians."""
    across, along = math.cos(turn), math.sin(turn)
    points = [
        (x + (right * across - down * along) * radius, y + (right * along + down * across) * radius)
        for right, down in outline(shape)
    ]
    if shape == "ring":
        pen.masked(points, (x, y, radius * RING_HOLE), fill)
    elif pen.style.hatch or pen.style.shade:
        pen.masked(points, None, fill)
    else:
        pen.polygon(points, fill)


def draw_eyes(pen: Pen, shape: str, x: float, y: float, radius: float) -> None:
    """A pair of eyes upon a shape."""
    drop = {"triangle": 0.12, "heart": -0.16, "star": -0.06}.get(shape, -0.1)
    size = 0.25 if shape in ("cross", "star", "diamond") else 0.28
    gap = {"cross": 0.3, "star": 0.29, "diamond": 0.29, "triangle": 0.31}.get(shape, 0.36)
    for side in (-1, 1):
        pen.disc(x + side * gap * radius, y + drop * radius, size * radius, EYE)
        pen.disc(x + side * gap * radius, y + (drop + 0.04) * radius, size * 0.55 * radius, INK)


Extra = Callable[[Pen, float, float, float, random.Random], None]
"""Draws something of its own at x, y with a radius."""


def draw_subject(pen: Pen, subject: Subject, chance: random.Random) -> None:
    """One subject of a scene."""
    x, y, radius = locate(subject.size, subject.place, chance)
    fill = near(COLOURS[subject.colour], chance)
    draw_shape(pen, subject.shape, x, y, radius, chance.uniform(-TURN, TURN), fill)
    if subject.eyes:
        draw_eyes(pen, subject.shape, x, y, radius)


def draw_scene(scene: Scene, side: int, chance: random.Random, style: Style = FLAT) -> Image:
    """The picture of ``scene``, RGB, ``side`` px wide and high; the same for the same state of ``chance``."""
    first, second = near(COLOURS[scene.first], chance), near(COLOURS[scene.second], chance)
    if style.paper is not None:
        first = style.paper
    pen = Pen(side, first, style)
    draw_background(pen, scene.pattern, first, second, chance)
    for subject in scene.subjects:
        draw_subject(pen, subject, chance)
    return pen.picture()
