"""Labelled sheets: every picture where its names say, and the names in the margins."""

from __future__ import annotations

import pytest
from PIL import Image, ImageChops

from lora_tui.grids.sheet import GAP, LINE, MARGIN, PAPER, draw_sheet

COLOURS = [["red", "lime", "blue"], ["black", "cyan", "magenta"]]


def pictures(side: int = 40) -> list[list[Image.Image]]:
    return [[Image.new("RGB", (side, side), colour) for colour in row] for row in COLOURS]


def ink(sheet: Image.Image, box: tuple[int, int, int, int]) -> int:
    """Pixels of ``box`` that are not paper."""
    part = sheet.crop(box)
    return sum(ImageChops.difference(part, Image.new("RGB", part.size, PAPER)).convert("L").histogram()[1:])


def test_pictures_lie_in_their_cells() -> None:
    sheet = draw_sheet(pictures(), rows=["first", "second"], columns=["a", "b", "c"], title="what it is")
    top = LINE + GAP + LINE + GAP
    assert sheet.size == (MARGIN + 3 * 44, top + 2 * 44)
    for row, names in enumerate(COLOURS):
        for column, name in enumerate(names):
            left, upper = MARGIN + column * 44, top + row * 44
            cell = sheet.crop((left, upper, left + 40, upper + 40))
            assert cell.getcolors() == [(1600, Image.new("RGB", (1, 1), name).getpixel((0, 0)))]


def test_names_stand_in_the_margins() -> None:
    named = draw_sheet(pictures(), rows=["first", "second"], columns=["a", "b", "c"], title="what it is")
    assert ink(named, (0, 0, named.width, LINE)) > 20
    assert ink(named, (MARGIN, LINE + GAP, named.width, 2 * LINE + GAP)) > 10
    for row in range(2):
        top = 2 * (LINE + GAP) + row * 44
        assert ink(named, (0, top, MARGIN - GAP, top + LINE)) > 20
    bare = draw_sheet(pictures(), rows=["", ""], columns=["", "", ""])
    assert bare.size == (GAP + 3 * 44, GAP + 2 * 44)


def test_a_long_name_is_broken_and_never_runs_into_a_picture() -> None:
    name = "a large yellow heart in the center on a gray background with red ground " * 3
    sheet = draw_sheet(pictures(80), rows=[name, "x" * 200], columns=["y " * 80] * 3)
    assert sheet.getpixel((MARGIN + 40, sheet.height - 40)) == (0, 0, 0)
    assert ink(sheet, (0, LINE + 2 * GAP + 4 * LINE, MARGIN - GAP, LINE + 2 * GAP + 5 * LINE)) > 20


def test_names_that_do_not_match_are_an_error() -> None:
    for rows, columns in ((["a"], ["a", "b", "c"]), (["a", "b"], ["a", "b"])):
        with pytest.raises(ValueError, match="match"):
            draw_sheet(pictures(), rows=rows, columns=columns)
    with pytest.raises(ValueError, match="match"):
        draw_sheet([], rows=[], columns=[])
