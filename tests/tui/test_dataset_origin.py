"""The app asks once where images are from; the answer is kept, can be taken back, and need not be given."""

from __future__ import annotations

from pathlib import Path

from tui.driving import running, screen_text, soon
from tui.projects import make_dataset
from tui.seeing import sees

from lora_tui.dataset.notes import change_notes, load_notes
from lora_tui.project import Project

QUESTION, HINT = "Where are these images from?", "Space s: note their source"


def project_for(root: Path, purpose: str) -> Path:
    project = Project.adopt(make_dataset(root, 3))
    project.purpose, project.trigger = purpose, "hatgirl"
    project.save()
    return root


async def test_it_reminds_once_asks_and_notes_both(tmp_path: Path) -> None:
    home = tmp_path / "4_hat"
    async with running(project_for(tmp_path, "character"), size=(100, 30), screen="dataset") as (app, pilot):
        await sees(pilot, HINT)
        assert "3 images" in screen_text(app).splitlines()[-2]
        await pilot.press("space", "s")
        await sees(pilot, "real person")
        assert QUESTION in screen_text(app)
        assert "LoRA files" in screen_text(app)
        await pilot.press(*"my camera", "enter")
        await sees(pilot, "What may be done with them?")
        await pilot.press("down", "down", "down", "enter")
        await sees(pilot, "Noted: my camera, CC BY 4.0")
        notes = load_notes(home)
        assert (notes.source, notes.licence) == ("my camera", "CC BY 4.0")
        await pilot.press("space", "s")
        await sees(pilot, "my camera")
        await pilot.press("enter")
        await sees(pilot, "What may be done")
        await pilot.press("escape")
        await soon(pilot, lambda: len(app.screen_stack) == 1)
        assert load_notes(home) == notes
        await pilot.press("u")
        await sees(pilot, "undone: source and licence")
        assert not load_notes(home).source
        await pilot.press("down")  # what was done is said until the next key
        await sees(pilot, HINT)


async def test_one_answer_for_several_datasets_or_each_its_own(tmp_path: Path) -> None:
    make_dataset(tmp_path, 2)
    make_dataset(tmp_path, 2, folder="2_scarf")
    homes = [tmp_path / "2_scarf", tmp_path / "4_hat"]
    change_notes(homes[0], lambda notes: notes.excluding("0001.png"))
    change_notes(homes[1], lambda notes: notes.about(source="a friend"))
    async with running(tmp_path, size=(100, 30), screen="dataset") as (_app, pilot):
        await sees(pilot, HINT)
        await pilot.press("space", "s")
        await sees(pilot, "Of which images?")
        await pilot.press("enter")
        await sees(pilot, "it is not asked again")
        await pilot.press(*"us both", "enter")
        await sees(pilot, "What may be done")
        await pilot.press("enter")
        await sees(pilot, "Noted: us both")
        assert [load_notes(home).source for home in homes] == ["us both"] * 2
        assert load_notes(homes[0]).excluded == {"0001.png"}
        await pilot.press("u")
        await sees(pilot, "undone: ")
        assert [load_notes(home).source for home in homes] == ["", "a friend"]


async def test_an_empty_answer_puts_it_off_for_good(tmp_path: Path) -> None:
    project_for(tmp_path, "style")
    async with running(tmp_path, size=(80, 24), screen="dataset") as (app, pilot):
        await sees(pilot, HINT)
        await pilot.press("space", "s")
        await sees(pilot, "empty, it is not asked again.")
        assert "real person" not in screen_text(app)
        await pilot.press("enter")
        await sees(pilot, "What may be done")
        await pilot.press("enter")
        await sees(pilot, "Noted that it is not said")
        assert load_notes(tmp_path / "4_hat").asked
        await soon(pilot, lambda: HINT not in screen_text(app))
    async with running(tmp_path, size=(80, 24), screen="dataset") as (app, pilot):
        await sees(pilot, "0000.png")
        await pilot.pause(0.2)
        assert HINT not in screen_text(app)
