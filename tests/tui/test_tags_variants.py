"""The tag editor with several captions an image: other endings, other lines, copying between them."""

from __future__ import annotations

from pathlib import Path

import pytest
from tui.driving import running, screen_text, soon
from tui.projects import make_dataset
from tui.test_tags import ready, tags, type_in


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make_dataset(tmp_path, 3)
    place = tmp_path / "4_hat"
    (place / "0000.caption").write_text("A girl wears a red hat in a park.")
    (place / "0001.caption").write_text("A girl wears a blue hat in a park.")
    return tmp_path


def captions(root: Path, ending: str) -> list[str | None]:
    stems = [path.with_suffix("") for path in sorted((root / "4_hat").glob("*.png"))]
    files = [stem.parent / (stem.name + ending) for stem in stems]
    return [file.read_text() if file.exists() else None for file in files]


async def test_captions_of_another_ending_are_edited_with_the_same_preview_journal_and_undo(root: Path) -> None:
    before, prose = captions(root, ".txt"), captions(root, ".caption")
    async with running(root, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app) and "[.txt] .caption" in screen_text(app))
        await pilot.press("m", "m", "e")
        await soon(pilot, lambda: "[.caption]" in screen_text(app) or "union of 2 marked" in screen_text(app))
        await soon(pilot, lambda: "marked 2 in .caption" in screen_text(app))
        await pilot.press("colon")
        await type_in(pilot, "phrase rename park to garden")
        await pilot.press("enter")
        await soon(pilot, lambda: tags(app).edits.pending is not None)
        assert captions(root, ".caption") == prose
        await pilot.press("enter")
        changed = [text and text.replace("park", "garden") for text in prose]
        await soon(pilot, lambda: captions(root, ".caption") == changed)
        assert captions(root, ".txt") == before
        await pilot.press("e")
        await soon(pilot, lambda: "marked 2 " in screen_text(app) and "in .caption" not in screen_text(app))
        await pilot.press("u")
        await soon(pilot, lambda: captions(root, ".caption") == prose)
        await soon(pilot, lambda: "undone in 2 files (.caption)" in screen_text(app))


async def test_captions_are_copied_from_another_ending_where_there_is_none(root: Path) -> None:
    prose = captions(root, ".caption")
    async with running(root, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app) and "[.txt] .caption" in screen_text(app))
        await pilot.press("e")
        await soon(pilot, lambda: ready(app) and "[.caption]" in screen_text(app))
        await pilot.press("s", "space", "y")
        await soon(pilot, lambda: "Copy from .txt into all 3 in .caption" in screen_text(app))
        await pilot.press("enter")
        await soon(pilot, lambda: tags(app).edits.pending is not None)
        assert "1 image " in screen_text(app)
        await pilot.press("enter")
        await soon(pilot, lambda: captions(root, ".caption") == [*prose[:2], "hatgirl, hat, number 2"])


async def test_lines_of_captions_are_edited_one_by_one(root: Path) -> None:
    (root / "4_hat" / "0000.txt").write_text("hatgirl, hat\nA girl.\n")
    async with running(root, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app) and "[.txt 1/2]" in screen_text(app))
        await pilot.press("E")
        await soon(pilot, lambda: ready(app) and "[.txt 2/2]" in screen_text(app))
        assert tags(app).panes.tags == ["A girl."]
        await pilot.press("colon")
        await type_in(pilot, "set other")
        await pilot.press("enter")
        await soon(pilot, lambda: captions(root, ".txt")[0] == "hatgirl, hat\nother\n")
        await pilot.press("E")
        await soon(pilot, lambda: tags(app).panes.tags == ["hatgirl", "hat", "other"])
        await pilot.press("E")
        await soon(pilot, lambda: tags(app).panes.tags == ["hatgirl", "hat"])


async def test_a_folder_begins_with_the_captions_that_were_edited_last_and_shows_all(root: Path) -> None:
    async with running(root, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app) and "[.txt] .caption" in screen_text(app))
        await pilot.press("colon")
        await type_in(pilot, "ending .caption")
        await pilot.press("enter")
        await soon(pilot, lambda: ready(app) and "[.caption]" in screen_text(app))
        await pilot.press("v")
        shown = ("wears a red hat", "hatgirl, hat, number 0")
        await soon(pilot, lambda: all(text in screen_text(app).rpartition("CAPTION")[2] for text in shown))
    async with running(root, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app) and ".txt [.caption]" in screen_text(app))
    for path in (root / "4_hat").glob("*.caption"):
        path.unlink()
    async with running(root, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app) and tags(app).panes.tags == ["hatgirl", "hat", "number 0"])


async def test_the_images_of_a_filter_stay_while_their_other_captions_are_edited(root: Path) -> None:
    async with running(root, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app) and "[.txt] .caption" in screen_text(app))
        await pilot.press("slash")
        await type_in(pilot, "tag:number*2")
        await pilot.press("enter")
        await soon(pilot, lambda: "1 of 3" in screen_text(app))
        await pilot.press("e")
        await soon(pilot, lambda: ready(app) and "[(.caption)]" in screen_text(app))
        assert "1 of 3" in screen_text(app)
