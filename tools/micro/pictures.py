"""Pictures for the image autoencoder and encoder: scenes in many styles, and soup, random parts in any colour."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor

from lora_tui.demo.world.draw import (
    FLAT,
    Pen,
    Style,
    draw_background,
    draw_eyes,
    draw_scene,
    draw_shape,
    near,
)
from lora_tui.demo.world.scene import COLOURS, FACELESS, PATTERNS, SHAPES, Colour, sample_scene

STYLES: dict[str, Style] = {
    "flat": FLAT,
    "outlined": Style(line=0.02),
    "hatched": Style(line=0.02, hatch=0.09, paper=(240, 230, 200)),
    "shaded": Style(shade=0.7),
}


def to_tensor(pictures: Sequence[Image]) -> Tensor:
    """Float pictures (n, 3, height, width), -1 to 1."""
    array = np.stack([np.asarray(picture.convert("RGB")) for picture in pictures])
    return torch.from_numpy(array).permute(0, 3, 1, 2).float() / 127.5 - 1


def to_arrays(pictures: Tensor) -> np.ndarray:
    """Pictures (n, height, width, 3), uint8, from :func:`to_tensor`'s range; what lies outside is clipped."""
    return ((pictures.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()


def any_colour(chance: random.Random) -> Colour:
    """Three times in ten one of the named colours, else any."""
    if chance.random() < 0.3:
        return near(chance.choice(list(COLOURS.values())), chance)
    return chance.randint(0, 255), chance.randint(0, 255), chance.randint(0, 255)


def soup(side: int, chance: random.Random) -> Image:
    """A picture of random parts, so that the autoencoder can show what the world has never seen."""
    style = chance.choice((FLAT, FLAT, *STYLES.values()))
    hatch = style.hatch and chance.uniform(0.06, 0.14)
    paper = style.paper and any_colour(chance)
    pen = Pen(side, any_colour(chance), Style(style.line, any_colour(chance), hatch, style.shade, paper))
    if chance.random() < 0.7:
        draw_background(pen, chance.choice(PATTERNS), any_colour(chance), any_colour(chance), chance)
    for _part in range(chance.randint(1, 7)):
        _draw_part(pen, chance)
    return pen.picture()


def _draw_part(pen: Pen, chance: random.Random) -> None:
    x, y = chance.uniform(0.06, 0.94), chance.uniform(0.06, 0.94)
    radius = chance.choice((chance.uniform(0.03, 0.12), chance.uniform(0.08, 0.35)))
    fill = any_colour(chance)
    kind = chance.random()
    if kind < 0.4:
        shape = chance.choice(SHAPES)
        draw_shape(pen, shape, x, y, radius, chance.uniform(-3, 3), fill)
        if chance.random() < 0.4 and shape not in FACELESS:
            draw_eyes(pen, shape, x, y, radius)
    elif kind < 0.65:
        pen.ellipse(x, y, radius, radius * chance.uniform(0.4, 1), fill)
        if chance.random() < 0.6:
            pen.disc(x, y, radius * 0.45, any_colour(chance))
            pen.disc(x, y, radius * 0.22, any_colour(chance))
    elif kind < 0.85:
        corners = [
            (x + chance.uniform(-1, 1) * radius, y + chance.uniform(-1, 1) * radius)
            for _corner in range(chance.choice((3, 3, 4)))
        ]
        pen.polygon(corners, fill)
    else:
        pen.stroke([(x, y), (chance.random(), chance.random())], chance.uniform(0.015, 0.08), fill)


def any_scene(side: int, chance: random.Random) -> Image:
    """A scene of the world in the flat style, seldom in another."""
    style = FLAT if chance.random() < 0.75 else chance.choice(list(STYLES.values()))
    return draw_scene(sample_scene(chance), side, chance, style)


def cut(picture: Image, side: int, chance: random.Random) -> Image:
    """A random square of ``side`` px."""
    left, top = chance.randint(0, picture.width - side), chance.randint(0, picture.height - side)
    return picture.crop((left, top, left + side, top + side))
