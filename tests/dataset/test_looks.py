"""Looks of images: keyed, within their bounds, in the colours that the standard library computes."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
from config_samples import config_with, image, plan_of, scan_of
from PIL import Image

from lora_tui.dataset.batches import DataPlan, Item
from lora_tui.dataset.looks import Colour, coloured


def plan(*, cached: bool, **data: object) -> DataPlan:
    """Of one image of 1000 x 600 that is cut to a square, and none held out."""
    config = config_with(data={"buckets": False, **data}, memory={"cache_latents": cached}, validation={"mode": "off"})
    return plan_of(config, scan_of(image(0, width=1000, height=600)))


def test_a_random_crop_lies_anywhere_within_the_image_and_is_keyed() -> None:
    live = plan(cached=False, random_crop=True)
    looks = [live.look(epoch, Item(0, 0)) for epoch in range(300)]
    assert looks == [live.look(epoch, Item(0, 0)) for epoch in range(300)]
    spare = live.train[0].fit.resize.width - 512
    lefts = [look.fit.crop_left for look in looks]
    assert min(lefts) < spare * 0.05 and max(lefts) > spare * 0.95 and max(lefts) <= spare
    assert {look.fit.crop_top for look in looks} == {0}
    assert live.looks(live.train[0]) == plan(cached=True).looks(live.train[0])  # plain, where none can be listed


def test_kept_looks_are_those_that_are_shown() -> None:
    kept = plan(cached=True, random_crop=True, brightness=0.2, flip=True, looks=3)
    listed = kept.looks(kept.train[0])
    assert len(set(listed)) == 6
    assert {kept.look(epoch, Item(0, 0)) for epoch in range(200)} == set(listed)


def test_nothing_varies_unless_asked_for() -> None:
    plain = plan(cached=False)
    assert {plain.look(epoch, Item(0, 0)) for epoch in range(5)} == {plain.looks(plain.train[0])[0]}
    assert plain.looks(plain.train[0])[0].colour is None


def test_what_is_held_out_has_one_plain_look() -> None:
    config = config_with(data={"flip": True, "hue": 9.0}, validation={"mode": "on", "share": 0.5})
    held = plan_of(config, scan_of(*(image(number) for number in range(4))))
    assert [len(held.looks(one)) for one in held.validation] == [1, 1]
    assert held.looks(held.validation[0])[0].colour is None
    assert [len(held.looks(one)) for one in held.train] == [8, 8]


def test_colours_stay_within_their_bounds() -> None:
    live = plan(cached=False, brightness=0.2, hue=30.0, gamma=0.5)
    colours = [look.colour for epoch in range(400) if (look := live.look(epoch, Item(0, 0)))]
    for name, low, high in (("brightness", 0.8, 1.2), ("hue", -30, 30), ("gamma", 1 / 1.5, 1.5)):
        drawn = [getattr(colour, name) for colour in colours]
        assert low <= min(drawn) < low + (high - low) * 0.05
        assert high >= max(drawn) > high - (high - low) * 0.05


@pytest.mark.parametrize("colour", [Colour(hue=40), Colour(hue=-90), Colour(brightness=1.3, gamma=0.7), Colour()])
def test_colours_are_those_of_the_standard_library(colour: Colour) -> None:
    rng = np.random.default_rng(1)
    pixels = rng.integers(20, 236, (6, 6, 3), dtype=np.uint8)
    found = np.asarray(coloured(Image.fromarray(pixels), colour), dtype=float) / 255
    for before, after in zip(pixels.reshape(-1, 3) / 255, found.reshape(-1, 3), strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*before)
        turned = np.array(colorsys.hsv_to_rgb((hue + colour.hue / 360) % 1, saturation, value))
        expected = np.minimum(turned * colour.brightness, 1) ** colour.gamma
        assert np.abs(after - expected).max() < 0.04  # HSV of 8 bits
    assert coloured(Image.fromarray(pixels), None).tobytes() == pixels.tobytes()
