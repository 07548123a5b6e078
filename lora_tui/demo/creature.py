"""Draws the mimbu, a small invented creature, in a pose, a mood and an outfit, on a transparent layer.

All coordinates are in units of the creature's own square: (0, 0) top left, (1, 1) bottom right, feet near 0.95.
Needs Pillow, inside its functions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

Colour = tuple[int, int, int]
Box = tuple[float, float, float, float]

FUR: Colour = (52, 158, 152)
FUR_DARK: Colour = (34, 112, 112)
BELLY: Colour = (246, 232, 196)
EAR: Colour = (240, 150, 160)
FOOT: Colour = (236, 132, 52)
BULB: Colour = (252, 208, 64)
INK: Colour = (30, 32, 44)
WHITE: Colour = (255, 255, 255)
CLOTH: dict[str, Colour] = {
    "red scarf": (206, 48, 56),
    "blue scarf": (56, 92, 208),
    "purple hat": (128, 72, 176),
    "straw hat": (226, 188, 96),
}
OUTLINE = 0.012
"""Width of outlines."""


@dataclass(frozen=True)
class Look:
    """How the creature is drawn.

    Attributes:
        pose: ``standing``, ``sitting``, ``waving``, ``jumping``, ``walking`` or ``sleeping``.
        mood: ``smile``, ``open mouth``, ``surprised``, ``wink`` or ``closed eyes``.
        outfit: a key of :data:`CLOTH`, or empty.
    """

    pose: str
    mood: str
    outfit: str = ""


class _Pen:
    """Drawing in the creature's units on a square layer of ``side`` pixels."""

    def __init__(self, side: int) -> None:
        from PIL import Image, ImageDraw

        self.side = side
        self.layer = Image.new("RGBA", (side, side), (0, 0, 0, 0))
        self._draw = ImageDraw.Draw(self.layer)
        self._line = max(round(OUTLINE * side), 1)

    def oval(self, box: Box, fill: Colour, outline: Colour | None = INK) -> None:
        self._draw.ellipse(self._scaled(box), fill=fill, outline=outline, width=self._line)

    def shape(self, points: Sequence[tuple[float, float]], fill: Colour, outline: Colour | None = INK) -> None:
        scaled = [(x * self.side, y * self.side) for x, y in points]
        self._draw.polygon(scaled, fill=fill, outline=outline, width=self._line)

    def line(self, points: Sequence[tuple[float, float]], fill: Colour = INK, width: float = 0.014) -> None:
        scaled = [(x * self.side, y * self.side) for x, y in points]
        self._draw.line(scaled, fill=fill, width=max(round(width * self.side), 1), joint="curve")

    def arc(self, box: Box, start: float, end: float, width: float = 0.014) -> None:
        self._draw.arc(self._scaled(box), start, end, fill=INK, width=max(round(width * self.side), 1))

    def box(self, box: Box, fill: Colour, radius: float = 0.02) -> None:
        self._draw.rounded_rectangle(self._scaled(box), radius * self.side, fill=fill, outline=INK, width=self._line)

    def turned_oval(self, box: Box, degrees: float, fill: Colour) -> None:
        """An oval turned about its own middle."""
        from PIL import Image, ImageDraw

        left, top, right, bottom = self._scaled(box)
        half = math.ceil(math.hypot(right - left, bottom - top) / 2) + 1
        layer = Image.new("RGBA", (2 * half, 2 * half), (0, 0, 0, 0))
        across, down = (right - left) / 2, (bottom - top) / 2
        oval = (half - across, half - down, half + across, half + down)
        ImageDraw.Draw(layer).ellipse(oval, fill=fill, outline=INK, width=self._line)
        place = (round((left + right) / 2) - half, round((top + bottom) / 2) - half)
        self.layer.alpha_composite(layer.rotate(degrees, resample=Image.Resampling.BICUBIC), place)

    def _scaled(self, box: Box) -> tuple[float, float, float, float]:
        return box[0] * self.side, box[1] * self.side, box[2] * self.side, box[3] * self.side


