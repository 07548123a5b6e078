"""The tag editor on captions that are written in sentences: phrases as a vocabulary."""

from __future__ import annotations

from pathlib import Path

import pytest
from tui.driving import running, screen_text, soon
from tui.projects import make_dataset
from tui.test_tags import ready, tags, texts, type_in

from lora_tui.tui.screens.tags_write import WriteScreen

PROSE = (
    "A girl with a red hat stands in a field of grass. She waves at the camera.",
    "A red hat lies on the table, in a field of grass. Nobody is there to wear it.",
    "A boy with a blue coat stands in the rain. He waves at the camera.",
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make_dataset(tmp_path, 3)
    for number, text in enumerate(PROSE):
        (tmp_path / "4_hat" / f"{number:04d}.txt").write_text(text)
    return tmp_path


def listed(app) -> dict[str, tuple[int, int]]:  # type: ignore[no-untyped-def]  # the app
    return {row.tag: (row.in_scope, row.total) for row in tags(app).panes._vocabulary}


async def go_to(pilot, phrase: str) -> None:  # type: ignore[no-untyped-def]  # Textual's pilot
    """The cursor of the vocabulary on a phrase, by searching for it."""
    app = pilot.app
    await pilot.press("space", "v")
    await type_in(pilot, phrase)
    await soon(pilot, lambda: list(listed(app))[:1] == [phrase])
    await pilot.press("enter")


async def test_the_vocabulary_of_a_prose_dataset_lists_phrases_that_filter_images(root: Path) -> None:
    async with running(root, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app) and "PHRASES" in screen_text(app) and "red hat" in listed(app))
        assert listed(app)["field of grass"] == (2, 2)
        await go_to(pilot, "red hat")
        await pilot.press("enter")
        await soon(pilot, lambda: 'FILTER phrase:"red hat"' in screen_text(app) and "2 of 3" in screen_text(app))
        await pilot.press("escape")
        await soon(pilot, lambda: listed(app).get("waves at the camera") == (1, 2))
        await pilot.press("w")
        await soon(pilot, lambda: "VOCABULARY" in screen_text(app))
        await pilot.press("w")
        await soon(pilot, lambda: "PHRASES" in screen_text(app) and "red hat" in listed(app))


async def test_a_phrase_is_renamed_and_taken_away_everywhere_with_a_preview(root: Path) -> None:
    async with running(root, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app) and "red hat" in listed(app))
        await go_to(pilot, "red hat")
        await pilot.press("R")
        await soon(pilot, lambda: tags(app).query_one("#prompt").display)
        await pilot.press("ctrl+u")
        await type_in(pilot, "green cap")
        await pilot.press("enter")
        await soon(pilot, lambda: tags(app).edits.pending is not None)
        assert texts(root) == list(PROSE)
        await pilot.press("enter")
        renamed = [text.replace("red hat", "green cap") for text in PROSE]
        await soon(pilot, lambda: texts(root) == renamed)
        await pilot.press("escape")
        await soon(pilot, lambda: listed(app).get("green cap") == (2, 2) and "red hat" not in listed(app))
        await go_to(pilot, "waves at the camera")
        await pilot.press("X")
        await soon(pilot, lambda: tags(app).edits.pending is not None)
        await pilot.press("enter")
        await soon(pilot, lambda: texts(root)[2].endswith("in the rain. He."))
        await pilot.press("u", "u")
        await soon(pilot, lambda: texts(root) == list(PROSE))
        await pilot.press("escape")
        await soon(pilot, lambda: "red hat" in listed(app))


async def test_what_is_for_tags_says_so_of_a_phrase(root: Path) -> None:
    async with running(root, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app) and "red hat" in listed(app))
        await go_to(pilot, "red hat")
        await pilot.press("t")
        await soon(pilot, lambda: "That is done with tags; w lists them" in screen_text(app))


async def test_a_dataset_of_tags_lists_tags(tmp_path: Path) -> None:
    make_dataset(tmp_path, 3)
    async with running(tmp_path, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app) and "VOCABULARY" in screen_text(app) and "hatgirl" in listed(app))


