"""Small projects for tests of the app."""

from __future__ import annotations

from pathlib import Path

from PIL import Image


def make_dataset(root: Path, images: int = 6, *, folder: str = "4_hat") -> Path:
    """A folder with ``images`` pictures, numbered, each with a caption; returns ``root``."""
    place = root / folder
    place.mkdir(parents=True, exist_ok=True)
    for number in range(images):
        size = ((64, 96), (96, 64), (80, 80))[number % 3]
        Image.new("RGB", size, (40 * number % 256, 90, 200 - 20 * number % 200)).save(place / f"{number:04d}.png")
        (place / f"{number:04d}.txt").write_text(f"hatgirl, hat, number {number}", encoding="utf-8")
    return root