def draw_creature(look: Look, side: int) -> Image:
    """The creature on a transparent square of ``side`` pixels."""
    from PIL import Image

    pen = _Pen(side)
    low = 0.05 if look.pose == "sitting" else 0.0
    _tail(pen, low)
    _ears(pen, low)
    _feet(pen, look.pose)
    pen.oval((0.25, 0.3 + low, 0.75, 0.9), FUR)
    pen.oval((0.35, 0.55 + low, 0.65, 0.87), BELLY, None)
    _arms(pen, look.pose, low)
    _face(pen, look.mood, low)
    _outfit(pen, look.outfit, low)
    if look.pose == "sleeping":
        return pen.layer.rotate(-80, resample=Image.Resampling.BICUBIC, translate=(0, round(side * 0.12)))
    return pen.layer.rotate(-7, resample=Image.Resampling.BICUBIC) if look.pose == "walking" else pen.layer


def _tail(pen: _Pen, low: float) -> None:
    for number in range(5):
        x, y = 0.72 + number * 0.042, 0.74 + low - number * 0.05
        pen.oval((x - 0.055, y - 0.055, x + 0.055, y + 0.055), FUR_DARK if number % 2 else FUR)


def _ears(pen: _Pen, low: float) -> None:
    for left, turn in ((0.17, -28.0), (0.69, 28.0)):
        pen.turned_oval((left, 0.14 + low, left + 0.14, 0.5 + low), turn, FUR)
        pen.turned_oval((left + 0.04, 0.2 + low, left + 0.1, 0.44 + low), turn, EAR)
    pen.line([(0.5, 0.34 + low), (0.49, 0.22 + low), (0.53, 0.14 + low)], FUR_DARK, 0.022)
    pen.oval((0.48, 0.06 + low, 0.58, 0.16 + low), BULB)


def _feet(pen: _Pen, pose: str) -> None:
    spread = {"sitting": 0.09, "walking": 0.08, "jumping": 0.03}.get(pose, 0.05)
    lift = 0.05 if pose == "walking" else 0.0
    drop = 0.04 if pose == "jumping" else 0.0
    for middle, up in ((0.42 - spread, lift), (0.58 + spread, 0.0)):
        pen.oval((middle - 0.09, 0.84 + drop - up, middle + 0.09, 0.95 + drop - up), FOOT)


def _arms(pen: _Pen, pose: str, low: float) -> None:
    up = {"jumping": (True, True), "waving": (False, True)}.get(pose, (False, False))
    for raised, left in zip(up, (0.2, 0.7), strict=True):
        turn = -35.0 if left < 0.5 else 35.0
        if raised:
            pen.turned_oval((left, 0.4 + low, left + 0.1, 0.64 + low), -turn, FUR)
        else:
            pen.turned_oval((left, 0.58 + low, left + 0.1, 0.8 + low), turn, FUR)


def _face(pen: _Pen, mood: str, low: float) -> None:
    for index, x in enumerate((0.4, 0.6)):
        y = 0.45 + low
        if mood == "closed eyes" or (mood == "wink" and index):
            pen.arc((x - 0.05, y - 0.04, x + 0.05, y + 0.04), 0, 180, 0.02)
            continue
        size = 0.068 if mood == "surprised" else 0.056
        pen.oval((x - size, y - size, x + size, y + size), WHITE)
        pen.oval((x - 0.026, y - 0.03, x + 0.026, y + 0.03), INK, None)
        pen.oval((x - 0.018, y - 0.024, x - 0.002, y - 0.008), WHITE, None)
    for x in (0.31, 0.69):
        pen.oval((x - 0.03, 0.52 + low, x + 0.03, 0.56 + low), EAR, None)
    y = 0.55 + low
    if mood in ("open mouth", "surprised"):
        half = 0.025 if mood == "surprised" else 0.045
        pen.oval((0.5 - half, y - 0.02, 0.5 + half, y + 0.05), (150, 40, 60))
    else:
        pen.arc((0.44, y - 0.05, 0.56, y + 0.03), 20, 160, 0.018)


def _outfit(pen: _Pen, outfit: str, low: float) -> None:
    colour = CLOTH.get(outfit)
    if colour is None:
        return
    if outfit.endswith("scarf"):
        pen.box((0.3, 0.6 + low, 0.7, 0.67 + low), colour, 0.035)
        pen.shape([(0.36, 0.65 + low), (0.45, 0.65 + low), (0.43, 0.8 + low), (0.33, 0.79 + low)], colour)
        return
    pen.oval((0.28, 0.27 + low, 0.72, 0.37 + low), colour)
    if outfit == "purple hat":
        pen.shape([(0.37, 0.32 + low), (0.63, 0.32 + low), (0.52, 0.04 + low)], colour)
    else:
        pen.box((0.38, 0.2 + low, 0.62, 0.33 + low), colour, 0.04)
