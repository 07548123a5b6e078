"""A crop keeps the subject where it is plain what that is, and lies in the middle where nothing stands out."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFilter

from lora_tui.dataset.prepare.subject import Face, best_place


def scene(width: int, height: int, at: tuple[int, int], size: int, seed: int = 0, noise: int = 12) -> Image.Image:
    """A red disc with eyes on a soft, slightly noisy ground."""
    chance = random.Random(seed)
    ground = Image.new("RGB", (8, 8))
    ground.putdata([tuple(90 + chance.randrange(40) for _channel in range(3)) for _pixel in range(64)])
    picture = ground.resize((width, height), Image.Resampling.BICUBIC)
    grain = Image.effect_noise((width, height), noise).convert("RGB")
    picture = Image.blend(picture, grain, 0.15)
    draw = ImageDraw.Draw(picture)
    x, y = at
    draw.ellipse((x - size, y - size, x + size, y + size), fill=(200, 40, 50))
    draw.ellipse((x - size // 2, y - size // 3, x - size // 4, y), fill="white")
    draw.ellipse((x + size // 4, y - size // 3, x + size // 2, y), fill="white")
    return picture.filter(ImageFilter.GaussianBlur(1))


@pytest.mark.parametrize("middle", [70, 180, 300, 420, 530])
@pytest.mark.parametrize("upright", [False, True])
def test_a_crop_holds_the_subject_wherever_it_is(middle: int, upright: bool) -> None:
    size, at = ((300, 600), (150, middle)) if upright else ((600, 300), (middle, 150))
    place = best_place(scene(*size, at, 60), (300, 300))
    start = place[1] if upright else place[0]
    assert place[0 if upright else 1] == 0
    assert start <= middle - 60
    assert middle + 60 <= start + 300
    assert abs(start + 150 - middle) <= 75 or start in (0, 300), "as much in the middle as the picture allows"


def test_a_flat_picture_is_cut_in_the_middle() -> None:
    assert best_place(Image.new("RGB", (400, 200), (9, 99, 9)), (200, 200)) == (100, 0)
    assert best_place(Image.new("RGB", (200, 400)), (150, 100)) == (25, 150)


def test_what_is_transparent_is_no_subject() -> None:
    picture = scene(600, 300, (480, 150), 60)
    alpha = Image.new("L", (600, 300))
    ImageDraw.Draw(alpha).ellipse((40, 90, 160, 210), fill=255)
    left, _top = best_place(picture, (300, 300), alpha=alpha)
    assert left <= 40


def test_a_face_outweighs_everything_else() -> None:
    picture = scene(600, 300, (100, 150), 60)
    face = Face(500, 100, 560, 170, 0.9)
    left, _top = best_place(picture, (300, 300), faces=[face])
    assert left <= 500 < 560 <= left + 300
    crowd = [Face(20, 20, 60, 60, 0.6), Face(420, 60, 560, 220, 0.9)]
    left, _top = best_place(picture, (300, 300), faces=crowd)
    assert left <= 420 < 560 <= left + 300, "the larger and more certain of two that do not both fit"


@given(st.integers(1, 300), st.integers(1, 300), st.floats(0.01, 1), st.floats(0.01, 1), st.integers(0, 3))
def test_a_crop_never_leaves_the_picture(width: int, height: int, across: float, down: float, seed: int) -> None:
    chance = random.Random(seed)
    picture = Image.new("RGB", (6, 6))
    picture.putdata([tuple(chance.randrange(256) for _channel in range(3)) for _pixel in range(36)])
    kept = max(width * across, 0.5), max(height * down, 0.5)
    faces = [Face(chance.uniform(-50, 400), chance.uniform(-50, 400), 300, 300)] if seed else []
    left, top = best_place(picture.resize((width, height)), (min(kept[0], width), min(kept[1], height)), faces=faces)
    assert -1e-6 <= left <= width - min(kept[0], width) + 1e-6
    assert -1e-6 <= top <= height - min(kept[1], height) + 1e-6


def test_the_same_picture_gives_the_same_place() -> None:
    picture = scene(500, 200, (333, 90), 40, seed=5)
    assert best_place(picture, (200, 200)) == best_place(picture.copy(), (200, 200))


@pytest.mark.parametrize(
    ("name", "part", "kept", "wanted"),
    [
        ("astronaut", (0, 0, 512, 256), 256, (185, 265)),  # her face
        ("camera", (0, 0, 512, 256), 256, (150, 290)),  # his head
        ("coffee", (0, 0, 600, 200), 200, (240, 400)),  # the cup, or what the crop can hold of it
        ("rocket", (0, 100, 640, 320), 220, (315, 330)),  # the rocket
    ],
)
def test_the_subject_of_photographs_is_kept(
    name: str, part: tuple[int, int, int, int], kept: int, wanted: tuple[int, int]
) -> None:
    import skimage.data

    picture = Image.fromarray(getattr(skimage.data, name)()).convert("RGB").crop(part)
    left, _top = best_place(picture, (kept, kept))
    assert left <= wanted[0] + 5
    assert left + kept >= wanted[1] - 5
