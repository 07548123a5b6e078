"""Buckets follow sd-scripts' rule, re-derived here by other means, and a fit never leaves the image."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_tui.config.schema import DataSection
from lora_tui.dataset.buckets import Size, buckets_for, fit_image, make_buckets

STEPS = st.sampled_from([8, 16, 32, 64, 128])
RESOLUTIONS = st.integers(64, 2048)
SIDES = st.one_of(st.integers(1, 300), st.integers(1, 20_000))


@st.composite
def data_sections(draw: st.DrawFn) -> DataSection:
    low = draw(st.integers(64, 1024))
    return DataSection(
        resolution=draw(RESOLUTIONS),
        buckets=draw(st.booleans()),
        bucket_min=low,
        bucket_max=draw(st.integers(low, 4096)),
        bucket_step=draw(STEPS),
        upscale=draw(st.booleans()),
    )


def multiples(low: int, high: int, step: int) -> list[int]:
    return [side for side in range(low, high + 1) if side % step == 0]


@given(RESOLUTIONS, st.integers(64, 1024), st.integers(64, 4096), STEPS)
def test_buckets_are_the_tallest_for_each_width_and_their_mirrors(
    resolution: int, minimum: int, maximum: int, step: int
) -> None:
    """For each width, among all heights on the step, the largest whose area fits; then the mirror; then the square.

    The limits are those of sd-scripts' ``adjust_min_max_bucket_reso_by_steps``: 250 and 1030 are 192 and 1088 in steps
    of 64.
    """
    sides = multiples(max(math.floor(minimum / step) * step, step), math.ceil(maximum / step) * step, step)
    expected = set()
    for width in sides:
        heights = [height for height in sides if width * height <= resolution**2]
        if heights:
            expected |= {(width, max(heights)), (max(heights), width)}
    squares = [side for side in sides if side <= resolution]
    if squares and max(squares) == resolution - resolution % step:
        expected.add((max(squares), max(squares)))
    found = make_buckets(resolution, minimum, maximum, step)
    if expected:
        assert [(size.width, size.height) for size in found] == sorted(expected)
    else:
        assert found == (Size(max(resolution - resolution % 8, 8), max(resolution - resolution % 8, 8)),)


def test_limits_off_the_step_are_taken_as_sd_scripts_takes_them() -> None:
    assert make_buckets(512, 250, 1030, 64) == make_buckets(512, 192, 1088, 64)
    assert Size(192, 1088) in make_buckets(512, 250, 1030, 64)


def test_the_usual_buckets_of_512() -> None:
    half = ["256x1024", "320x768", "384x640", "448x576"]
    sizes = {str(size) for size in make_buckets(512, 256, 1024, 64)}
    assert sizes >= {*half, "512x512", "576x448", "640x384", "768x320", "1024x256"}
    assert all(size.width * size.height <= 512 * 512 for size in make_buckets(512, 256, 1024, 64))


@given(SIDES, SIDES, data_sections())
def test_a_fit_covers_its_bucket_and_never_leaves_the_image(width: int, height: int, data: DataSection) -> None:
    fit = fit_image(width, height, data, buckets_for(data))
    assert fit.bucket.width >= 8 and fit.bucket.height >= 8
    assert fit.bucket.width % 8 == 0 and fit.bucket.height % 8 == 0
    assert 0 <= fit.crop_left <= fit.resize.width - fit.bucket.width
    assert 0 <= fit.crop_top <= fit.resize.height - fit.bucket.height
    assert abs(fit.resize.width - fit.bucket.width - 2 * fit.crop_left) <= 1
    assert abs(fit.resize.height - fit.bucket.height - 2 * fit.crop_top) <= 1


@given(st.integers(1, 20_000), st.integers(1, 20_000), data_sections())
def test_with_enlarging_the_nearest_ratio_wins_and_nothing_is_cut_on_one_axis(
    width: int, height: int, data: DataSection
) -> None:
    data.upscale = True
    buckets = buckets_for(data)
    fit = fit_image(width, height, data, buckets)
    assert fit.bucket in buckets
    if Size(width, height) in buckets:
        assert fit == fit.__class__(Size(width, height), Size(width, height), 0, 0)
        return

    def error(size: Size) -> Fraction:
        return abs(Fraction(size.width, size.height) - Fraction(width, height))

    nearest = min(error(size) for size in buckets)
    assert float(error(fit.bucket) - nearest) < 1e-9
    assert fit.resize.width == fit.bucket.width or fit.resize.height == fit.bucket.height
    scale = max(Fraction(fit.bucket.width, width), Fraction(fit.bucket.height, height))
    assert abs(fit.resize.width - width * scale) <= Fraction(501, 1000)
    assert abs(fit.resize.height - height * scale) <= Fraction(501, 1000)


def expected_without_upscale(width: int, height: int, resolution: int, step: int) -> tuple[Size, Size] | None:
    """Bucket and size after scaling by the rule for images that are never enlarged; none where it has no answer."""
    if width * height <= resolution**2:
        scaled = (width, height)
    else:
        ratio = width / height
        ideal_width = math.sqrt(resolution**2 * ratio)
        ideal_height = resolution**2 / ideal_width

        def on_step(value: float) -> int:
            return math.floor(math.floor(value + 0.5) / step) * step

        wide = on_step(ideal_width)
        tall = on_step(ideal_height)
        if not wide or not tall or not on_step(wide / ratio) or not on_step(tall * ratio):
            return None
        wide_error = abs(wide / on_step(wide / ratio) - ratio)
        tall_error = abs(on_step(tall * ratio) / tall - ratio)
        if wide_error < tall_error:
            scaled = (wide, math.floor(wide / ratio + 0.5))
        else:
            scaled = (math.floor(tall * ratio + 0.5), tall)
    bucket = Size(scaled[0] // step * step, scaled[1] // step * step)
    return (bucket, Size(*scaled)) if bucket.width and bucket.height else None


@given(st.integers(1, 8000), st.integers(1, 8000), RESOLUTIONS, STEPS)
def test_without_enlarging_the_bucket_is_the_image_rounded_down(
    width: int, height: int, resolution: int, step: int
) -> None:
    data = DataSection(resolution=resolution, bucket_step=step, upscale=False)
    fit = fit_image(width, height, data, buckets_for(data))
    expected = expected_without_upscale(width, height, resolution, step)
    if expected is not None:
        assert (fit.bucket, fit.resize) == expected
    if min(width, height) >= step and expected is not None:
        assert fit.resize.width <= width and fit.resize.height <= height


@pytest.mark.parametrize("size", [(10, 10), (10, 2000), (2000, 10), (1, 1), (60_000, 1)])
def test_even_a_sliver_gets_a_bucket_of_bounded_area(size: tuple[int, int]) -> None:
    data = DataSection(resolution=512, upscale=False)
    fit = fit_image(*size, data, buckets_for(data))
    assert fit.bucket.width * fit.bucket.height <= 512 * 512
    assert fit.bucket.width % 64 == 0 and fit.bucket.height % 64 == 0


def test_without_buckets_every_image_becomes_the_square() -> None:
    data = DataSection(resolution=500, buckets=False)
    fit = fit_image(1000, 600, data, buckets_for(data))
    assert fit.bucket == Size(496, 496)
    assert fit.resize == Size(827, 496)
    assert (fit.crop_left, fit.crop_top) == (165, 0)


def test_a_resolution_below_the_smallest_side_still_trains() -> None:
    assert make_buckets(64, 256, 1024, 64) == (Size(64, 64),)
