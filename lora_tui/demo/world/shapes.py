"""The outlines of the world's shapes in their own units: the middle is (0, 0), a circle's radius is 1."""

from __future__ import annotations

import math
from functools import cache

Point = tuple[float, float]
"""Right and down, in radii."""

RING_HOLE = 0.55
MOON_BITE = (0.45, -0.12, 0.8)
"""Where the disc that bites the moon lies, and its radius."""


@cache
def outline(shape: str) -> tuple[Point, ...]:
    """The corners of a shape; of a ring its outer edge (the hole is :data:`RING_HOLE`).

    Raises:
        KeyError: there is no such shape.
    """
    return tuple(_OUTLINES[shape]())


@cache
def extent(shape: str) -> tuple[float, float, float]:
    """Where the middle of a shape's bounding box lies (right, down), and half of the box's longer side, in radii."""
    across, down = zip(*outline(shape), strict=True)
    width, height = max(across) - min(across), max(down) - min(down)
    return (max(across) + min(across)) / 2, (max(down) + min(down)) / 2, max(width, height) / 2


def _round(turns: int = 72) -> list[float]:
    return [2 * math.pi * number / turns for number in range(turns)]


def _circle() -> list[Point]:
    return [(math.sin(angle), -math.cos(angle)) for angle in _round()]


def _square() -> list[Point]:
    return [(-0.82, -0.82), (0.82, -0.82), (0.82, 0.82), (-0.82, 0.82)]


def _triangle() -> list[Point]:
    return [(1.08 * math.sin(angle), 0.12 - 1.08 * math.cos(angle)) for angle in _round(3)]


def _star() -> list[Point]:
    reach = (1.12, 0.47)
    return [(reach[n % 2] * math.sin(angle), -reach[n % 2] * math.cos(angle)) for n, angle in enumerate(_round(10))]


def _heart() -> list[Point]:
    # The well-known curve 16 sin^3, 13 cos - 5 cos 2 - 2 cos 3 - cos 4, scaled to a radius of about 1.
    return [
        (
            1.02 * math.sin(t) ** 3,
            -(13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)) / 16 - 0.05,
        )
        for t in _round()
    ]


def _cross() -> list[Point]:
    arm = 0.33
    quarter = [(-arm, -1.0), (arm, -1.0), (arm, -arm)]
    corners: list[Point] = []
    for _turn in range(4):
        corners += quarter
        quarter = [(-y, x) for x, y in quarter]
    return corners


def _diamond() -> list[Point]:
    return [(0.0, -1.1), (0.72, 0.0), (0.0, 1.1), (-0.72, 0.0)]


def _moon() -> list[Point]:
    """The part of a disc outside the biting disc, walked along the outer and back along the inner edge."""
    right, down, radius = MOON_BITE
    distance = math.hypot(right, down)
    toward = math.atan2(down, right)
    outer = math.acos((1 + distance**2 - radius**2) / (2 * distance))
    inner = math.acos((distance**2 + radius**2 - 1) / (2 * distance * radius))
    steps = 48
    corners = []
    for number in range(steps + 1):
        angle = toward + outer + (2 * math.pi - 2 * outer) * number / steps
        corners.append((math.cos(angle), math.sin(angle)))
    for number in range(steps + 1):
        angle = toward - inner - (2 * math.pi - 2 * inner) * number / steps
        corners.append((right + radius * math.cos(angle), down + radius * math.sin(angle)))
    return corners


def _flower() -> list[Point]:
    """Five discs around the middle: their outer edge in polar form."""
    petal, away = 0.42, 0.62
    points = []
    for angle in _round(150):
        aside = (angle + math.pi / 5) % (2 * math.pi / 5) - math.pi / 5
        reach = away * math.cos(aside) + math.sqrt(petal**2 - (away * math.sin(aside)) ** 2)
        points.append((reach * math.sin(angle), -reach * math.cos(angle)))
    return points


_OUTLINES = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "heart": _heart,
    "cross": _cross,
    "diamond": _diamond,
    "ring": _circle,
    "moon": _moon,
    "flower": _flower,
}
