"""Sizes of prepared images: by laws, by numbers worked out by hand, and as the trainer makes its buckets."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lora_tui.config.schema import DataSection
from lora_tui.dataset.buckets import Box, Size, buckets_for, fit_image
from lora_tui.dataset.prepare.geometry import Fitted, crop_box, fit, is_small, parts_of
from lora_tui.dataset.prepare.options import Options

sides = st.integers(8, 6000)
sizes = st.sampled_from([256, 500, 512, 768, 1024])
everything = st.builds(
    Options,
    size=sizes,
    shape=st.sampled_from(["side", "square", "bucket"]),
    fit=st.sampled_from(["crop", "pad"]),
    small=st.sampled_from(["keep", "enlarge", "leave-out"]),
)


def fitted(width: int, height: int, **options: Any) -> Fitted:
    found = fit(Box(0, 0, width, height), Options(**options))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("width", "height", "options", "size", "kept"),
    [
        # 1080 becomes 512, so 1920 becomes 910.2, of which 896 = 14 x 64 stay: 896 * 1080 / 512 = 1890 px of the image
        (1920, 1080, {}, "896x512", (1890, 1080)),
        (1080, 1920, {}, "512x896", (1080, 1890)),
        (1024, 1536, {}, "512x768", (1024, 1536)),
        (1000, 1000, {"shape": "square"}, "512x512", (1000, 1000)),
        (2000, 1000, {"shape": "square"}, "512x512", (1000, 1000)),
        (2000, 1000, {"shape": "square", "size": 1024, "small": "enlarge"}, "1024x1024", (1000, 1000)),
        (300, 400, {}, "256x384", (400 * 2 / 3, 400)),  # the next lower multiples of 64, shrunk to cover them
        (300, 400, {"small": "enlarge"}, "512x640", (300, 375)),  # 400 * 512 / 300 = 682.7, so 640
        (300, 400, {"shape": "square"}, "256x256", (300, 300)),
        (2000, 1000, {"fit": "pad", "shape": "square"}, "512x512", (2000, 1000)),
        (1000, 1010, {"fit": "pad"}, "512x576", (1000, 1010)),  # 1010 * 0.512 = 517.1, the next multiple is 576
    ],
)
def test_sizes_worked_out_by_hand(
    width: int, height: int, options: dict[str, Any], size: str, kept: tuple[float, float]
) -> None:
    found = fitted(width, height, **options)
    assert str(found.size) == size
    assert found.kept == pytest.approx(kept)


def test_padding_puts_the_image_in_the_middle() -> None:
    found = fitted(2000, 1000, fit="pad", shape="square")
    assert (found.content, found.left, found.top) == (Size(512, 256), 0, 128)
    assert found.padded == 0.5
    small = fitted(300, 400, fit="pad", shape="square")
    assert (small.content, small.left, small.top) == (Size(300, 400), 106, 56), "not enlarged"
    assert fitted(300, 400, fit="pad", shape="square", small="enlarge").content == Size(384, 512)


@given(everything, sides, sides)
def test_a_place_has_the_size_that_was_asked_for(options: Options, width: int, height: int) -> None:
    part = Box(0, 0, width, height)
    found = fit(part, options)
    small = is_small(part, options)
    if found is None:
        assert small and options.small != "enlarge"
        return
    size = found.size
    if options.shape == "square" and (not small or options.fit == "pad" or options.small == "enlarge"):
        assert size == Size(options.size, options.size)
    elif options.shape == "side" and (not small or options.fit == "pad" or options.small == "enlarge"):
        assert options.size in (size.width, size.height)
        assert size.width % 64 == 0 or size.height % 64 == 0
    else:
        assert size.width % 64 == 0
        assert size.height % 64 == 0
    if options.shape == "bucket" and options.fit == "crop":
        assert size.width * size.height <= options.size**2


@given(everything, sides, sides)
def test_nothing_is_enlarged_unless_asked_and_nothing_distorted(options: Options, width: int, height: int) -> None:
    found = fit(Box(0, 0, width, height), options)
    assume(found is not None)
    assert found is not None
    if options.small != "enlarge":
        assert found.scale <= 1 + 1e-9
    assert found.kept[0] <= width
    assert found.kept[1] <= height
    across, down = found.content.width / found.kept[0], found.content.height / found.kept[1]
    if min(found.content.width, found.content.height) > 50:  # padding rounds to whole pixels
        assert across == pytest.approx(down, rel=0.02)
    assert 0 <= found.cut < 1
    assert 0 <= found.padded < 1
    assert (found.cut == pytest.approx(0)) or options.fit == "crop"
    assert found.left + found.content.width <= found.size.width
    assert found.top + found.content.height <= found.size.height


@given(everything, sides, sides, st.floats(-1e5, 1e5), st.floats(-1e5, 1e5))
def test_a_crop_lies_within_its_part_wherever_it_is_put(
    options: Options, width: int, height: int, left: float, top: float
) -> None:
    part = Box(7, 11, 7 + width, 11 + height)
    found = fit(part, options)
    assume(found is not None)
    assert found is not None
    for box in (crop_box(found), crop_box(found, left, top)):
        assert box[0] >= part.left - 1e-6
        assert box[1] >= part.top - 1e-6
        assert box[2] <= part.right + 1e-6
        assert box[3] <= part.bottom + 1e-6
        assert (box[2] - box[0], box[3] - box[1]) == pytest.approx(found.kept)


@given(st.sampled_from([256, 512, 768]), sides, sides)
def test_buckets_are_the_trainers_and_it_takes_the_result_untouched(size: int, width: int, height: int) -> None:
    data = DataSection(resolution=size, bucket_min=size // 2, bucket_max=size * 2, bucket_step=64)
    found = fit(Box(0, 0, width, height), Options(size=size, shape="bucket", small="enlarge"))
    assert found is not None
    assert found.size == fit_image(width, height, data, buckets_for(data)).bucket
    again = fit_image(found.size.width, found.size.height, data, buckets_for(data))
    assert again.resize == again.bucket == found.size


@given(sides, sides)
def test_small_images_in_their_own_size_are_those_of_a_trainer_that_does_not_enlarge(width: int, height: int) -> None:
    options = Options(shape="bucket")
    part = Box(0, 0, width, height)
    assume(is_small(part, options))
    found = fit(part, options)
    data = DataSection(resolution=512, bucket_min=256, bucket_max=1024, bucket_step=64, upscale=False)
    bucket = fit_image(width, height, data, ()).bucket
    if found is None:
        assert bucket.width > width or bucket.height > height
        return
    assert found.size == bucket
    again = fit_image(found.size.width, found.size.height, data, ())
    assert again.resize == again.bucket == found.size


@given(st.integers(20, 400), st.floats(1.2, 40), st.floats(0, 0.8), st.booleans())
def test_pieces_of_a_long_image_cover_it_and_overlap(short: int, ratio: float, overlap: float, tall: bool) -> None:
    long = math.ceil(short * ratio)
    whole = Box(0, 0, short, long) if tall else Box(0, 0, long, short)
    options = Options(split=1.2, overlap=overlap)
    parts = parts_of(whole, options)
    assume(len(parts) > 1)
    spans = [(part.top, part.bottom) if tall else (part.left, part.right) for part in parts]
    assert all(part.width == part.height == short for part in parts)
    assert spans[0][0] == 0
    assert spans[-1][1] == long
    for (_start, end), (start, _end) in pairwise(spans):
        assert end - start >= overlap * short - 1, "one pixel is lost to rounding at most"
    fewer = (long - short) / (len(parts) - 2) if len(parts) > 2 else math.inf
    assert fewer > short * (1 - overlap) - 1e-6, "no piece is more than needed"


def test_only_long_images_are_split() -> None:
    options = Options(split=2.0)
    assert len(parts_of(Box(0, 0, 199, 100), options)) == 1
    assert parts_of(Box(0, 0, 250, 100), replace(options, overlap=0.25)) == (
        Box(0, 0, 100, 100), Box(75, 0, 175, 100), Box(150, 0, 250, 100),
    )  # fmt: skip
    assert parts_of(Box(0, 0, 9000, 10), Options()) == (Box(0, 0, 9000, 10),)
