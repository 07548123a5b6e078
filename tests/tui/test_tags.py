"""The tag editor: what is filtered, marked, previewed, changed and undone, down to the bytes on disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from tui.driving import running, screen_text, soon
from tui.projects import make_dataset

from lora_tui.settings import Settings
from lora_tui.tui.app import LoraTuiApp
from lora_tui.tui.keymap import Keymap
from lora_tui.tui.keymaps import KEYMAPS, keymap_for
from lora_tui.tui.screens import all_actions
from lora_tui.tui.screens.tags import TagsScreen
from lora_tui.tui.tags.offers import substitution


def tags(app: LoraTuiApp) -> TagsScreen:
    screen = app.screen
    assert isinstance(screen, TagsScreen)
    return screen


def ready(app: LoraTuiApp) -> bool:
    return isinstance(app.screen, TagsScreen) and app.screen.editor is not None


def texts(root: Path) -> list[str]:
    return [path.read_text() for path in sorted((root / "4_hat").glob("*.txt"))]


async def type_in(pilot, text: str) -> None:  # type: ignore[no-untyped-def]  # Textual's pilot
    from lora_tui.tui.widgets.prompt import PromptField

    await soon(pilot, lambda: isinstance(pilot.app.screen.focused, PromptField))
    await pilot.press(*("space" if letter == " " else letter for letter in text))


async def test_a_rename_over_a_filter_is_shown_first_then_done_then_undone(tmp_path: Path) -> None:
    before = texts(make_dataset(tmp_path, 6))
    async with running(tmp_path, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app))
        await pilot.press("slash")
        await type_in(pilot, "hat")
        await pilot.press("enter")
        await soon(pilot, lambda: "FILTER hat" in screen_text(app))
        await pilot.press("tab", "down", "R")
        await soon(pilot, lambda: tags(app).query_one("#prompt").display)
        await pilot.press("ctrl+u")
        await type_in(pilot, "cap")
        await pilot.press("enter")
        await soon(pilot, lambda: tags(app).edits.pending is not None)
        assert "6 images" in screen_text(app)
        assert texts(tmp_path) == before
        await pilot.press("enter")
        await soon(pilot, lambda: texts(tmp_path) == [text.replace(" hat,", " cap,") for text in before])
        await pilot.press("u")
        await soon(pilot, lambda: texts(tmp_path) == before)
        await pilot.press("U")
        await soon(pilot, lambda: "cap" in texts(tmp_path)[5])


async def test_a_tag_is_toggled_over_marked_images_and_repeated(tmp_path: Path) -> None:
    make_dataset(tmp_path, 4)
    async with running(tmp_path, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app))
        await pilot.press("m", "m", "a")
        await type_in(pilot, "smile")
        await pilot.press("enter")
        await soon(pilot, lambda: tags(app).edits.pending is not None)
        await pilot.press("enter")
        await soon(pilot, lambda: [("smile" in text) for text in texts(tmp_path)] == [True, True, False, False])
        await soon(pilot, lambda: "2/2" in screen_text(app))
        await pilot.press("M", "full_stop")
        await soon(pilot, lambda: "smile" in texts(tmp_path)[2])


async def test_the_command_line_takes_the_language_of_operations_and_names_mistakes(tmp_path: Path) -> None:
    make_dataset(tmp_path, 3)
    async with running(tmp_path, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app))
        await pilot.press("colon")
        await type_in(pilot, "sortt")
        await soon(pilot, lambda: "no operation" in screen_text(app))
        await pilot.press("ctrl+u")
        await type_in(pilot, "sort alpha")
        await pilot.press("enter")
        await soon(pilot, lambda: texts(tmp_path)[0] == "hat, hatgirl, number 0")


async def test_an_editor_follows_what_others_write(tmp_path: Path) -> None:
    make_dataset(tmp_path, 3)
    async with running(tmp_path, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app))
        (tmp_path / "4_hat" / "0000.txt").write_text("quite other words, new tag")
        await soon(pilot, lambda: "quite other words" in screen_text(app))


async def test_the_sweep_asks_for_one_tag_image_after_image(tmp_path: Path) -> None:
    make_dataset(tmp_path, 3)
    async with running(tmp_path, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app))
        await pilot.press("space")
        await soon(pilot, lambda: "and then" in screen_text(app))
        await pilot.press("s")
        await soon(pilot, lambda: isinstance(app.screen, TagsScreen))
        await soon(pilot, lambda: tags(app).query_one("#prompt").display)
        await pilot.press("ctrl+u")
        await type_in(pilot, "hat")
        await pilot.press("enter")
        await soon(pilot, lambda: "1 of 3" in screen_text(app))
        await pilot.press("n", "n", "u", "y", "s")
        await soon(pilot, lambda: ready(app))
        await soon(pilot, lambda: [" hat," in text for text in texts(tmp_path)] == [False, True, True])


@pytest.mark.parametrize("name", list(KEYMAPS))
def test_every_keymap_is_whole_and_free_of_clashes(name: str) -> None:
    keymap = keymap_for(all_actions(), Settings(keymap=name))
    assert keymap.clashes() == ()
    for action in keymap.actions.of("tags"):
        assert keymap.keys(action.id), action.id
    assert all(action in keymap.actions for action in KEYMAPS[name][1])


def test_own_keys_lie_over_a_keymap_and_two_keys_make_one() -> None:
    keymap = keymap_for(all_actions(), Settings(keymap="bdtm", keys={"tags.add": ("ctrl+k x",)}))
    assert keymap.keys("tags.add") == ("ctrl+k x",)
    assert keymap.shown("tags.add") == "^k x"
    refused = Keymap(all_actions(), {"tags.add": ("space",)})
    assert "space" in refused.problems[0].message.casefold() or refused.keys("tags.add") == ("a",)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("s/hat/cap/", 'replace /hat/ with "cap" part'),
        ("s/^hat$/cap/ti", 'replace /^hat$/ with "cap" whole ignorecase'),
        ("sort alpha", ""),
    ],
)
def test_a_substitution_of_vi_is_an_operation(typed: str, meant: str) -> None:
    assert substitution(typed) == meant
