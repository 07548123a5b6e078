"""Mending captions in the tag editor: shown first, of the captions as they are, and nothing cut away unasked."""

from __future__ import annotations

from pathlib import Path

import pytest
from tui.driving import running, screen_text, soon
from tui.projects import make_dataset
from tui.test_tags import ready, tags, texts, type_in

from lora_tui.captions.operations import match


def write(root: Path, *captions: str) -> None:
    for number, text in enumerate(captions):
        (root / "4_hat" / f"{number:04d}.txt").write_text(text)


async def test_what_was_respelled_is_no_problem_any_more_and_stays(tmp_path: Path) -> None:
    make_dataset(tmp_path, 4)
    write(tmp_path, "silver hair, hat", *["silver_hair, hat"] * 3)
    async with running(tmp_path, screen="tags", size=(160, 45)) as (app, pilot):
        await soon(pilot, lambda: ready(app))
        assert "silver hair is spelled silver_hair in 3 captions" in screen_text(app)
        await pilot.press("*", "colon")
        await type_in(pilot, "spell spaces")
        await pilot.press("enter", "enter")
        await soon(pilot, lambda: texts(tmp_path) == ["silver hair, hat"] * 4)
        await soon(pilot, lambda: "is spelled" not in screen_text(app))
        await pilot.press("M", "f")
        await soon(pilot, lambda: "This caption has no problem." in screen_text(app))
        assert texts(tmp_path) == ["silver hair, hat"] * 4


async def test_mending_one_caption_is_shown_before_it_is_done(tmp_path: Path) -> None:
    make_dataset(tmp_path, 1)
    write(tmp_path, "hat, smile, hat")
    async with running(tmp_path, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app))
        await pilot.press("f")
        await soon(pilot, lambda: tags(app).edits.pending is not None and "- hat" in screen_text(app))
        assert texts(tmp_path) == ["hat, smile, hat"]
        await pilot.press("enter")
        await soon(pilot, lambda: texts(tmp_path) == ["hat, smile"])


async def test_a_caption_that_is_too_long_is_never_cut_by_mending(tmp_path: Path) -> None:
    make_dataset(tmp_path, 2)
    long = ", ".join(f"ribbon of colour {number}" for number in range(40))
    write(tmp_path, long, "hat")
    async with running(tmp_path, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app))
        await pilot.press("f")
        await soon(pilot, lambda: "truncate 75 tokens" in screen_text(app))
        assert tags(app).edits.pending is None
        await pilot.press("exclamation_mark")
        await soon(pilot, lambda: "only you can fix it" in screen_text(app))
        await pilot.press("enter")
        await soon(pilot, lambda: "FILTER lint:caption.tokens" in screen_text(app))
        assert tags(app).edits.pending is None
        assert texts(tmp_path) == [long, "hat"]


async def test_an_expression_that_explodes_leaves_the_screen_alive_and_escape_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(match, "SECONDS", 12.0)
    make_dataset(tmp_path, 3)
    write(tmp_path, *[", ".join(f"{'a' * 70}b{number}" for number in range(40))] * 3)
    before = texts(tmp_path)
    async with running(tmp_path, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app))
        await pilot.press("colon")
        await type_in(pilot, "remove /(a|aa)+$/")
        await pilot.press("enter")
        await soon(pilot, lambda: "Looking at 0000.png" in screen_text(app))
        assert tags(app).busy
        await pilot.press("escape")
        await soon(pilot, lambda: not tags(app).busy)
        assert "takes too long" not in screen_text(app)
        assert texts(tmp_path) == before
        assert tags(app).edits.pending is None
        monkeypatch.setattr(match, "SECONDS", 1.0)
        await pilot.press("colon")
        await type_in(pilot, "remove /(a|aa)+$/")
        await pilot.press("enter")
        await soon(pilot, lambda: "The regular expression takes too long" in screen_text(app), 60)
