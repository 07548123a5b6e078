"""Pictures as characters keep their shape and colours within what the terminal has."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lora_tui.drawing.picture import CELL_RATIO, RAMP, SIXTEEN, UPPER_HALF, Depth, Picture, Style, draw, fit_cells

sides = st.integers(1, 5000)
cells = st.integers(1, 300)


@given(sides, sides, cells, cells)
def test_a_picture_fits_and_touches_a_side(width: int, height: int, columns: int, rows: int) -> None:
    wide, high = fit_cells(width, height, columns, rows)
    assert 1 <= wide <= columns
    assert 1 <= high <= rows
    assert wide == columns or high == rows


@given(st.integers(100, 3000), st.integers(100, 3000))
def test_a_picture_keeps_its_shape(width: int, height: int) -> None:
    wide, high = fit_cells(width, height, 300, 300)
    if min(wide, high) >= 20:
        assert wide / (high * CELL_RATIO) == pytest.approx(width / height, rel=0.06)


def test_nothing_fits_into_nothing() -> None:
    assert fit_cells(10, 10, 0, 5) == (0, 0)
    assert fit_cells(0, 10, 5, 5) == (0, 0)


def test_a_small_image_is_enlarged_only_when_wanted() -> None:
    assert fit_cells(10, 10, 80, 40) == (80, 40)
    assert fit_cells(10, 10, 80, 40, enlarge=False) == (10, 5)


def pixels_of(picture: Picture) -> list[list[tuple[int, int, int]]]:
    """The pixel rows that half cells show."""
    rows: list[list[tuple[int, int, int]]] = []
    for runs in picture.rows:
        upper: list[tuple[int, int, int]] = []
        lower: list[tuple[int, int, int]] = []
        for run in runs:
            assert run.back is not None
            upper += [run.front if run.text[0] == UPPER_HALF else run.back] * len(run.text)
            lower += [run.back] * len(run.text)
        rows += [upper, lower]
    return rows


def test_half_cells_show_every_pixel() -> None:
    colours = [(x * 40, y * 60, 255 - x * 20) for y in range(4) for x in range(6)]
    image = Image.new("RGB", (6, 4))
    image.putdata(colours)
    picture = draw(image, 6, 2)
    assert [colour for row in pixels_of(picture) for colour in row] == colours


def test_equal_neighbours_become_one_run_and_plain_cells_become_spaces() -> None:
    picture = draw(Image.new("RGB", (40, 40), (10, 20, 30)), 20, 10)
    assert all(len(row) == 1 for row in picture.rows)
    assert picture.rows[0][0].text == " " * 20


@pytest.mark.parametrize(("depth", "colours"), [("16", 16), ("256", 240)])
def test_fewer_colours_are_those_of_the_terminal(depth: Depth, colours: int) -> None:
    image = Image.linear_gradient("L").convert("RGB").resize((64, 64))
    used = {colour for row in pixels_of(draw(image, 32, 16, depth=depth)) for colour in row}
    assert 1 < len(used) <= colours
    if depth == "16":
        assert used <= set(SIXTEEN)
    else:
        levels = {0, 95, 135, 175, 215, 255}
        assert all(set(colour) <= levels or colour[0] == colour[1] == colour[2] for colour in used)


def test_sixteen_colours_keep_the_brightness_of_a_gradient() -> None:
    image = Image.linear_gradient("L").convert("RGB")
    rows = pixels_of(draw(image, 64, 32, depth="16"))
    brightness = [sum(sum(colour) for colour in row) / (3 * len(row)) for row in rows]
    eighth = len(brightness) // 8
    means = [sum(brightness[i * eighth : (i + 1) * eighth]) / eighth for i in range(8)]
    assert means == sorted(means)
    assert means[0] < 40
    assert means[-1] > 215


@pytest.mark.parametrize("style", ["half", "ascii"])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (33, 5)])
def test_every_row_has_the_asked_width(style: Style, size: tuple[int, int]) -> None:
    columns, rows = size
    picture = draw(Image.effect_noise((50, 50), 90).convert("RGB"), columns, rows, style=style)
    assert len(picture.rows) == rows
    assert all(sum(len(run.text) for run in row) == columns for row in picture.rows)


def test_ascii_ink_follows_brightness_and_the_ground() -> None:
    image = Image.linear_gradient("L").rotate(90).convert("RGB")
    dark = "".join(run.text for run in draw(image, 60, 1, style="ascii").rows[0])
    light = "".join(run.text for run in draw(image, 60, 1, style="ascii", dark=False).rows[0])
    assert dark.isascii()
    ink = [RAMP.index(character) for character in dark]
    assert ink == sorted(ink)
    assert ink[-1] - ink[0] > len(RAMP) // 2
    reverse = [RAMP.index(character) for character in light]
    assert reverse == sorted(reverse, reverse=True)
