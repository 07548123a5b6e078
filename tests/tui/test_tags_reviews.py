"""Review marks in the tag editor: who was looked at, how many are left, and what takes a mark away."""

from __future__ import annotations

from pathlib import Path

from caption_folders import opened, previewed
from tui.driving import running, screen_text, soon
from tui.projects import make_dataset
from tui.test_tags import ready, tags

from lora_tui.tui.widgets.lines import Lines


def title(app) -> str:  # type: ignore[no-untyped-def]
    return tags(app).query_one("#files-title", Lines).lines[0]


def row(app, number: int) -> str:  # type: ignore[no-untyped-def]
    return "".join(cell.text for cell in tags(app).panes.file_cells(number))


async def test_reviewed_captions_have_a_mark_and_what_is_left_is_counted(tmp_path: Path) -> None:
    make_dataset(tmp_path, 4)
    async with running(tmp_path, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app))
        assert "to review" not in title(app)
        await pilot.press("space", "r")
        await soon(pilot, lambda: "3 to review" in title(app))
        assert "✓" in row(app, 0)
        assert "1 caption reviewed   3 to review" in screen_text(app)
        await pilot.press("space", "n")
        await soon(pilot, lambda: tags(app).panes.number == 1)
        await pilot.press("m", "m", "space", "r")
        await soon(pilot, lambda: "1 to review" in title(app))
        await pilot.press("M", "g", "space", "n")
        await soon(pilot, lambda: tags(app).panes.number == 3)
        await pilot.press("space", "r", "space", "n")
        await soon(pilot, lambda: "Every caption of the list was reviewed." in screen_text(app))
        await pilot.press("space", "r")  # all of the scope are: the mark goes
        await soon(pilot, lambda: "1 to review" in title(app) and "✓" not in row(app, 3))


async def test_a_taggers_change_takes_the_mark_away_and_its_undo_brings_it_back(tmp_path: Path) -> None:
    make_dataset(tmp_path, 3)
    async with running(tmp_path, screen="tags", size=(120, 40)) as (app, pilot):
        await soon(pilot, lambda: ready(app))
        await pilot.press("*", "space", "r")
        await soon(pilot, lambda: "0 to review" in title(app))
        other = opened(tmp_path)
        other.apply(previewed(other, "add smile", [1]), "tagger:wd14")
        other.close()
        await soon(pilot, lambda: "1 to review" in title(app))
        assert ["✓" in row(app, number) for number in range(3)] == [True, False, True]
        await pilot.press("u")
        await soon(pilot, lambda: "0 to review" in title(app))
        await pilot.press("a", *"mine", "enter", "enter")  # who reviewed may go on editing
        await soon(pilot, lambda: "mine" in (tmp_path / "4_hat" / "0000.txt").read_text())
        assert "0 to review" in title(app)


async def test_a_folder_that_is_opened_again_shows_its_marks(tmp_path: Path) -> None:
    make_dataset(tmp_path, 3)
    session = opened(tmp_path)
    session.review([0, 2], "me")
    session.close()
    async with running(tmp_path, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app))
        await soon(pilot, lambda: "1 to review" in title(app))
        await pilot.press("slash", *"name:0001.png", "enter")
        await soon(pilot, lambda: "1 of 3  1 to review" in title(app))
