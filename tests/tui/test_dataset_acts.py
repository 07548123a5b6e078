"""Acts on images in the dataset screen: what lies on disk after each, and after it was taken back."""

from __future__ import annotations

from pathlib import Path

import pytest
from tui.driving import forget_soon, running, screen_text, soon
from tui.projects import make_dataset

from lora_tui.dataset.moves import in_trash, moves
from lora_tui.dataset.notes import change_notes, load_notes
from lora_tui.tui.app import LoraTuiApp
from lora_tui.tui.widgets.virtual_list import VirtualList


def files(app: LoraTuiApp) -> VirtualList:
    return app.screen.query_one("#files", VirtualList)


async def test_leaving_out_marked_images_and_taking_it_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forget_soon(monkeypatch)
    make_dataset(tmp_path, 6)
    async with running(tmp_path, size=(100, 30), screen="dataset") as (app, pilot):
        await soon(pilot, lambda: files(app).count == 6)
        await pilot.press("m", "m", "x")
        await soon(pilot, lambda: load_notes(tmp_path).excluded == {"4_hat/0000.png", "4_hat/0001.png"})
        await soon(pilot, lambda: "4 images" in screen_text(app) and "2 left out" in screen_text(app))
        assert "* - 0000.png" in screen_text(app)
        await soon(pilot, lambda: app.workspace.plan is not None and "4 images" in app.workspace.plan.arithmetic)
        await pilot.press("u")
        await soon(pilot, lambda: not load_notes(tmp_path).excluded)
        await soon(pilot, lambda: "left out" not in screen_text(app).splitlines()[-2])
        await pilot.press("x")
        await soon(pilot, lambda: len(load_notes(tmp_path).excluded) == 2)
        await soon(pilot, lambda: "4 images" in screen_text(app))
        await pilot.press("x")  # all of them are out: in again
        await soon(pilot, lambda: not load_notes(tmp_path).excluded)


async def test_what_notes_of_any_folder_leave_out_is_taken_in_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget_soon(monkeypatch)
    make_dataset(tmp_path, 3)
    inner = tmp_path / "4_hat"
    (inner / ".lora-tui").mkdir()
    change_notes(tmp_path, lambda notes: notes.excluding("4_hat/0000.png"))
    change_notes(inner, lambda notes: notes.excluding("0000.png"))
    async with running(tmp_path, size=(100, 30), screen="dataset") as (app, pilot):
        await soon(pilot, lambda: files(app).count == 3 and "1 left out" in screen_text(app))
        await pilot.press("x")
        await soon(pilot, lambda: not load_notes(tmp_path).excluded and not load_notes(inner).excluded)
        await pilot.press("u")
        await soon(pilot, lambda: "1 left out" in screen_text(app))


async def test_the_trash_asks_with_the_number_of_files_and_gives_back(tmp_path: Path) -> None:
    make_dataset(tmp_path, 5)
    folder = tmp_path / "4_hat"
    (folder / "0000.caption").write_bytes(b"A hat.\xff")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def now() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    async with running(tmp_path, size=(100, 30), screen="dataset") as (app, pilot):
        await soon(pilot, lambda: files(app).count == 5)
        await pilot.press("m", "m", "D")
        await soon(pilot, lambda: "Put 2 images into the trash?" in screen_text(app))
        assert "5 files with captions" in screen_text(app)
        await pilot.press("escape")
        assert now() == before
        await pilot.press("D")
        await soon(pilot, lambda: "Put 2 images" in screen_text(app))
        await pilot.press("enter")
        await soon(pilot, lambda: files(app).count == 3)
        assert sorted(now()) == [f"000{n}.{end}" for n in (2, 3, 4) for end in ("png", "txt")]
        await pilot.press("u")
        await soon(pilot, lambda: files(app).count == 5)
        assert now() == before
        await pilot.press("end", "D")
        await soon(pilot, lambda: "Put 1 image into the trash?" in screen_text(app) and "0004.png" in screen_text(app))
        await pilot.press("enter")
        await soon(pilot, lambda: files(app).count == 4)
        await pilot.press("space", "x")
        await soon(pilot, lambda: "Trash" in screen_text(app) and "Empty the trash" in screen_text(app))
        await pilot.press("enter")
        await soon(pilot, lambda: files(app).count == 5)
        assert now() == before


async def test_an_undo_that_could_not_bring_all_back_can_be_done_again(tmp_path: Path) -> None:
    make_dataset(tmp_path, 3)
    image, caption = tmp_path / "4_hat/0000.png", tmp_path / "4_hat/0000.txt"
    async with running(tmp_path, size=(100, 30), screen="dataset") as (app, pilot):
        await soon(pilot, lambda: files(app).count == 3)
        await pilot.press("D")
        await soon(pilot, lambda: "into the trash?" in screen_text(app))
        await pilot.press("enter")
        await soon(pilot, lambda: files(app).count == 2 and not image.exists())
        image.write_bytes((tmp_path / "4_hat/0001.png").read_bytes())
        await pilot.press("u")
        await soon(pilot, lambda: "0000.png is not back: a file of this name" in screen_text(app))
        assert not caption.exists()
        image.unlink()
        await pilot.press("u")
        await soon(pilot, lambda: image.exists() and caption.exists())


