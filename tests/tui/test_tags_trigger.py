"""The trigger word given in the tag editor, and the project that keeps it."""

from __future__ import annotations

from pathlib import Path

from tui.driving import running, screen_text, soon
from tui.projects import make_dataset
from tui.test_tags import ready, tags, texts

from lora_tui.project import FILE_NAME, Project


def make_project(root: Path, trigger: str) -> Path:
    make_dataset(root, 3)
    word = f'trigger = "{trigger}" # of the person\n' if trigger else ""
    (root / FILE_NAME).write_text(f'# mine\nname = "hats"\n{word}\n[[datasets]]\npath = "."\n')
    return root


async def give(pilot, word: str) -> None:  # type: ignore[no-untyped-def]  # Textual's pilot
    app = pilot.app
    await soon(pilot, lambda: ready(app))
    await pilot.press("T")
    await soon(pilot, lambda: "Trigger word" in screen_text(app))
    await pilot.press("ctrl+u", *word, "enter")


async def test_a_trigger_word_becomes_that_of_a_project_that_has_none_once_it_is_applied(tmp_path: Path) -> None:
    root = make_project(tmp_path, "")
    before = (root / FILE_NAME).read_text()
    async with running(root, screen="tags") as (app, pilot):
        await give(pilot, "xhatgirl")
        await soon(pilot, lambda: tags(app).edits.pending is not None)
        await pilot.press("escape")
        assert (root / FILE_NAME).read_text() == before
        await give(pilot, "xhatgirl")
        await soon(pilot, lambda: tags(app).edits.pending is not None)
        await pilot.press("enter")
        await soon(pilot, lambda: all(text.startswith("xhatgirl, ") for text in texts(root)))
        await soon(pilot, lambda: Project.load(root).trigger == "xhatgirl")
        assert '# mine\nname = "hats"\ntrigger = "xhatgirl"\n\n[[datasets]]' in (root / FILE_NAME).read_text()
        await soon(pilot, lambda: "trigger" in screen_text(app).partition("VOCABULARY")[0])
        editor = tags(app).editor
        assert editor is not None and editor.asking.trigger == "xhatgirl"


async def test_a_project_with_another_trigger_word_is_asked_about(tmp_path: Path) -> None:
    root = make_project(tmp_path, "hatgirl")
    async with running(root, screen="tags") as (app, pilot):
        await give(pilot, "other")
        await soon(pilot, lambda: "What is other?" in screen_text(app))
        await pilot.press("escape")
        await soon(pilot, lambda: ready(app) and tags(app).edits.pending is None)
        await give(pilot, "other")
        await soon(pilot, lambda: "What is other?" in screen_text(app))
        await pilot.press("down", "enter")
        await soon(pilot, lambda: tags(app).edits.pending is not None)
        await pilot.press("enter")
        await soon(pilot, lambda: all(text.startswith("other, hatgirl") for text in texts(root)))
        assert Project.load(root).trigger == "hatgirl"
        await give(pilot, "third")
        await soon(pilot, lambda: "What is third?" in screen_text(app))
        await pilot.press("enter")
        await soon(pilot, lambda: tags(app).edits.pending is not None)
        await pilot.press("enter")
        await soon(pilot, lambda: Project.load(root).trigger == "third")
        assert 'trigger = "third" # of the person' in (root / FILE_NAME).read_text()


async def test_a_word_that_every_caption_has_already_is_kept_without_an_edit(tmp_path: Path) -> None:
    root = make_project(tmp_path, "")
    async with running(root, screen="tags") as (_app, pilot):
        await give(pilot, "hatgirl")
        await soon(pilot, lambda: Project.load(root).trigger == "hatgirl")
