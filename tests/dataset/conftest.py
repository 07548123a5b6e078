"""Builders of small real image files for the tests of datasets; caches go into a folder of the test."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

MakeImage = Callable[..., Path]


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORA_TUI_HOME", str(tmp_path_factory.mktemp("home")))


def picture(width: int = 64, height: int = 48, seed: int = 0) -> Image.Image:
    """A picture of coloured shapes that depends on ``seed`` only."""
    draw_from = random.Random(seed)

    def colour() -> tuple[int, int, int]:
        return draw_from.randrange(256), draw_from.randrange(256), draw_from.randrange(256)

    image = Image.new("RGB", (width, height), colour())
    draw = ImageDraw.Draw(image)
    for _ in range(12):
        left, top = draw_from.randrange(width), draw_from.randrange(height)
        right, bottom = left + draw_from.randrange(1, width), top + draw_from.randrange(1, height)
        if draw_from.random() < 0.5:
            draw.ellipse((left, top, right, bottom), fill=colour())
        else:
            draw.rectangle((left, top, right, bottom), fill=colour())
    return image


@pytest.fixture
def make_image(tmp_path: Path) -> MakeImage:
    """Write a picture below the test's folder: ``make_image("a/b.png", 64, 48, seed=1, caption="x")``."""

    def make(
        name: str, width: int = 64, height: int = 48, *, seed: int = 0, caption: str | None = None, **save: Any
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(width, height, seed).save(path, **save)
        if caption is not None:
            path.with_suffix(".txt").write_text(caption, encoding="utf-8")
        return path

    return make


@pytest.fixture
def draw() -> Callable[..., Image.Image]:
    """:func:`picture`, for tests that save it themselves."""
    return picture
