"""Choosing a part of an image: boxes stay within it, shapes are exact, and what is told of a cut is what is done."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_tui.dataset import cropping
from lora_tui.dataset.buckets import Box, Size, fit_image, make_buckets
from lora_tui.dataset.cropping import LEAST, RATIOS, Ratio

IMAGE = Size(1000, 600)
sides = st.integers(1, 6000)


@st.composite
def boxes(draw: st.DrawFn) -> tuple[Box, Size]:
    image = Size(draw(sides), draw(sides))
    left, top = draw(st.integers(0, image.width - 1)), draw(st.integers(0, image.height - 1))
    right, bottom = draw(st.integers(left + 1, image.width)), draw(st.integers(top + 1, image.height))
    return Box(left, top, right, bottom), image


def inside(box: Box, image: Size) -> bool:
    return 0 <= box.left < box.right <= image.width and 0 <= box.top < box.bottom <= image.height


@given(boxes(), st.integers(-9000, 9000), st.integers(-9000, 9000), st.sampled_from([None, *RATIOS, (19, 13)]))
def test_whatever_is_done_the_box_stays_in_its_image_and_keeps_its_shape(
    given_box: tuple[Box, Size], one: int, other: int, ratio: Ratio | None
) -> None:
    box, image = given_box
    assert cropping.move(box, image, one, other).size == box.size
    assert inside(cropping.move(box, image, one, other), image)
    assert inside(cropping.centre(box, image), image)
    for found in (cropping.stretch(box, image, one, other, ratio), cropping.grow(box, image, one, ratio)):
        assert inside(found, image)
        if ratio is not None and image.width >= ratio[0] and image.height >= ratio[1]:
            assert cropping.ratio_of(found.size) == ratio
    if ratio is not None:
        assert inside(cropping.shape(box, image, ratio), image)


def test_a_box_moves_and_stops_at_the_edges() -> None:
    box = Box(100, 100, 300, 200)
    assert cropping.move(box, IMAGE, 8, -1) == Box(108, 99, 308, 199)
    assert cropping.move(box, IMAGE, -500, 900) == Box(0, 500, 200, 600)


def test_the_right_and_lower_edges_move_and_the_others_give_way_at_the_end() -> None:
    assert cropping.stretch(Box(100, 100, 300, 200), IMAGE, 10, -20) == Box(100, 100, 310, 180)
    assert cropping.stretch(Box(800, 0, 1000, 100), IMAGE, 50, 0) == Box(750, 0, 1000, 100)
    assert cropping.stretch(Box(0, 0, 20, 20), IMAGE, -50, -50).size == Size(LEAST, LEAST)


def test_a_shape_is_the_largest_of_the_whole_and_of_a_part_as_large_as_before() -> None:
    assert cropping.shape(cropping.whole(IMAGE), IMAGE, (1, 1)) == Box(200, 0, 800, 600)
    assert cropping.shape(Box(400, 200, 600, 250), IMAGE, (1, 1)) == Box(450, 175, 550, 275)


def test_with_a_shape_a_step_changes_both_sides_and_never_nothing() -> None:
    box = cropping.shape(Box(400, 200, 600, 300), IMAGE, (2, 3))
    wider, larger = cropping.stretch(box, IMAGE, 1, 0, (2, 3)), cropping.grow(box, IMAGE, 1, (2, 3))
    assert wider.size == larger.size == Size(box.width + 2, box.height + 3)
    assert (wider.left, wider.top) == (box.left, box.top)
    assert abs(cropping.middle(larger)[0] - cropping.middle(box)[0]) <= 1
    assert cropping.grow(larger, IMAGE, -1, (2, 3)).size == box.size


def test_the_size_of_a_bucket_once_twice_and_once_again() -> None:
    one = cropping.times(cropping.whole(IMAGE), IMAGE, Size(256, 256))
    assert one == (Box(372, 172, 628, 428), 1)
    two = cropping.times(one[0], IMAGE, Size(256, 256))
    assert two == (Box(244, 44, 756, 556), 2)
    assert cropping.times(two[0], IMAGE, Size(256, 256)) == one
    assert cropping.times(one[0], IMAGE, Size(1024, 64)) is None


@pytest.mark.parametrize("text", ["10,20,30x40", "10,20,30,40", " 10, 20, 30 × 40 "])
def test_numbers_are_read_as_they_are_written(text: str) -> None:
    box = Box(10, 20, 40, 60)
    assert cropping.parse(text) == box == cropping.parse(cropping.written(box))
    assert cropping.lies_in(box, Size(40, 60)) and not cropping.lies_in(box, Size(39, 60))


@pytest.mark.parametrize("text", ["", "10,20", "10,20,0x5", "-1,0,5x5", "a,b,cxd"])
def test_what_is_no_part_is_none(text: str) -> None:
    assert cropping.parse(text) is None


def test_what_a_fit_cuts_away_is_told_in_px_of_the_image() -> None:
    from lora_tui.config.schema import DataSection

    data = DataSection(resolution=512)
    buckets = make_buckets(512, 256, 1024, 64)
    exact = cropping.cut_of(Box(0, 0, 1024, 1024), fit_image(1024, 1024, data, buckets))
    assert (exact.scale, exact.across, exact.down, exact.share) == (0.5, 0, 0, 0)
    wide = cropping.cut_of(Box(0, 0, 1100, 1024), fit_image(1100, 1024, data, buckets))
    assert wide.across == 76 and wide.down == 0 and round(wide.share, 2) == 0.07
    small = cropping.cut_of(Box(0, 0, 256, 256), fit_image(256, 256, data, buckets))
    assert small.scale == 2
