"""The line at the bottom of the tag editor: what is typed into it, completed, taken, and left."""

from __future__ import annotations

from pathlib import Path

import pytest
from tui.driving import running, screen_text, soon
from tui.projects import make_dataset
from tui.test_tags import ready, tags, texts, type_in

from lora_tui.captions.operations.base import Context
from lora_tui.captions.verbs import VERBS
from lora_tui.tui.widgets.footer import Status
from lora_tui.tui.widgets.prompt import Prompt


async def test_what_stands_in_a_line_is_replaced_by_typing_and_kept_by_moving(tmp_path: Path) -> None:
    make_dataset(tmp_path, 3)
    async with running(tmp_path, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app))
        for typed in ("hat", "hatgirl"):
            await pilot.press("slash")
            await type_in(pilot, typed)
            await pilot.press("enter")
            await soon(pilot, lambda typed=typed: screen_text(app).splitlines()[-2].endswith(f"FILTER {typed}"))
        await pilot.press("slash", "end")
        await type_in(pilot, " -hat")
        assert tags(app).query_one(Prompt).value == "hatgirl -hat"
        await pilot.press("escape", "tab", "r")
        await type_in(pilot, "cap")
        await pilot.press("enter")
        await soon(pilot, lambda: texts(tmp_path)[0] == "cap, hat, number 0")


async def test_escape_never_leaves_the_editor_nor_takes_marks_away(tmp_path: Path) -> None:
    make_dataset(tmp_path, 3)
    async with running(tmp_path, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app))
        await pilot.press("m", "m", "slash")
        await type_in(pilot, "hat")
        await pilot.press("enter")
        await soon(pilot, lambda: "FILTER hat" in screen_text(app))
        await pilot.press(*["escape"] * 5)
        await soon(pilot, lambda: "F9 leads home" in screen_text(app))
        assert "2 images stay marked; M" in screen_text(app)
        assert app.current_mode == "tags"
        assert "union of 2 marked" in screen_text(app)
        await pilot.press("f9")
        await soon(pilot, lambda: app.current_mode == "home")
        await pilot.press("f3")
        await soon(pilot, lambda: "union of 2 marked" in screen_text(app))


async def test_an_error_of_the_program_while_a_line_is_typed_or_previewed_is_said_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Burst:
        def apply(self, text: str | None, context: Context) -> str | None:
            return str(text).split("\0")[1]

    monkeypatch.setenv("LORA_TUI_HOME", str(tmp_path / "home"))
    monkeypatch.setitem(VERBS, "burst", (lambda words: Burst() if words.is_done else 1 / 0, "burst"))
    before = texts(make_dataset(tmp_path, 2))
    async with running(tmp_path, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app))
        await pilot.press("colon")
        await type_in(pilot, "burst")
        await soon(pilot, lambda: "An error of the program itself: IndexError. Nothing" in screen_text(app))
        await type_in(pilot, " now")
        await soon(pilot, lambda: "itself: ZeroDivisionError." in screen_text(app))
        await pilot.press("ctrl+u")
        await type_in(pilot, "burst")
        await pilot.press("enter")
        await soon(pilot, lambda: "itself: IndexError." in tags(app).query_one(Status).text)
        assert texts(tmp_path) == before
    notes = [path.read_text() for path in (tmp_path / "home" / "state" / "crashes").iterdir()]
    assert any("IndexError" in text for text in notes)


async def test_a_tag_of_two_words_is_offered_in_quotes_before_nothing_is_found(tmp_path: Path) -> None:
    make_dataset(tmp_path, 3)
    async with running(tmp_path, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app))
        await pilot.press("slash")
        await type_in(pilot, "hat number 1")
        await soon(pilot, lambda: "“number 1” is one tag, of 1 caption: Tab puts it in quotes." in screen_text(app))
        await pilot.press("enter", "tab", "enter")
        await soon(pilot, lambda: 'FILTER hat "number 1"' in screen_text(app))
        await pilot.press("slash")
        await type_in(pilot, "number 2")
        await pilot.press("enter")
        await soon(pilot, lambda: "“number 2” is one tag" in screen_text(app))
        assert tags(app).query_one(Prompt).is_open
        await pilot.press("enter")
        await soon(pilot, lambda: screen_text(app).splitlines()[-2].startswith("“number 2” is one tag"))


async def test_enter_takes_the_tag_of_a_translation_and_says_before_that_a_tag_is_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists = tmp_path / "home" / "data" / "tags"
    lists.mkdir(parents=True)
    (lists / "tags.csv").write_text("smile,0,900,smiling\nhatsune miku,4,500,\n")
    (lists / "zh.txt").write_text("smile=微笑\n")
    monkeypatch.setenv("LORA_TUI_HOME", str(tmp_path / "home"))
    root = make_dataset(tmp_path / "project", 2)
    async with running(root, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app))
        await pilot.press("a")
        await type_in(pilot, "微")
        await soon(pilot, lambda: "+ smile" in screen_text(app))
        assert "new tag" not in screen_text(app)
        await pilot.press("enter")
        await soon(pilot, lambda: texts(root)[0] == "hatgirl, hat, number 0, smile")
        await pilot.press("J", "a")
        await type_in(pilot, "hatsune")
        await soon(pilot, lambda: "new tag: hatsune   1 image, 1 tag" in screen_text(app))
        await pilot.press("down", "enter")
        await soon(pilot, lambda: texts(root)[1] == "hatgirl, hat, number 1, hatsune miku")
        await pilot.press("i")
        await type_in(pilot, "微笑")
        await pilot.press("up", "enter")  # off the row: as it is typed
        await soon(pilot, lambda: texts(root)[1].startswith("微笑, hatgirl"))


