"""The tag editor: what is filtered, marked, previewed, changed and undone, down to the bytes on disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from caption_folders import edit, opened
from PIL import Image
from tui.driving import running, screen_text, soon
from tui.projects import make_dataset

from lora_tui.settings import Settings
from lora_tui.tui.app import LoraTuiApp
from lora_tui.tui.keymap import Keymap
from lora_tui.tui.keymaps import KEYMAPS, keymap_for
from lora_tui.tui.screens import all_actions
from lora_tui.tui.screens.tags import TagsScreen
from lora_tui.tui.tags.offers import operation_offers, substitution


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


async def test_filters_ask_for_buckets_and_near_duplicates(tmp_path: Path) -> None:
    make_dataset(tmp_path, 3)
    pictures = sorted(tmp_path.rglob("*.png"))
    copied = pictures[0].with_name(f"{pictures[0].stem}_copy.png")
    copied.write_bytes(pictures[0].read_bytes())
    with Image.effect_noise((400, 100), 80) as noise:
        noise.convert("RGB").save(tmp_path / "wide.png")
    async with running(tmp_path, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app))
        for text, found in (("bucket:1024x256", {"wide.png"}), ("dup:any", {pictures[0].name, copied.name})):
            await pilot.press("slash", "ctrl+u")
            await type_in(pilot, text)
            await pilot.press("enter")
            await soon(pilot, lambda text=text: f"FILTER {text}" in screen_text(app))
            editor = tags(app).editor
            assert editor is not None
            assert found == {Path(editor.entry(number).name).name for number in editor.visible}


async def test_a_rename_over_a_filter_is_shown_first_then_done_then_undone(tmp_path: Path) -> None:
    before = texts(make_dataset(tmp_path, 6))
    async with running(tmp_path, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app))
        assert tags(app).look.title(38) == ("PICTURE", "v caption  changes  history")  # whole words alone
        assert tags(app).look.title(60)[1] == "v caption  changes  history  scores"
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


async def test_an_answer_of_the_sweep_is_taken_back_without_what_others_did(tmp_path: Path) -> None:
    make_dataset(tmp_path, 2)
    first = tmp_path / "4_hat" / "0000.txt"
    async with running(tmp_path, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app))
        editor = tags(app).editor
        assert editor is not None
        await pilot.press("space", "s")
        await soon(pilot, lambda: tags(app).query_one("#prompt").display)
        await type_in(pilot, "smile")
        await pilot.press("enter")
        await soon(pilot, lambda: "1 of 2" in screen_text(app))
        await pilot.press("y")
        await soon(pilot, lambda: first.read_text().endswith(", smile"))
        other = opened(tmp_path)
        edit(other, "add other", [0])
        other.close()
        await soon(pilot, lambda: "other" in editor.entry(0).tags)
        await pilot.press("u")
        await soon(pilot, lambda: first.read_text() == "hatgirl, hat, number 0, other")
        assert "1 of 2" in screen_text(app)
        await pilot.press("n", "n")
        await soon(pilot, lambda: ready(app))
        assert first.read_text() == "hatgirl, hat, number 0, other"


async def test_a_preview_stays_until_it_is_answered_although_another_folder_is_meant(tmp_path: Path) -> None:
    make_dataset(tmp_path / "one", 2)
    make_dataset(tmp_path / "two", 3)
    async with running(tmp_path / "one", screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app))
        await pilot.press("colon")
        await type_in(pilot, "add x")
        await pilot.press("enter")
        await pilot.press("A")
        await type_in(pilot, "smile")
        await pilot.press("enter")
        await soon(pilot, lambda: tags(app).edits.pending is not None)
        config = app.workspace.config
        assert config is not None
        config.datasets[0].path = str(tmp_path / "two")
        app.changed("config")
        await pilot.press("enter")
        await soon(pilot, lambda: [text.count("smile") for text in texts(tmp_path / "one")] == [1, 1])
        await soon(pilot, lambda: "FILES  3" in screen_text(app))


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


async def test_keys_of_the_sweep_are_the_persons_own(tmp_path: Path) -> None:
    make_dataset(tmp_path, 3)
    own = Settings(keys={"sweep.no": ("0",), "prune.flip": ("f",)})
    async with running(tmp_path, screen="tags", settings=own) as (app, pilot):
        await soon(pilot, lambda: ready(app))
        await pilot.press("tab", "down", "space", "s")
        await soon(pilot, lambda: tags(app).query_one("#prompt").display)
        await pilot.press("enter")
        await soon(pilot, lambda: "0 has it not" in screen_text(app))
        await pilot.press("0", "escape")
        await soon(pilot, lambda: [" hat," in text for text in texts(tmp_path)] == [False, True, True])


async def test_keys_of_the_prune_assistant_are_the_persons_own(tmp_path: Path) -> None:
    from lora_tui.captions.prune import Candidate, Plan
    from lora_tui.tui.screens.tags_prune import PruneDialog

    make_dataset(tmp_path, 1)
    chosen: list[list[str] | None] = []
    async with running(tmp_path, settings=Settings(keys={"prune.flip": ("f",)})) as (app, pilot):
        plan = Plan("character", 4, (Candidate("black hair", "hair", 4, 1.0, "keep"),))
        app.push_screen(PruneDialog(plan), chosen.append)
        await soon(pilot, lambda: "f remove or keep" in screen_text(app))
        await pilot.press("f", "enter")
        await soon(pilot, lambda: chosen == [["black hair"]])


async def test_the_contact_sheet_shows_the_marked_images_and_changes_the_tag_under_the_cursor(tmp_path: Path) -> None:
    make_dataset(tmp_path, 5)
    async with running(tmp_path, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app))
        await pilot.press("m", "m", "m", "tab", "home", "down", "space", "c")
        await soon(pilot, lambda: "1 of 3" in screen_text(app))
        assert "tag: hat" in screen_text(app)
        assert "0002.png" in screen_text(app)
        assert "0003.png" not in screen_text(app)
        await pilot.press("l", "t")
        await soon(pilot, lambda: ["hat," in text for text in texts(tmp_path)] == [True, False, True, True, True])
        await pilot.press("m", "enter")
        await soon(pilot, lambda: ready(app) and "union of 2 marked" in screen_text(app))
        assert tags(app).panes.number == 2


async def test_the_caption_uses_the_whole_pane_and_tells_what_changed(tmp_path: Path) -> None:
    make_dataset(tmp_path, 2)
    (tmp_path / "4_hat" / "0000.txt").write_text("a girl with a hat on her head, hatgirl, hat")
    async with running(tmp_path, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app))
        await pilot.press("v")
        await soon(pilot, lambda: "a girl with a hat on her head, " in screen_text(app).rpartition("CAPTION")[2])
        await pilot.press("v", "tab", "down", "x")
        await soon(pilot, lambda: "- hatgirl" in screen_text(app))
        await pilot.press("u")
        await soon(pilot, lambda: "It is again as it was" in screen_text(app))


async def test_one_caption_and_one_tag_are_taken_back_alone(tmp_path: Path) -> None:
    before = texts(make_dataset(tmp_path, 3))
    async with running(tmp_path, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app))
        for command in ("add new", "remove hat", "rename hatgirl to cap"):
            await pilot.press("*", "colon")
            await type_in(pilot, command)
            await pilot.press("enter")
            await soon(pilot, lambda: tags(app).edits.pending is not None)
            await pilot.press("enter")
            await soon(pilot, lambda: not tags(app).edits.pending)
        after = [text.replace("hatgirl, hat,", "cap,") + ", new" for text in before]
        await soon(pilot, lambda: texts(tmp_path) == after)
        await pilot.press("space", "u")
        await soon(pilot, lambda: texts(tmp_path)[0] == after[0].replace("cap", "hatgirl"))
        assert texts(tmp_path)[1:] == after[1:]
        await pilot.press("colon")
        await type_in(pilot, "revert tag hat")
        await pilot.press("enter")
        await soon(pilot, lambda: all(" hat," in f" {text}" or ", hat" in text for text in texts(tmp_path)))
        assert all("new" in text for text in texts(tmp_path))


async def test_captions_that_others_wrote_are_found_by_diff(tmp_path: Path) -> None:
    make_dataset(tmp_path, 40)
    async with running(tmp_path, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app))
        (tmp_path / "4_hat" / "0035.txt").write_text("quite other words")
        await pilot.press("colon")
        await type_in(pilot, "diff")
        await pilot.press("enter")
        await soon(pilot, lambda: "1 caption differs on disk" in screen_text(app))
        assert "+ quite other words" in screen_text(app)
        await pilot.press("enter")
        await soon(pilot, lambda: ready(app) and tags(app).panes.tags == ["quite other words"])


async def test_while_something_is_asked_the_line_of_keys_is_of_it_and_the_panes_stay(tmp_path: Path) -> None:
    make_dataset(tmp_path, 2)
    async with running(tmp_path, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app))
        height = tags(app).query_one("#files").size.height
        await pilot.press("a")
        await type_in(pilot, "ha")
        await soon(pilot, lambda: "Tab complete" in screen_text(app))
        assert tags(app).query_one("#files").size.height == height
        await pilot.press("escape")
        await soon(pilot, lambda: "x remove" in screen_text(app))


async def test_tags_have_the_colours_and_words_of_their_categories(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists = tmp_path / "home" / "data" / "tags"
    lists.mkdir(parents=True)
    (lists / "tags.csv").write_text("hat,4,900,headwear\n")
    (lists / "zh.txt").write_text("hat=帽子\n")
    monkeypatch.setenv("LORA_TUI_HOME", str(tmp_path / "home"))
    root = tmp_path / "project"
    root.mkdir()
    make_dataset(root, 2)
    async with running(root, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app))
        assert "character" in screen_text(app)
        rows = tags(app).panes
        assert ("hat", "success") in [tuple(rows.tag_cells(index)[1]) for index in range(3)]
        await pilot.press("a")
        await type_in(pilot, "帽")
        await soon(pilot, lambda: "hat" in screen_text(app) and "帽子" in screen_text(app))


async def test_a_tag_is_put_on_a_digit_by_that_digit_and_toggled_with_it(tmp_path: Path) -> None:
    make_dataset(tmp_path, 2)
    async with running(tmp_path, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app))
        await pilot.press("tab", "home", "down", "equals_sign")
        await soon(pilot, lambda: "On which digit is hat?" in screen_text(app))
        await pilot.press("7")
        await soon(pilot, lambda: ready(app) and "7 hat" in screen_text(app))
        await pilot.press("J", "7")
        await soon(pilot, lambda: [" hat," in text for text in texts(tmp_path)] == [True, False])
        await pilot.press("7")
        await soon(pilot, lambda: "hat" in texts(tmp_path)[1].split(", "))
    assert "quick-tags.toml" in {path.name for path in (tmp_path / ".lora-tui").iterdir()}


async def test_a_macro_takes_in_what_changed_nothing_here(tmp_path: Path) -> None:
    make_dataset(tmp_path, 2)
    (tmp_path / "4_hat" / "0000.txt").write_text("hatgirl, hat, smile")
    async with running(tmp_path, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app))
        await pilot.press("space", "q", "a")
        await type_in(pilot, "smile")
        await pilot.press("enter")
        await soon(pilot, lambda: "Nothing changes by" in screen_text(app))
        await pilot.press("i")
        await type_in(pilot, "solo")
        await pilot.press("enter")
        await soon(pilot, lambda: texts(tmp_path)[0] == "solo, hatgirl, hat, smile")
        await pilot.press("space", "q", "J", "at")
        await soon(pilot, lambda: texts(tmp_path)[1] == "solo, hatgirl, hat, number 1, smile")


async def test_a_preview_names_its_own_keys(tmp_path: Path) -> None:
    make_dataset(tmp_path, 2)
    async with running(tmp_path, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app))
        await pilot.press("tab", "down", "X")
        await soon(pilot, lambda: tags(app).edits.pending is not None)
        await soon(pilot, lambda: screen_text(app).splitlines()[-1].startswith("Enter apply  Esc cancel"))
        await pilot.press("escape")
        await soon(pilot, lambda: screen_text(app).splitlines()[-1].startswith("a add"))


async def test_the_tags_of_one_image_have_the_whole_width(tmp_path: Path) -> None:
    make_dataset(tmp_path, 1)
    (tmp_path / "4_hat" / "0000.txt").write_text("a girl with a very large hat, hat")
    async with running(tmp_path, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app))
        await soon(pilot, lambda: "a girl with a very large hat" in screen_text(app).partition("VOCABULARY")[0])


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("rev", ["revert "]),
        ("revert ", ["revert file", "revert tag "]),
        ("revert tag ha", ["revert tag hat", "revert tag hatgirl"]),
        ("undo ", ["undo all"]),
        ("mark ha", ["mark hat", "mark hatgirl"]),
    ],
)
async def test_the_command_line_completes_commands_and_what_follows_them(
    tmp_path: Path, typed: str, offered: list[str]
) -> None:
    make_dataset(tmp_path, 2)
    async with running(tmp_path, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app))
        editor = tags(app).editor
        assert editor is not None
        assert [one.text for one in operation_offers(editor.asking.completer)(typed)] == offered


async def test_what_a_line_would_change_is_told_while_it_is_typed(tmp_path: Path) -> None:
    before = texts(make_dataset(tmp_path, 4))
    async with running(tmp_path, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app))
        await pilot.press("*", "colon")
        await type_in(pilot, "rename hat to cap")
        await soon(pilot, lambda: "4 images, 4 tags  0000.png:  - hat  + cap" in screen_text(app))
        await pilot.press("escape", "M", "a")
        await type_in(pilot, "hat")
        await soon(pilot, lambda: "Nothing would change" in screen_text(app))
        assert texts(tmp_path) == before


async def test_what_speaks_against_a_trigger_word_stands_above_its_preview(tmp_path: Path) -> None:
    make_dataset(tmp_path, 2)
    async with running(tmp_path, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app))
        await pilot.press("T")
        await soon(pilot, lambda: "Trigger word" in screen_text(app))
        await pilot.press("ctrl+u", "h", "a", "t", "enter")
        await soon(pilot, lambda: "hat is a single token" in screen_text(app))
        assert "+ hat" in screen_text(app)


async def test_a_new_name_that_would_swallow_other_tags_is_refused_and_not_fatal(tmp_path: Path) -> None:
    make_dataset(tmp_path, 1)
    (caption,) = (tmp_path / "4_hat").glob("*.txt")
    caption.write_text("x, y, :), x, z")
    async with running(tmp_path, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app))
        await pilot.press("colon")
        await type_in(pilot, 'rename x to "(foo"')
        await soon(pilot, lambda: "Nothing would change" in screen_text(app))
        await pilot.press("enter")
        await soon(pilot, lambda: "A bracket or a line end" in screen_text(app))
        await pilot.press("colon")
        await type_in(pilot, 'rename x to "b, c"')
        await pilot.press("enter")
        await soon(pilot, lambda: caption.read_text() == "b, c, y, :), z")


async def test_a_tag_moves_one_place_although_others_have_its_name(tmp_path: Path) -> None:
    make_dataset(tmp_path, 1)
    (caption,) = (tmp_path / "4_hat").glob("*.txt")
    caption.write_text("a, b, a, c")
    async with running(tmp_path, screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app))
        await soon(pilot, lambda: "TAGS  4" in screen_text(app))
        await pilot.press("tab", "down", "down", "down", "alt+k")
        await soon(pilot, lambda: caption.read_text() == "a, b, c, a")
        await pilot.press("alt+k", "alt+k", "alt+j")
        await soon(pilot, lambda: caption.read_text() == "a, c, b, a")
        await pilot.press("home", "alt+j", "alt+j", "alt+j")
        await soon(pilot, lambda: caption.read_text() == "c, b, a, a")
