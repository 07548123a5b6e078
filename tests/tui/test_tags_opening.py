"""Opening and leaving a folder in the tag editor: what is kept, what is said, and that the screen stays alive."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from caption_folders import edit, opened
from PIL import Image
from tui.driving import running, screen_text, soon
from tui.projects import make_dataset, picture
from tui.test_tags import ready, tags, texts, type_in

from lora_tui.captions.transaction import News, Session
from lora_tui.dataset.buckets import Box, Size
from lora_tui.dataset.notes import Crop, change_notes
from lora_tui.tui.tags.editor import Editor
from lora_tui.tui.tags.kept import load_place
from lora_tui.tui.widgets.footer import Status
from lora_tui.tui.widgets.image_view import ImageView


async def test_files_that_are_no_images_in_use_are_counted_as_on_the_dataset_screen(tmp_path: Path) -> None:
    make_dataset(tmp_path, 3)
    (tmp_path / "4_hat" / "broken.png").write_bytes(b"no picture")
    change_notes(tmp_path, lambda notes: notes.excluding("4_hat/0001.png"))
    (tmp_path / "4_hat" / "0001.txt").unlink()
    async with running(tmp_path, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app) and "4 images, 2 used, 1 left out, 1 unreadable" in screen_text(app))
        title, status = (screen_text(app).splitlines()[line] for line in (2, -2))
        assert title.split("│")[0].split() == ["FILES", "4", "tags", "tokens"]  # of the columns, and nothing else
        assert status.startswith("SCOPE 0000.png   FILTER none") and status.endswith("unreadable")
        await pilot.press("exclamation_mark")
        await soon(pilot, lambda: "2 problems" in screen_text(app))
        assert "2 of them are left out" in " ".join(screen_text(app).split())


async def test_a_filter_is_asked_in_a_thread_when_the_folder_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    select = Editor.select

    def noted(self: Editor, text: str, *options: Any) -> set[int] | None:
        if text:
            asked.append(threading.current_thread().name)
        return select(self, text, *options)

    monkeypatch.setattr(Editor, "select", noted)
    make_dataset(tmp_path, 3)
    async with running(tmp_path, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app))
        await pilot.press("slash")
        await type_in(pilot, "hat")
        await pilot.press("enter")
        await soon(pilot, lambda: "FILTER hat" in screen_text(app))
        asked.clear()
        picture((64, 64), 9).save(tmp_path / "4_hat" / "0009.png")
        await pilot.press("ctrl+l")
        await soon(pilot, lambda: "3 of 4" in screen_text(app))
        assert asked
        assert threading.main_thread().name not in asked


async def test_what_others_did_is_read_beside_the_screen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: set[str] = set()
    look = Session.look

    def noted(self: Session) -> News:
        looked.add(threading.current_thread().name)
        return look(self)

    monkeypatch.setattr(Session, "look", noted)
    make_dataset(tmp_path, 3)
    other = opened(tmp_path)
    async with running(tmp_path, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app))
        edit(other, "add theirs", author="tagger")
        await soon(pilot, lambda: "theirs" in tags(app).panes.tags)
        await soon(pilot, lambda: "tagger changed captions: add theirs" in screen_text(app))
    other.close()
    assert looked
    assert threading.main_thread().name not in looked


async def test_saving_says_which_edit_was_refused(tmp_path: Path) -> None:
    before = texts(make_dataset(tmp_path, 2))
    (tmp_path / ".lora-tui").mkdir()
    async with running(tmp_path, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app))
        (tmp_path / ".lora-tui" / "journal").write_text("in the way of the journal's folder")
        await pilot.press("tab", "down", "x")
        await pilot.press("ctrl+s")
        await soon(pilot, lambda: "0000.txt is not as you edited it" in tags(app).query_one(Status).text)
        assert texts(tmp_path) == before
        await pilot.press("ctrl+s")
        await soon(pilot, lambda: "Every change is on disk." in tags(app).query_one(Status).text)


async def test_the_place_in_the_list_is_kept_over_an_empty_filter_and_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LORA_TUI_HOME", str(tmp_path / "home"))
    root = make_dataset(tmp_path / "project", 6)
    async with running(root, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app))
        await pilot.press("J", "J", "J", "slash")
        await type_in(pilot, "nothing")
        await pilot.press("enter")
        await soon(pilot, lambda: "FILTER nothing" in screen_text(app))
        assert tags(app).panes.number == -1
        await pilot.press("escape")
        await soon(pilot, lambda: "FILTER none" in screen_text(app))
        assert tags(app).panes.number == 3
        await pilot.press("slash")
        await type_in(pilot, 'any("number 1", "number 4")')
        await pilot.press("enter")
        await soon(pilot, lambda: tags(app).panes.number == 4)
        await pilot.press("escape")
        await soon(pilot, lambda: "FILTER none" in screen_text(app) and tags(app).panes.number == 4)
    async with running(root, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app))
        assert tags(app).panes.number == 4


async def test_the_place_is_kept_although_nobody_left_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORA_TUI_HOME", str(tmp_path / "home"))
    root = make_dataset(tmp_path / "project", 3)
    async with running(root, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app))
        await pilot.press("J", "J")
        await soon(pilot, lambda: load_place(root).endswith("0002.png"))


async def test_the_picture_learns_of_its_crop_when_the_images_are_read_after_the_captions(tmp_path: Path) -> None:
    make_dataset(tmp_path, 1)
    path = tmp_path / "4_hat" / "0000.png"
    async with running(tmp_path, size=(120, 40), screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app) and app.workspace.images is not None)
        view = app.screen.query_one(ImageView)
        await soon(pilot, lambda: view.path == path and view._part is None)
        with Image.open(path) as image:
            size = Size(*image.size)
        crop = Crop(Box(0, 0, size.width // 2, size.height // 2), size)
        change_notes(tmp_path, lambda notes: notes.with_crop("4_hat/0000.png", crop))
        app.rescan()
        await soon(pilot, lambda: view._part == (0, 0, 0.5, 0.5))
