"""Creatures that nobody has seen before: random parts in a fixed arrangement, to be drawn again and again."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import ImageFilter
from PIL.Image import Image

from lora_tui.demo.world.draw import INK, Pen, Style, draw_background, draw_shape, locate, near
from lora_tui.demo.world.scene import COLOURS, PATTERNS, PLACES, PLACES_OF_LARGE, SHAPES, Colour
from tools.micro.pictures import any_colour


@dataclass(frozen=True)
class Part:
    """An ellipse or a polygon in radii of the creature."""

    points: tuple[tuple[float, float], ...]
    fill: Colour


@dataclass(frozen=True)
class Creature:
    """What stays the same in each picture of it: a body, and parts behind and before it."""

    parts: tuple[Part, ...]
    shape: str
    fill: Colour


def ellipse(x: float, y: float, across: float, down: float) -> tuple[tuple[float, float], ...]:
    """The corners of an ellipse."""
    turns = [2 * math.pi * number / 28 for number in range(28)]
    return tuple((x + across * math.cos(turn), y + down * math.sin(turn)) for turn in turns)


def any_creature(chance: random.Random) -> Creature:
    """A body with some of: horns or ears, feet, arms, one to three eyes, a mouth, a belly. One in three is bare."""
    fill = any_colour(chance)
    if chance.random() < 0.34:
        return Creature((), chance.choice(SHAPES), fill)
    parts = []
    if chance.random() < 0.7:
        parts += _pair(chance, (0.3, 0.6), (-1.0, -0.7), any_colour(chance))
    if chance.random() < 0.6:
        parts += _pair(chance, (0.25, 0.5), (0.75, 0.95), any_colour(chance))
    if chance.random() < 0.4:
        parts += _pair(chance, (0.8, 1.0), (-0.1, 0.4), any_colour(chance))
    parts.append(Part(ellipse(0, 0.1, chance.uniform(0.6, 0.9), chance.uniform(0.6, 0.9)), fill))
    if chance.random() < 0.4:
        parts.append(Part(ellipse(0, 0.4, chance.uniform(0.3, 0.5), chance.uniform(0.25, 0.4)), any_colour(chance)))
    eyes, size = chance.choice((1, 2, 2, 3)), chance.uniform(0.14, 0.34)
    for number in range(eyes):
        x = (number - (eyes - 1) / 2) * 2.2 * size
        parts.append(Part(ellipse(x, -0.15, size, size), (250, 250, 250)))
        parts.append(Part(ellipse(x, -0.12, size * 0.5, size * 0.5), INK))
    if chance.random() < 0.6:
        parts.append(Part(ellipse(0, 0.5, chance.uniform(0.15, 0.35), 0.09), any_colour(chance)))
    return Creature(tuple(parts), "", fill)


def _pair(chance: random.Random, aside: Sequence[float], below: Sequence[float], fill: Colour) -> list[Part]:
    """The same part on the left and on the right: round or pointed."""
    x, y = chance.uniform(*aside), chance.uniform(*below)
    across, down = chance.uniform(0.12, 0.28), chance.uniform(0.15, 0.4)
    if chance.random() < 0.5:
        right = ellipse(x, y, across, down)
    else:
        right = ((x - across, y + down), (x + across * 0.8, y - down), (x + across, y + down))
    return [Part(tuple((side * a, b) for a, b in right), fill) for side in (-1, 1)]


def any_style(chance: random.Random) -> Style:
    """Lines, hatching, shading and paper, each or none."""
    line = chance.choice((0.0, 0.0, chance.uniform(0.008, 0.035)))
    hatch = chance.uniform(0.03, 0.08) if chance.random() < 0.35 else 0.0
    shade = chance.uniform(0.4, 0.9) if chance.random() < 0.3 else 0.0
    paper = any_colour(chance) if chance.random() < 0.35 else None
    return Style(line, any_colour(chance) if chance.random() < 0.5 else INK, hatch, shade, paper)


def draw_creature(creature: Creature, style: Style, side: int, chance: random.Random) -> Image:
    """A picture of the creature somewhere, in some size, turned and mirrored a little, before some background."""
    size = chance.choice(("medium", "large", "large"))
    place = chance.choice(PLACES_OF_LARGE if size == "large" else tuple(PLACES))
    x, y, radius = locate(size, place, chance)
    named = chance.random() < 0.7
    colours = [
        near(chance.choice(list(COLOURS.values())), chance) if named else any_colour(chance) for _colour in range(2)
    ]
    pen = Pen(side, colours[0], style)
    draw_background(pen, chance.choice(PATTERNS), style.paper or colours[0], colours[1], chance)
    turn, mirror, stretch = chance.uniform(-0.3, 0.3), chance.choice((-1, 1)), chance.uniform(0.9, 1.1)
    if not creature.parts:
        draw_shape(pen, creature.shape, x, y, radius, turn, near(creature.fill, chance))
    for part in creature.parts:
        points = []
        for across, down in part.points:
            right, below = mirror * across * stretch, down / stretch
            points.append(
                (
                    x + radius * (right * math.cos(turn) - below * math.sin(turn)),
                    y + radius * (right * math.sin(turn) + below * math.cos(turn)),
                )
            )
        if style.hatch or style.shade:
            pen.masked(points, None, near(part.fill, chance))
        else:
            pen.polygon(points, near(part.fill, chance))
    picture = pen.picture()
    return picture.filter(ImageFilter.GaussianBlur(chance.uniform(0.3, 0.9))) if chance.random() < 0.4 else picture
