"""What a picture of the world shows: subjects with shape, colour, size and place, before a background.

Lengths are shares of the picture's side: (0, 0) is the top left corner, (1, 1) the bottom right one.
"""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass

Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""

COLOURS: dict[str, Colour] = {
    "red": (220, 40, 40),
    "orange": (245, 140, 30),
    "yellow": (250, 220, 50),
    "green": (45, 165, 70),
    "blue": (40, 90, 220),
    "purple": (135, 60, 180),
    "pink": (250, 150, 195),
    "brown": (125, 80, 45),
    "black": (25, 25, 30),
    "white": (245, 245, 245),
    "gray": (135, 135, 140),
    "cyan": (70, 205, 220),
}
SHAPES = ("circle", "square", "triangle", "star", "heart", "cross", "diamond", "ring", "moon", "flower")
SIZES = {"small": (0.125, 0.156), "medium": (0.195, 0.234), "large": (0.297, 0.35)}
"""The least and the greatest radius of each size."""
PLACES = {
    "left": (0.25, 0.5),
    "right": (0.75, 0.5),
    "top": (0.5, 0.25),
    "bottom": (0.5, 0.75),
    "center": (0.5, 0.5),
    "top left": (0.27, 0.27),
    "top right": (0.73, 0.27),
    "bottom left": (0.27, 0.73),
    "bottom right": (0.73, 0.73),
}
PLACES_OF_LARGE = ("center", "left", "right", "top", "bottom")
LARGE_REACH = 0.42
"""Large subjects keep nearer to the middle by this factor, so that they stay inside the picture."""
PAIRS = (("left", "right"), ("top", "bottom"), ("top left", "bottom right"), ("top right", "bottom left"))
PATTERNS = ("plain", "striped", "dotted", "ground")
FACELESS = ("ring", "moon")
"""Shapes that have no room for eyes."""

PLACE_JITTER = 0.031
LEAST_CONTRAST = 75.0
"""Colours that lie nearer to each other in RGB are not put upon each other: nobody could see the edge."""


@dataclass(frozen=True)
class Subject:
    """One thing in a picture: words from :data:`SHAPES`, :data:`COLOURS`, :data:`SIZES` and :data:`PLACES`."""

    shape: str
    colour: str
    size: str
    place: str
    eyes: bool = False


@dataclass(frozen=True)
class Scene:
    """A background and one or two subjects; ``second`` is the colour of stripes, dots or ground."""

    pattern: str
    first: str
    second: str
    subjects: tuple[Subject, ...]

    @property
    def background(self) -> tuple[str, ...]:
        """The colours behind the subjects."""
        return (self.first,) if self.pattern == "plain" else (self.first, self.second)


def contrast(one: str, other: str) -> float:
    """The distance of two named colours in RGB."""
    return float(sum((a - b) ** 2 for a, b in zip(COLOURS[one], COLOURS[other], strict=True)) ** 0.5)


def apart(colours: tuple[str, ...]) -> list[str]:
    """The named colours that can be seen upon each of ``colours``."""
    return [name for name in COLOURS if all(contrast(name, other) >= LEAST_CONTRAST for other in colours)]


def sample_background(chance: random.Random) -> tuple[str, str, str]:
    """A pattern and its two colours; the patterned ones are rarer than the plain one."""
    pattern = chance.choices(PATTERNS, (0.55, 0.15, 0.14, 0.16))[0]
    first = chance.choice(list(COLOURS))
    return pattern, first, chance.choice(apart((first,)))


def sample_place(chance: random.Random, size: str) -> str:
    """A place in which a subject of this size stays inside the picture."""
    return chance.choice(PLACES_OF_LARGE if size == "large" else tuple(PLACES))


def sample_scene(chance: random.Random) -> Scene:
    """A scene of the world: one subject in six of ten, else two at opposite places."""
    pattern, first, second = sample_background(chance)
    behind = (first,) if pattern == "plain" else (first, second)
    if chance.random() < 0.62:
        size = chance.choices(tuple(SIZES), (0.27, 0.35, 0.38))[0]
        where = [(size, sample_place(chance, size))]
    else:
        pair = list(chance.choice(PAIRS))
        chance.shuffle(pair)
        where = [(chance.choice(("small", "medium")), place) for place in pair]
    subjects = []
    for size, place in where:
        shape, colour = chance.choice(SHAPES), chance.choice(apart(behind))
        eyes = chance.random() < 0.3 and size != "small" and shape not in FACELESS
        subjects.append(Subject(shape, colour, size, place, eyes))
    return Scene(pattern, first, second, tuple(subjects))


def examination(count: int, chance: random.Random) -> list[Scene]:
    """``count`` scenes whose every attribute a judge can measure: one subject without eyes on a plain background.

    Each shape comes up equally often.
    """
    scenes: list[Scene] = []
    for shape in itertools.islice(itertools.cycle(SHAPES), count):
        first = chance.choice(list(COLOURS))
        size = chance.choice(tuple(SIZES))
        subject = Subject(shape, chance.choice(apart((first,))), size, sample_place(chance, size))
        scenes.append(Scene("plain", first, first, (subject,)))
    return scenes