async def test_the_command_line_lists_what_it_knows_and_says_where_a_mistake_is(tmp_path: Path) -> None:
    make_dataset(tmp_path, 2)
    async with running(tmp_path, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app))
        await pilot.press("colon")
        await soon(pilot, lambda: "add" in screen_text(app) and "TAG, … [front|back" in screen_text(app))
        await type_in(pilot, "xyzzy")
        await soon(pilot, lambda: "There is no operation “xyzzy”. “help” lists what there is." in screen_text(app))
        await pilot.press("ctrl+u")
        await type_in(pilot, "helpp")
        await soon(pilot, lambda: "Did you mean “help”?" in screen_text(app))
        await pilot.press("backspace", "enter")
        await soon(pilot, lambda: "Operations and commands" in screen_text(app))
        await pilot.press(*"become")
        await pilot.press("enter")
        await soon(pilot, lambda: tags(app).query_one(Prompt).value == "rename ")
        await type_in(pilot, "hat to cap")
        await pilot.press("enter")
        await soon(pilot, lambda: texts(tmp_path)[0] == "hatgirl, cap, number 0")
        await pilot.press("colon")
        line = "replace /number/ with a rather long replacement text, or two"
        await type_in(pilot, line)
        await soon(pilot, lambda: "Text with a comma in it stands in quotes. ^" in screen_text(app))
        typed, said = screen_text(app).splitlines()[-4:-2]
        assert said.index("^") == typed.index(", or two")


async def test_the_filter_in_use_is_kept_where_saved_filters_are_chosen(tmp_path: Path) -> None:
    make_dataset(tmp_path, 3)
    async with running(tmp_path, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app))
        await pilot.press("space", "f")
        await soon(pilot, lambda: "No filter is kept yet" in screen_text(app))
        await pilot.press("slash")
        await type_in(pilot, "hat")
        await pilot.press("enter")
        await soon(pilot, lambda: "FILTER hat" in screen_text(app))
        await pilot.press("space", "f")
        await soon(pilot, lambda: "Keep the filter hat as" in screen_text(app))
        await pilot.press("a", "space", "b", "enter")
        await soon(pilot, lambda: "no blanks" in screen_text(app))
        await pilot.press("ctrl+u", *"hats", "enter")
        await soon(pilot, lambda: "The filter is kept: in:@hats" in screen_text(app))
        await pilot.press("escape", "space", "f", "enter")
        await soon(pilot, lambda: "FILTER in:@hats" in screen_text(app))
        await pilot.press("space", "f")
        await soon(pilot, lambda: "keep this filter as" in screen_text(app))
        await pilot.press("escape", "colon")
        await type_in(pilot, "forget-filter hats")
        await pilot.press("enter")
        await soon(pilot, lambda: "The filter hats is kept no longer." in screen_text(app))


async def test_quick_tags_are_typed_too_and_the_digits_in_use_are_on_the_screen(tmp_path: Path) -> None:
    make_dataset(tmp_path, 2)
    async with running(tmp_path, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app))
        await pilot.press("equals_sign")  # among files: no tag is meant
        await soon(pilot, lambda: "Which digit gets a tag?" in screen_text(app))
        await pilot.press("4")
        await type_in(pilot, "smile")
        await pilot.press("enter")
        await soon(pilot, lambda: "│ 4 smile" in screen_text(app))
        await pilot.press("tab", "home", "down", "equals_sign")
        await soon(pilot, lambda: "On which digit is hat?" in screen_text(app))
        await pilot.press("equals_sign")
        await soon(pilot, lambda: "Which digit gets a tag?" in screen_text(app))
        await pilot.press("2")
        await type_in(pilot, "solo")
        await pilot.press("enter", "4", "2")
        await soon(pilot, lambda: texts(tmp_path)[0] == "hatgirl, hat, number 0, smile, solo")
        await pilot.press("colon")
        await type_in(pilot, "quick 4")
        await pilot.press("enter")
        await soon(pilot, lambda: "│ 2 solo" in screen_text(app))
        assert "4 smile" not in screen_text(app).partition("VOCABULARY")[0]


async def test_the_line_of_keys_names_scope_command_panes_and_what_follows_space(tmp_path: Path) -> None:
    make_dataset(tmp_path, 1)
    async with running(tmp_path, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app))
        for pane in ("files", "tags", "vocab"):
            await soon(pilot, lambda pane=pane: tags(app).panes.focus == pane)
            await pilot.pause()
            line = screen_text(app).splitlines()[-1]
            assert all(words in line for words in ("a add", "s scope", ": command", "Tab pane", "Space more", "? keys"))
            assert ("r rename" in line) == (pane != "files")
            await pilot.press("tab")


async def test_the_images_that_are_shown_are_pinned_under_a_name(tmp_path: Path) -> None:
    make_dataset(tmp_path, 3)
    async with running(tmp_path, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app))
        await pilot.press("slash")
        await type_in(pilot, "name:1")
        await pilot.press("enter")
        await soon(pilot, lambda: "FILTER name:1" in screen_text(app))
        await pilot.press("colon")
        await type_in(pilot, "pin-filter one")
        await pilot.press("enter")
        await soon(pilot, lambda: "These images are kept: in:@one" in screen_text(app))
        await pilot.press("space", "f")
        await soon(pilot, lambda: "pinned to 1 image" in screen_text(app))


async def test_wide_characters_are_whole_where_the_line_lies_over_two_panes(tmp_path: Path) -> None:
    make_dataset(tmp_path, 1)
    async with running(tmp_path, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app))
        await pilot.press("a")
        for blanks in ("", " "):  # on both sides of the border
            tags(app).query_one(Prompt).remark(blanks + "标签" * 19)
            await soon(pilot, lambda blanks=blanks: blanks + "标签" * 19 in screen_text(app))
