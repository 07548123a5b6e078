"""The mimbu, a small invented creature with one eye, drawn with the world's pen so that it belongs to the world.

Its own coordinates: the middle is (0, 0), right and down are positive, all of it lies within about 1 of the middle, as
the world's shapes do.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from lora_tui.demo.world.draw import EYE, INK, Pen
from lora_tui.demo.world.scene import COLOURS, Colour

LIME: Colour = (150, 214, 36)
"""The body: no named colour of the world."""
SHADE: Colour = (116, 180, 24)
"""Arms and eyelid."""
BELLY: Colour = (236, 246, 178)
HORN: Colour = (140, 64, 190)
FOOT: Colour = (246, 132, 28)
MOUTH: Colour = (120, 24, 44)

POSES = ("standing", "jumping", "waving", "sitting", "leaning", "sleeping")
MOODS = ("smile", "happy", "surprised")
TURNS = {"leaning": 0.3}
"""Radians by which a pose turns the whole creature clockwise."""
LOW = ("sitting", "sleeping")
"""Poses on the ground, with the feet in front."""
Point = tuple[float, float]


@dataclass(frozen=True)
class Look:
    """How the creature is drawn.

    Attributes:
        pose: one of :data:`POSES`.
        mood: one of :data:`MOODS`; who sleeps has the eye closed whatever the mood.
        wears: ``hat``, ``scarf`` or nothing.
        colour: of what is worn, a key of the world's colours.
    """

    pose: str = "standing"
    mood: str = "smile"
    wears: str = ""
    colour: str = "red"


def draw_creature(pen: Pen, look: Look, x: float, y: float, radius: float, turn: float = 0.0) -> None:
    """The creature around (x, y), shares of the picture's side, turned by ``turn`` radians clockwise."""
    body = _Body(pen, x, y, radius, turn + TURNS.get(look.pose, 0.0))
    low = 0.14 if look.pose in LOW else 0.0
    _horns(body, low)
    if look.pose not in LOW:
        _feet(body, look.pose)
    _arms(body, look.pose, low)
    body.egg(0, 0.12 + low, 0.72, 0.74 - low / 2, LIME)
    body.oval(0, 0.62 + low / 3, 0.44, 0.22, BELLY)
    if look.pose in LOW:
        _feet(body, look.pose)
    _face(body, look, low)
    _worn(body, look, low)


class _Body:
    """Draws in the creature's coordinates."""

    def __init__(self, pen: Pen, x: float, y: float, radius: float, turn: float) -> None:
        self._pen = pen
        self._x, self._y, self._radius = x, y, radius
        self._across, self._along = math.cos(turn), math.sin(turn)

    def shape(self, points: Iterable[Point], fill: Colour) -> None:
        self._pen.polygon([self._at(*point) for point in points], fill)

    def oval(self, x: float, y: float, across: float, down: float, fill: Colour, turn: float = 0.0) -> None:
        """An ellipse of the half axes ``across`` and ``down``, turned clockwise about its middle."""
        cos, sin = math.cos(turn), math.sin(turn)
        edge = [(across * math.cos(angle), down * math.sin(angle)) for angle in _round()]
        self.shape([(x + a * cos - b * sin, y + a * sin + b * cos) for a, b in edge], fill)

    def egg(self, x: float, y: float, across: float, down: float, fill: Colour) -> None:
        """An ellipse that is wider below."""
        edge = [(math.cos(angle), math.sin(angle)) for angle in _round()]
        self.shape([(x + a * across * (0.94 + 0.09 * b), y + b * down) for a, b in edge], fill)

    def stroke(self, points: Iterable[Point], width: float, fill: Colour) -> None:
        """A line with round ends."""
        corners = [self._at(*point) for point in points]
        self._pen.stroke(corners, width * self._radius, fill)
        for corner in (corners[0], corners[-1]):
            self._pen.disc(*corner, width * self._radius / 2, fill)

    def _at(self, x: float, y: float) -> Point:
        return (
            self._x + (x * self._across - y * self._along) * self._radius,
            self._y + (x * self._along + y * self._across) * self._radius,
        )


def _round(turns: int = 48) -> list[float]:
    return [2 * math.pi * number / turns for number in range(turns)]


def _horns(body: _Body, low: float) -> None:
    for side in (-1, 1):
        points = [(0.2, -0.44), (0.34, -0.66), (0.46, -0.86), (0.66, -1.02), (0.7, -0.78), (0.66, -0.52), (0.52, -0.22)]
        body.shape([(side * x, y + low) for x, y in points], HORN)


def _feet(body: _Body, pose: str) -> None:
    for side in (-1, 1):
        match pose:
            case "sitting" | "sleeping":
                body.oval(side * 0.5, 0.86, 0.27, 0.21, FOOT, side * -0.3)
            case "jumping":
                body.oval(side * 0.52, 0.84, 0.26, 0.15, FOOT, side * -0.75)
            case _:
                body.oval(side * 0.36, 0.88, 0.29, 0.15, FOOT)


def _arms(body: _Body, pose: str, low: float) -> None:
    raised = {"jumping": (True, True), "waving": (False, True)}.get(pose, (False, False))
    for up, side in zip(raised, (-1, 1), strict=True):
        if up:
            body.oval(side * 0.84, -0.14 + low, 0.15, 0.34, SHADE, side * 0.5)
        else:
            body.oval(side * 0.76, 0.36 + low, 0.15, 0.3, SHADE, side * -0.45)


def _face(body: _Body, look: Look, low: float) -> None:
    eye = -0.2 + low
    if look.pose == "sleeping":
        body.oval(0, eye, 0.38, 0.38, SHADE)
        body.stroke(_arc(0, eye - 0.06, 0.27, 0.2), 0.1, INK)
    else:
        body.oval(0, eye, 0.4, 0.4, EYE)
        body.oval(0.02, eye + 0.03, 0.2, 0.22, INK)
        body.oval(0.09, eye - 0.07, 0.075, 0.075, EYE)
    if look.pose == "sleeping" or look.mood == "surprised":
        body.oval(0, 0.36 + low, 0.1, 0.1, MOUTH)
    elif look.mood == "happy":
        body.shape([(-0.27, 0.25 + low), (0.27, 0.25 + low), *_arc(0, 0.25 + low, 0.27, 0.27)], MOUTH)
    else:
        body.stroke(_arc(0, 0.25 + low, 0.23, 0.15), 0.1, MOUTH)


def _arc(x: float, y: float, across: float, down: float) -> list[Point]:
    """The lower half of an ellipse, from right to left."""
    return [(x + across * math.cos(angle), y + down * math.sin(angle)) for angle in _round(48)[:25]]


def _worn(body: _Body, look: Look, low: float) -> None:
    colour = COLOURS[look.colour]
    if look.wears == "hat":
        body.shape([(-0.34, -0.5 + low), (0.34, -0.5 + low), (0.0, -1.12 + low)], colour)
        body.oval(0, -0.5 + low, 0.42, 0.1, colour)
    elif look.wears == "scarf":
        body.shape([(-0.72, 0.46 + low), (0.72, 0.46 + low), (0.66, 0.66 + low), (-0.66, 0.66 + low)], colour)
        body.shape([(0.22, 0.5 + low), (0.5, 0.5 + low), (0.56, 0.92), (0.26, 0.92)], colour)
