"""The tag editor when its journal is damaged, replaced or written by a newer version while it is open: it goes on."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tui.driving import running, screen_text, soon
from tui.projects import make_dataset
from tui.test_tags import ready, tags, type_in
from tui.test_tags_variants import captions

from lora_tui.captions.journal.frame import pack


def flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[40] ^= 1
    path.write_bytes(raw)


def append(frame: bytes) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with path.open("ab") as file:
            file.write(frame)

    return change


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(flip, "", id="flipped"),
        pytest.param(append(pack({"number": 9, "kind": "edit", "time": 1e300})), "", id="made up"),
        pytest.param(append(pack({"number": 9, "kind": "conjure"})), "newer version", id="newer"),
        pytest.param(pipe, "named pipe", id="pipe"),
        pytest.param(lambda path: path.write_bytes(b"hello, world\n"), "it is no journal", id="another file"),
    ],
)
async def test_a_journal_that_goes_wrong_ends_no_editor(
    tmp_path: Path, change: Callable[[Path], object], words: str
) -> None:
    make_dataset(tmp_path, 3)

    async with running(tmp_path, screen="tags", size=(160, 45)) as (app, pilot):
        await soon(pilot, lambda: ready(app))
        for word in ("zebra", "lion"):
            await pilot.press("colon")
            await type_in(pilot, f"add {word}")
            await pilot.press("enter")
            if word == "zebra":
                await soon(pilot, lambda: "zebra" in str(captions(tmp_path, ".txt")))
                await soon(pilot, lambda: tags(app).editor.idle)
                change(next(tmp_path.rglob("edits.journal")))
        if words:
            await soon(pilot, lambda: words in screen_text(app))
            assert "lion" not in str(captions(tmp_path, ".txt"))
        else:
            await soon(pilot, lambda: "lion" in str(captions(tmp_path, ".txt")))
        await pilot.press("v", "v", "v", "u", "space", "h")
        await soon(pilot, lambda: "History" in screen_text(app) or words in screen_text(app))
        await pilot.press("escape", "escape", "down")
        await soon(pilot, lambda: tags(app).panes.number == 1)


@pytest.mark.parametrize(("content", "words"), [(b"hello, world\n", "it is no journal"), (None, "named pipe")])
async def test_a_folder_whose_journal_cannot_be_read_says_so(tmp_path: Path, content: bytes | None, words: str) -> None:
    make_dataset(tmp_path, 3)
    path = tmp_path / ".lora-tui" / "journal" / "edits.journal"
    path.parent.mkdir(parents=True)
    if content is None:
        os.mkfifo(path)
    else:
        path.write_bytes(content)
    async with running(tmp_path, screen="tags", size=(160, 45)) as (app, pilot):
        await soon(pilot, lambda: words in screen_text(app))
        await pilot.press("f2", "f3")
        await soon(pilot, lambda: words in screen_text(app))
