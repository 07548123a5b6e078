"""Small projects for tests of the app."""

from __future__ import annotations

import random
from pathlib import Path

from PIL import Image, ImageDraw


def make_dataset(root: Path, images: int = 6, *, folder: str = "4_hat") -> Path:
    """A folder with ``images`` pictures, numbered, each with a caption; returns ``root``."""
    place = root / folder
    place.mkdir(parents=True, exist_ok=True)
    for number in range(images):
        size = ((64, 96), (96, 64), (80, 80))[number % 3]
        picture(size, number).save(place / f"{number:04d}.png")
        (place / f"{number:04d}.txt").write_text(f"hatgirl, hat, number {number}", encoding="utf-8")
    return root


def picture(size: tuple[int, int], number: int) -> Image.Image:
    """A picture with sharp edges that is like that of no other number."""
    chance = random.Random(number)
    image = Image.new("RGB", size, (40 * number % 256, 90, 200 - 20 * number % 200))
    draw = ImageDraw.Draw(image)
    for _place in range(12):
        left, top = chance.randrange(size[0]), chance.randrange(size[1])
        box = left, top, left + size[0] // 3, top + size[1] // 3
        draw.rectangle(box, fill=tuple(chance.choices((0, 80, 160, 255), k=3)))
    return image
