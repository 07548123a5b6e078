"""The mimbu: every pose and mood differs, stays on the page and shows its parts at the size the model draws."""

from __future__ import annotations

import itertools

import pytest
from PIL import Image, ImageChops

from lora_tui.demo.creature import FOOT, HORN, LIME, MOODS, POSES, Look, draw_creature
from lora_tui.demo.world.draw import Pen, locate
from lora_tui.demo.world.scene import COLOURS, PLACES, Colour

GROUND = COLOURS["blue"]


def drawn(look: Look, size: str = "large", place: str = "center", side: int = 128) -> Image.Image:
    pen = Pen(side, GROUND)
    draw_creature(pen, look, *locate(size, place))
    return pen.picture()


def share(picture: Image.Image, colour: Colour) -> float:
    """The share of pixels that are near to ``colour``."""
    data = picture.tobytes()
    pixels = zip(data[::3], data[1::3], data[2::3], strict=True)
    near = sum(1 for pixel in pixels if max(abs(a - b) for a, b in zip(pixel, colour, strict=True)) < 12)
    return near / (picture.width * picture.height)


def test_poses_and_moods_differ_where_a_person_looks() -> None:
    looks = [Look(pose, mood) for pose in POSES for mood in (MOODS if pose != "sleeping" else MOODS[:1])]
    pictures = [drawn(look) for look in looks]
    for (one, a), (other, b) in itertools.combinations(zip(looks, pictures, strict=True), 2):
        changed = ImageChops.difference(a, b).convert("L").point(lambda value: 255 * (value > 40))
        assert changed.histogram()[255] > 50, (one, other)


@pytest.mark.parametrize("pose", POSES)
def test_all_of_it_is_there_at_128_px(pose: str) -> None:
    picture = drawn(Look(pose))
    assert share(picture, LIME) > 0.04
    assert share(picture, HORN) > 0.008
    assert share(picture, FOOT) > 0.006


@pytest.mark.parametrize("size", ["small", "medium", "large"])
def test_it_stays_on_the_page(size: str) -> None:
    for place, pose in itertools.product(PLACES, POSES):
        if size == "large" and " " in place:
            continue  # the world has large subjects near the middle only
        picture = drawn(Look(pose, wears="hat"), size, place, 64)
        edge = ImageChops.difference(picture, Image.new("RGB", picture.size, GROUND)).convert("L")
        border = [edge.crop(box) for box in ((0, 0, 64, 1), (0, 63, 64, 64), (0, 0, 1, 64), (63, 0, 64, 64))]
        cut = sum(sum(strip.point(lambda value: value > 40).histogram()[1:]) for strip in border)
        assert cut <= 12, (pose, place)


def test_it_is_of_no_colour_of_the_world() -> None:
    for name, colour in COLOURS.items():
        assert sum((a - b) ** 2 for a, b in zip(LIME, colour, strict=True)) ** 0.5 > 75, name


def test_what_it_wears_has_its_colour() -> None:
    for colour in ("red", "white"):
        with_hat, without = drawn(Look(wears="hat", colour=colour)), drawn(Look())
        assert share(with_hat, COLOURS[colour]) > share(without, COLOURS[colour]) + 0.01
