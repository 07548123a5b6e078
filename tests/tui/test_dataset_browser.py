"""The dataset screen as a browser: pictures side by side, filter, order, marks."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from tui.driving import forget_soon, running, screen_text, soon
from tui.projects import make_dataset
from tui.projects import picture as draw

from lora_tui.dataset.notes import change_notes
from lora_tui.tui.app import LoraTuiApp
from lora_tui.tui.caption_sets import CaptionSets
from lora_tui.tui.screens.dataset import DatasetScreen
from lora_tui.tui.widgets.image_view import ImageView
from lora_tui.tui.widgets.picture_grid import PictureGrid
from lora_tui.tui.widgets.virtual_list import VirtualList


def files(app: LoraTuiApp) -> VirtualList:
    return app.screen.query_one("#files", VirtualList)


def grid(app: LoraTuiApp) -> PictureGrid:
    return app.screen.query_one("#grid", PictureGrid)


def names(app: LoraTuiApp) -> list[str]:
    """What the list shows, in its order."""
    screen = app.screen
    return [screen.rows[number].name for number in screen.shown]  # type: ignore[attr-defined]


async def typed(pilot: object, text: str) -> None:
    keys = {" ": "space", ":": "colon", "-": "minus", "<": "less_than_sign", ">": "greater_than_sign", "(": "("}
    await pilot.press(*(keys.get(letter, letter) for letter in text))  # type: ignore[attr-defined]


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
async def test_pictures_side_by_side_in_several_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    async with running(make_dataset(tmp_path, 30), size=size, screen="dataset") as (app, pilot):
        await soon(pilot, lambda: files(app).count == 30)
        await pilot.press("down", "v")
        await soon(pilot, lambda: all(grid(app).is_drawn(index) for index in grid(app).on_screen))
        assert grid(app).cursor == 1 and "0001.png" in screen_text(app)
        columns = grid(app).shape[0]
        assert columns >= 2
        await pilot.press("down", "right")
        assert grid(app).cursor == columns + 2
        await soon(pilot, lambda: app.screen.query_one("#picture", ImageView).shown is not None)
        await pilot.press("minus")
        await soon(pilot, lambda: grid(app).shape[0] > columns)
        await pilot.press("plus", "plus")
        await soon(pilot, lambda: grid(app).shape[0] <= columns)
        cursor = grid(app).cursor
        await pilot.press("v")
        await soon(pilot, lambda: files(app).display and files(app).cursor == cursor)
        assert app.screen.focused is files(app)


async def test_only_pictures_on_screen_are_decoded(tmp_path: Path) -> None:
    async with running(make_dataset(tmp_path, 60), size=(80, 24), screen="dataset") as (app, pilot):
        await soon(pilot, lambda: files(app).count == 60)
        await pilot.press("v")
        await soon(pilot, lambda: all(grid(app).is_drawn(index) for index in grid(app).on_screen))
        assert not any(grid(app).is_drawn(index) for index in range(grid(app).on_screen.stop, 60))
        await pilot.press("end")
        await soon(pilot, lambda: grid(app).is_drawn(59))
        assert not grid(app).is_drawn(30)
        assert len(app.screen.query("*")) < 40  # no widget for an image


async def test_signs_below_the_pictures(tmp_path: Path) -> None:
    make_dataset(tmp_path, 4)
    change_notes(tmp_path / "4_hat", lambda notes: notes.excluding("0001.png").reviewing("0002.png"))
    async with running(tmp_path, size=(100, 30), screen="dataset") as (app, pilot):
        await soon(pilot, lambda: files(app).count == 4)
        assert "3 images" in screen_text(app) and "1 left out" in screen_text(app)
        await pilot.press("m", "v")
        await soon(pilot, lambda: "*! 0000.png" in screen_text(app))
        assert "- 0001.png" in screen_text(app)
        assert "!✓ 0002.png" in screen_text(app)


async def test_the_filter_of_the_tag_editor_finds_images_and_plain_words_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget_soon(monkeypatch)
    make_dataset(tmp_path, 12)
    (tmp_path / "4_hat" / "0003.txt").write_text("hatgirl, red scarf", encoding="utf-8")
    async with running(tmp_path, size=(120, 30), screen="dataset") as (app, pilot):
        await soon(pilot, lambda: files(app).count == 12)
        await pilot.press("slash")
        await typed(pilot, "hatgirl -hat")
        await soon(pilot, lambda: names(app) == ["0003.png"])
        await pilot.press("enter")
        await soon(pilot, lambda: app.screen.focused is files(app))
        assert "filter: hatgirl -hat" in screen_text(app)
        await pilot.press("escape")
        await soon(pilot, lambda: files(app).count == 12)
        await pilot.press("slash")
        await typed(pilot, "w<96 -0003")
        await pilot.press("enter")
        await soon(pilot, lambda: files(app).count == 8)  # 64 and 80 px wide
        await pilot.press("slash", "ctrl+u")
        await typed(pilot, "0003")
        await pilot.press("enter")
        await soon(pilot, lambda: names(app) == ["0003.png"])
        await pilot.press("x")
        await soon(pilot, lambda: "1 left out" in screen_text(app))
        await pilot.press("slash", "ctrl+u")
        await typed(pilot, "-is:excluded hat")
        await soon(pilot, lambda: "0003.png" not in names(app) and len(names(app)) == 11)


async def test_a_mistake_in_a_filter_is_told_with_its_place_and_the_list_stays(tmp_path: Path) -> None:
    async with running(make_dataset(tmp_path, 5), size=(100, 30), screen="dataset") as (app, pilot):
        await soon(pilot, lambda: files(app).count == 5)
        await pilot.press("slash")
        await typed(pilot, "hat tags>many")
        await pilot.press("enter")
        await soon(pilot, lambda: "^" in screen_text(app))
        assert files(app).count == 5
        await pilot.press("escape")
        await soon(pilot, lambda: app.screen.focused is files(app))


async def test_a_completion_is_a_tag_of_the_captions(tmp_path: Path) -> None:
    async with running(make_dataset(tmp_path, 5), size=(100, 30), screen="dataset") as (app, pilot):
        await soon(pilot, lambda: files(app).count == 5)
        await pilot.press("slash")
        await soon(pilot, lambda: app.screen.finding._sets is not None)  # type: ignore[attr-defined]
        await typed(pilot, "hatg")
        await pilot.press("tab", "enter")
        await soon(pilot, lambda: "filter: hatgirl" in screen_text(app))


async def test_sorting_by_facts_of_headers_captions_and_pixels(tmp_path: Path) -> None:
    make_dataset(tmp_path, 0)
    folder = tmp_path / "4_hat"
    for number, (size, words) in enumerate((((512, 600), "a, b, c"), ((900, 512), "a"), ((600, 600), "a, b"))):
        image = draw(size, number)
        if number == 0:
            image = image.resize((16, 16)).resize(size)
        image.save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text(words, encoding="utf-8")
        os.utime(folder / f"{number}.png", (1000 - number, 1000 - number))
    async with running(tmp_path, size=(100, 30), screen="dataset") as (app, pilot):
        await soon(pilot, lambda: files(app).count == 3)
        for words, wanted in (
            ("number of tags", ["1.png", "2.png", "0.png"]),
            ("tokens", ["1.png", "2.png", "0.png"]),
            ("width by", ["0.png", "2.png", "1.png"]),
            ("time of", ["2.png", "1.png", "0.png"]),
        ):
            await pilot.press("s")
            await typed(pilot, words)
            await pilot.press("enter")
            await soon(pilot, lambda wanted=wanted: names(app) == wanted)  # type: ignore[misc]
        await pilot.press("s")
        await typed(pilot, "sharp")
        await pilot.press("enter")
        await soon(pilot, lambda: names(app)[0] == "0.png" and "by sharpness" in screen_text(app))
        assert "sharpness" in screen_text(app).splitlines()[2]  # a column, with values that rise
        rows = [line.split("│")[0].split() for line in screen_text(app).splitlines()[3:6]]
        assert [int(row[row.index(f"{name}") + 1]) for row, name in zip(rows, names(app), strict=True)] == sorted(
            int(row[row.index(f"{name}") + 1]) for row, name in zip(rows, names(app), strict=True)
        )
        await pilot.press("S")
        await soon(pilot, lambda: names(app)[-1] == "0.png" and "backwards" in screen_text(app))


async def test_marks_single_range_all_inverted_and_none(tmp_path: Path) -> None:
    async with running(make_dataset(tmp_path, 8), size=(100, 30), screen="dataset") as (app, pilot):
        await soon(pilot, lambda: files(app).count == 8)
        await pilot.press("m", "down", "down", "V")
        await soon(pilot, lambda: "4 marked" in screen_text(app))
        await pilot.press("~")
        await soon(pilot, lambda: "4 marked" in screen_text(app) and "* ! 0007.png" in screen_text(app))
        await pilot.press("*")
        await soon(pilot, lambda: "8 marked" in screen_text(app))
        await pilot.press("M")
        await soon(pilot, lambda: "marked" not in screen_text(app))


async def test_captions_are_read_once_at_a_time_however_often_they_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_dataset(tmp_path, 3)
    going_on, most = 0, 0
    really, may_end = CaptionSets.open, threading.Event()

    def counted(*given: Any) -> CaptionSets:
        nonlocal going_on, most
        going_on += 1
        most = max(most, going_on)
        may_end.wait(10)
        found = really(*given)
        going_on -= 1
        return found

    monkeypatch.setattr(CaptionSets, "open", counted)
    async with running(tmp_path, screen="dataset", size=(100, 30)) as (app, pilot):
        for _time in range(3):
            await pilot.press("slash", "x", "escape")
        assert isinstance(app.screen, DatasetScreen)
        again = asyncio.ensure_future(app.screen.finding.captions(anew=True))
        await pilot.pause()
        may_end.set()
        sets = await again
        assert most == 1 and sets.completer is not None
        await pilot.press("slash", *"hatgirl")
        await soon(pilot, lambda: "filter: hatgirl" in screen_text(app) and len(app.screen.shown) == 3)


async def test_a_filter_that_was_left_is_not_applied_when_the_captions_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_dataset(tmp_path, 3)
    may_open, asked, may_end = threading.Event(), threading.Event(), threading.Event()
    really_open, really_select = CaptionSets.open, CaptionSets.select

    def opened(*given: Any) -> CaptionSets:
        may_open.wait(10)
        return really_open(*given)

    def selected(sets: CaptionSets, text: str, *given: Any) -> frozenset[str]:
        asked.set()
        may_end.wait(10)
        return really_select(sets, text)

    monkeypatch.setattr(CaptionSets, "open", opened)
    monkeypatch.setattr(CaptionSets, "select", selected)
    async with running(tmp_path, screen="dataset", size=(100, 30)) as (app, pilot):
        screen = app.screen
        assert isinstance(screen, DatasetScreen)
        await pilot.press("slash", *"0001")
        may_open.set()
        await soon(pilot, asked.is_set)
        await pilot.press("escape")
        may_end.set()
        await screen.finding.captions()
        await pilot.pause(0.3)
        assert screen.finding.text == "" and len(screen.shown) == 3


async def test_captions_are_read_once_for_several_filters_until_somebody_changes_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[CaptionSets] = []
    really = CaptionSets.open

    def counted(*args: Any) -> CaptionSets:
        opened.append(really(*args))
        return opened[-1]

    monkeypatch.setattr(CaptionSets, "open", counted)
    make_dataset(tmp_path, 12)
    async with running(tmp_path, size=(120, 30), screen="dataset") as (app, pilot):
        await soon(pilot, lambda: files(app).count == 12)
        await pilot.press("slash")
        await typed(pilot, "-hatgirl")
        await soon(pilot, lambda: bool(opened))
        await pilot.press("escape", "slash")
        await typed(pilot, "tags>99")
        await soon(pilot, lambda: files(app).count == 0)
        await pilot.press("escape")
        assert len(opened) == 1
        (tmp_path / "4_hat" / "new").write_text("hatgirl, unheard", encoding="utf-8")
        (tmp_path / "4_hat" / "new").replace(tmp_path / "4_hat" / "0003.txt")
        await pilot.press("slash")
        await typed(pilot, '"unheard"')
        await soon(pilot, lambda: names(app) == ["0003.png"])


async def test_the_line_of_the_filter_lies_over_the_list_and_moves_nothing(tmp_path: Path) -> None:
    async with running(make_dataset(tmp_path, 12), size=(80, 24), screen="dataset") as (app, pilot):
        await soon(pilot, lambda: files(app).count == 12)
        before = files(app).size, app.screen.query_one("#picture").size
        await pilot.press("slash", "h")
        await soon(pilot, lambda: "filter" in screen_text(app))
        await pilot.pause()
        assert (files(app).size, app.screen.query_one("#picture").size) == before


def test_a_caption_that_was_written_in_place_is_seen_at_the_next_look_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lora_tui.config.schema import Config, DatasetEntry

    make_dataset(tmp_path, 4)
    sets = CaptionSets.open(Config(datasets=[DatasetEntry(path=str(tmp_path))]), None)
    try:
        assert sets.are_current()
        (tmp_path / "4_hat" / "0002.txt").write_text("hatgirl, another", encoding="utf-8")
        monkeypatch.setattr("lora_tui.tui.caption_sets.LOOKED_SECONDS", 0.0)
        assert not sets.are_current()
    finally:
        sets.close()
