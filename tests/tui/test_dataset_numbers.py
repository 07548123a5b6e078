"""A dataset in numbers in the app: bars that are true, and the images behind each."""

from __future__ import annotations

from pathlib import Path

import pytest
from tui.driving import running, screen_text, soon
from tui.projects import make_dataset

from lora_tui.tui.screens.dataset_numbers import Numbers
from lora_tui.tui.widgets.virtual_list import VirtualList


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
async def test_a_bar_that_is_chosen_shows_its_images(tmp_path: Path, size: tuple[int, int]) -> None:
    make_dataset(tmp_path, 9)  # a third each of 64 x 96, 96 x 64 and 80 x 80
    for number in range(4):
        caption = tmp_path / "4_hat" / f"{number:04d}.txt"
        caption.write_text("hatgirl, from side" if number else "hatgirl, from behind", encoding="utf-8")
    async with running(tmp_path, size=size, screen="dataset") as (app, pilot):
        await pilot.press("i")
        await soon(pilot, lambda: isinstance(app.screen, Numbers))
        rows = app.screen._rows  # type: ignore[attr-defined]
        by_label = {row.label: row for row in rows if row.images is not None}
        assert by_label["square"].number == 3 and len(by_label["square"].images) == 3
        assert by_label["4_hat, repeats 4"].number == 36 and len(by_label["4_hat, repeats 4"].images) == 9
        assert by_label["side"].number == 3 and by_label["back"].number == 1
        place = [row.label for row in rows].index("side")
        app.screen.query_one(VirtualList).cursor = place
        await pilot.press("enter")
        await soon(pilot, lambda: "3 of 9 images" in screen_text(app) and "view: side" in screen_text(app))
        await pilot.press("escape")
        await soon(pilot, lambda: "9 images" in screen_text(app) and "view: side" not in screen_text(app))