async def test_images_that_lie_there_already_are_not_told_as_moved(tmp_path: Path) -> None:
    make_dataset(tmp_path, 3)
    async with running(tmp_path, size=(100, 30), screen="dataset") as (app, pilot):
        await soon(pilot, lambda: files(app).count == 3)
        await pilot.press("o")
        await soon(pilot, lambda: "to which folder?" in screen_text(app))
        await pilot.press(*"4_hat", "enter")
        await soon(pilot, lambda: "lie there already" in screen_text(app))
        assert not moves(tmp_path)


async def test_emptying_the_trash_is_asked_and_deletes(tmp_path: Path) -> None:
    make_dataset(tmp_path, 4)
    async with running(tmp_path, size=(100, 30), screen="dataset") as (app, pilot):
        await soon(pilot, lambda: files(app).count == 4)
        await pilot.press("D")
        await soon(pilot, lambda: "into the trash?" in screen_text(app))
        await pilot.press("enter")
        await soon(pilot, lambda: files(app).count == 3)
        await pilot.press("space", "x")
        await soon(pilot, lambda: "Empty the trash" in screen_text(app))
        await pilot.press("end", "enter")
        await soon(pilot, lambda: "Delete 2 files for good?" in screen_text(app))
        await pilot.press("enter")
        await soon(pilot, lambda: not in_trash(tmp_path) and "free again" in screen_text(app))
        await pilot.press("space", "x")
        await soon(pilot, lambda: "The trash is empty." in screen_text(app))


async def test_moving_to_a_folder_that_is_made_and_back(tmp_path: Path) -> None:
    make_dataset(tmp_path, 4)
    async with running(tmp_path, size=(100, 30), screen="dataset") as (app, pilot):
        await soon(pilot, lambda: files(app).count == 4)
        await pilot.press("down", "o")
        await soon(pilot, lambda: "to which folder?" in screen_text(app))
        await pilot.press(*"2_other", "enter")
        await soon(pilot, lambda: (tmp_path / "2_other" / "0001.png").exists())
        assert (tmp_path / "2_other" / "0001.txt").exists() and not (tmp_path / "4_hat" / "0001.txt").exists()
        await soon(pilot, lambda: "2_other/0001.png" in screen_text(app))
        await pilot.press("u")
        await soon(pilot, lambda: (tmp_path / "4_hat" / "0001.png").exists())


async def test_what_is_in_the_way_of_a_move_is_said_and_nothing_moves(tmp_path: Path) -> None:
    make_dataset(tmp_path, 3)
    make_dataset(tmp_path, 1, folder="2_other")
    async with running(tmp_path, size=(120, 30), screen="dataset") as (app, pilot):
        await soon(pilot, lambda: files(app).count == 4)
        await pilot.press("down", "o")
        await soon(pilot, lambda: "to which folder?" in screen_text(app))
        await pilot.press(*"2_other", "enter")
        await soon(pilot, lambda: "nothing was moved" in screen_text(app))
        assert (tmp_path / "4_hat" / "0000.png").exists()


async def test_reviewed_pictures_are_noted(tmp_path: Path) -> None:
    make_dataset(tmp_path, 3)
    async with running(tmp_path, size=(100, 30), screen="dataset") as (app, pilot):
        await soon(pilot, lambda: files(app).count == 3)
        await pilot.press("R")
        await soon(pilot, lambda: load_notes(tmp_path).reviewed == {"4_hat/0000.png"})
        await soon(pilot, lambda: "✓" in screen_text(app).splitlines()[3])
        await pilot.press("u")
        await soon(pilot, lambda: not load_notes(tmp_path).reviewed)


async def test_the_tag_editor_follows_the_trash(tmp_path: Path) -> None:
    make_dataset(tmp_path, 4)
    async with running(tmp_path, size=(100, 30), screen="tags") as (app, pilot):
        await soon(pilot, lambda: "4 of 4" in screen_text(app) or "FILES  4" in screen_text(app))
        await pilot.press("f2")
        await soon(pilot, lambda: files(app).count == 4)
        await pilot.press("D")
        await soon(pilot, lambda: "into the trash?" in screen_text(app))
        await pilot.press("enter")
        await soon(pilot, lambda: files(app).count == 3)
        await pilot.press("f3")
        await soon(pilot, lambda: "FILES  3" in screen_text(app) and "0000.png" not in screen_text(app))


async def test_what_could_not_be_taken_back_can_be_later(tmp_path: Path) -> None:
    make_dataset(tmp_path, 3)
    async with running(tmp_path, size=(100, 30), screen="dataset") as (app, pilot):
        await soon(pilot, lambda: files(app).count == 3)
        await pilot.press("x")
        await soon(pilot, lambda: load_notes(tmp_path).excluded == {"4_hat/0000.png"})
        await soon(pilot, lambda: "   u undo" in screen_text(app))
        notes = tmp_path / ".lora-tui" / "dataset.toml"
        written = notes.read_bytes()
        notes.write_bytes(b"version = 99\n")
        await pilot.press("u")
        await soon(pilot, lambda: "newer version" in screen_text(app))
        notes.write_bytes(written)
        await pilot.press("u")
        await soon(pilot, lambda: not load_notes(tmp_path).excluded)
