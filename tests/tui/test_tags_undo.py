"""Undo in the tag editor where the disk refuses it: what is told, and that the same key tries again."""

from __future__ import annotations

from pathlib import Path

from tui.driving import running, screen_text, soon
from tui.projects import make_dataset
from tui.test_tags import ready, tags, type_in
from tui.test_tags_variants import captions


async def test_an_undo_that_the_disk_refuses_says_so_and_is_tried_again(tmp_path: Path) -> None:
    make_dataset(tmp_path, 3)
    before = captions(tmp_path, ".txt")
    files = sorted((tmp_path / "4_hat").glob("*.txt"))
    async with running(tmp_path, screen="tags", size=(160, 45)) as (app, pilot):
        await soon(pilot, lambda: ready(app))
        await pilot.press("s", "colon")
        await type_in(pilot, "add zebra")
        await pilot.press("enter")
        await soon(pilot, lambda: tags(app).edits.pending is not None)
        await pilot.press("enter")
        await soon(pilot, lambda: all("zebra" in (text or "") for text in captions(tmp_path, ".txt")))
        for path in files:
            path.chmod(0o444)
        await pilot.press("u")
        await soon(pilot, lambda: "undone in 0 files" in screen_text(app) and "read-only" in screen_text(app))
        for path in files[1:]:
            path.chmod(0o644)
        await pilot.press("u")
        await soon(pilot, lambda: "undone in 2 files" in screen_text(app) and "1 file is left" in screen_text(app))
        files[0].chmod(0o644)
        await pilot.press("u")
        await soon(pilot, lambda: captions(tmp_path, ".txt") == before)
        await soon(pilot, lambda: "undone in 1 file" in screen_text(app) and "left" not in screen_text(app))


async def test_a_tag_of_an_earlier_session_is_taken_back_through_undo_and_redo(tmp_path: Path) -> None:
    from lora_tui.cli.main import run

    make_dataset(tmp_path, 3)
    before, data = captions(tmp_path, ".txt"), str(tmp_path)
    assert run(["captions", "edit", data, "--do", "add zebra"]) == 0
    async with running(tmp_path, screen="tags", size=(160, 45)) as (app, pilot):
        await soon(pilot, lambda: ready(app))
        await pilot.press("u")
        await soon(pilot, lambda: captions(tmp_path, ".txt") == before)
        await pilot.press("ctrl+r")
        await soon(pilot, lambda: captions(tmp_path, ".txt") != before)
        await soon(pilot, lambda: "again in 3 files" in screen_text(app))
        tags(app).past.undo_tag("zebra")
        await soon(pilot, lambda: captions(tmp_path, ".txt") == before)
        await soon(pilot, lambda: "revert tag zebra" in screen_text(app))