async def test_renaming_a_tag_that_stands_in_sentences_alone_says_how_it_is_done(root: Path) -> None:
    async with running(root, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app))
        await pilot.press("s", "colon")
        await type_in(pilot, 'rename "red hat" to "cap"')
        await pilot.press("enter")
        await soon(pilot, lambda: "2 captions have it in sentences: phrase rename red hat" in screen_text(app))


async def test_an_edit_of_a_tag_that_is_not_in_the_scope_says_how_many_captions_have_it(tmp_path: Path) -> None:
    make_dataset(tmp_path, 3)
    (tmp_path / "4_hat" / "0001.txt").write_text("hatgirl, hat, beret")
    async with running(tmp_path, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app))
        await pilot.press("colon")
        await type_in(pilot, "remove beret")
        await pilot.press("enter")
        await soon(pilot, lambda: "Not in 0000.png, but in 1 other caption: s takes in more" in screen_text(app))
        await pilot.press("slash")
        await type_in(pilot, "no-such-tag")
        await pilot.press("enter")
        await soon(pilot, lambda: "These images have no tags." in screen_text(app))


async def test_enter_on_prose_opens_a_field_whose_text_is_kept_journalled_and_undone(root: Path) -> None:
    path = root / "4_hat" / "0000.txt"
    before = b"\xef\xbb\xbf" + PROSE[0].encode() + b"\r\nA second\x0b line.\r\n\r\n"
    path.write_bytes(before)
    async with running(root, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app) and "write" in screen_text(app))
        await pilot.press("tab", "enter")
        await soon(pilot, lambda: isinstance(app.screen, WriteScreen) and "only one is trained" in screen_text(app))
        assert "A second␋ line." in screen_text(app)
        await pilot.press("ctrl+end", *"New", "enter")
        await pilot.press("escape")
        await soon(pilot, lambda: "stays as it was; c brings back" in screen_text(app))
        assert path.read_bytes() == before
        await pilot.press("c")
        await soon(pilot, lambda: isinstance(app.screen, WriteScreen) and "New" in screen_text(app))
        await pilot.press("ctrl+s")
        await soon(pilot, lambda: path.read_bytes() == before.replace(b" line.", b" line.New"))
        await soon(pilot, lambda: "0000.txt written   u undo" in screen_text(app))
        await pilot.press("u")
        await soon(pilot, lambda: path.read_bytes() == before)


async def test_captions_are_written_one_after_the_other_also_where_there_was_none(root: Path) -> None:
    (root / "4_hat" / "0001.txt").unlink()
    async with running(root, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app))
        await pilot.press("c")
        await soon(pilot, lambda: isinstance(app.screen, WriteScreen))
        await pilot.press(*"So.", "ctrl+n")
        await soon(pilot, lambda: isinstance(app.screen, WriteScreen) and "0001.txt" in screen_text(app))
        await pilot.press(*"Why?", "ctrl+s")
        await soon(pilot, lambda: texts(root) == [PROSE[0] + "So.", "Why?", PROSE[2]])


async def test_what_another_program_wrote_meanwhile_is_left_and_what_was_typed_comes_back(root: Path) -> None:
    async with running(root, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app))
        await pilot.press("c")
        await soon(pilot, lambda: isinstance(app.screen, WriteScreen))
        await pilot.press(*"Mine")
        (root / "4_hat" / "0000.txt").write_text("Theirs.")
        editor = app.screen_stack[-2].editor  # type: ignore[attr-defined]
        await soon(pilot, lambda: editor.entry(0).raw == b"Theirs.")
        await pilot.press("ctrl+s")
        await soon(pilot, lambda: "was changed meanwhile" in screen_text(app))
        assert texts(root)[0] == "Theirs."
        await pilot.press("c")
        await soon(pilot, lambda: isinstance(app.screen, WriteScreen) and "Mine" in screen_text(app))
        await pilot.press("ctrl+z")
        await soon(pilot, lambda: "Theirs." in screen_text(app))
