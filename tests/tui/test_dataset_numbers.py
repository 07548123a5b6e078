"""A dataset in numbers in the app: bars that are true, and the images behind each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from support import until
from tui.driving import running, screen_text, soon
from tui.projects import make_dataset

from lora_tui.config.schema import Config
from lora_tui.dataset import coverage
from lora_tui.dataset.scan import scan_folder
from lora_tui.tui.caption_sets import CaptionSets
from lora_tui.tui.screens import dataset_find, dataset_numbers
from lora_tui.tui.screens.dataset_numbers import Numbers, numbers_of
from lora_tui.tui.tags.editor import Editor
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
        assert by_label["side"].number == 3 and by_label["from behind"].number == 1
        place = [row.label for row in rows].index("side")
        app.screen.query_one(VirtualList).cursor = place
        await pilot.press("enter")
        await soon(pilot, lambda: "3 of 9 images" in screen_text(app) and "view: side" in screen_text(app))
        await pilot.press("escape")
        await soon(pilot, lambda: "9 images" in screen_text(app) and "view: side" not in screen_text(app))


def test_each_caption_is_read_once_for_all_kinds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_dataset(tmp_path, 12)
    sets = CaptionSets((Editor.open(root / "4_hat"),))
    images = scan_folder(root).images
    began: list[str] = []
    read = coverage._spoken

    def counted(caption: str, scores: Mapping[str, float]) -> tuple[str, str]:
        began.append(caption)
        return read(caption, scores)

    monkeypatch.setattr(coverage, "_spoken", counted)
    numbers_of(images, Config(), sets, "", lambda: False)
    assert len(began) == 12
    began.clear()
    numbers_of(images, Config(), sets, "", lambda: True)
    assert not began
    sets.close()


async def test_counting_is_told_and_can_be_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_dataset(tmp_path, 3)
    ended: list[bool] = []

    def endless(*args: Any) -> list[Any]:
        until(args[-1])
        ended.append(True)
        return []

    monkeypatch.setattr(dataset_numbers, "numbers_of", endless)
    monkeypatch.setattr(dataset_find, "sharpness_of", endless)
    async with running(tmp_path, size=(100, 30), screen="dataset") as (app, pilot):
        await pilot.press("i")
        await soon(pilot, lambda: "Counting." in screen_text(app))
        await pilot.press("escape")
        await soon(pilot, lambda: ended == [True])
        assert not isinstance(app.screen, Numbers) and "Stopped." in screen_text(app)
        finding = app.screen.finding  # type: ignore[attr-defined]
        finding._ordered("sharpness")
        await soon(pilot, lambda: "Measuring for the order." in screen_text(app))
        await pilot.press("escape")
        await soon(pilot, lambda: ended == [True, True])
        assert finding.order.name == "name"


def test_pictures_are_not_compared_for_a_filter_that_was_left(tmp_path: Path) -> None:
    root = make_dataset(tmp_path, 3)
    sets = CaptionSets((Editor.open(root / "4_hat"),))
    asked: list[bool] = []
    assert not sets.select("is:duplicate", lambda: not asked.append(True))
    assert asked
    assert sets.select("-is:duplicate") == {str(root / "4_hat" / f"000{number}.png") for number in range(3)}
    sets.close()
