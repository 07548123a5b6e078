"""The start says where the project stands, what to do next, and leads there."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from PIL import Image
from tui.driving import running, screen_text, soon
from tui.projects import make_dataset
from tui.seeing import text_of

from lora_tui.jobs.events import EventWriter
from lora_tui.project import Project
from lora_tui.runs.folder import RunFolder
from lora_tui.settings import recent_projects, remember_project
from lora_tui.tui.advice import when
from lora_tui.tui.screens.parameters import ParametersScreen
from lora_tui.tui.widgets.virtual_list import VirtualList

pytestmark = pytest.mark.usefixtures("may_fetch")


def text_of_row(rows: VirtualList, index: int) -> str:
    return rows._row_strip(index, 200).text


def finished_run(project: Path, steps: int = 12) -> RunFolder:
    run = RunFolder.create(project / "runs", "hats", "schema_version = 1\n", {"number": 1})
    events = EventWriter(run.events_path)
    events.emit("run", total_steps=steps, epochs=1, steps_per_epoch=steps, batches_per_epoch=steps, name="hats")
    events.emit("step", step=steps, epoch=1, loss=0.08, step_seconds=0.5)
    events.emit("finished", reason="completed", step=steps, path="checkpoints/hats.safetensors")
    return run


async def test_an_empty_folder_says_what_belongs_there_and_how_to_begin(tmp_path: Path) -> None:
    async with running(tmp_path) as (app, pilot):
        screen = screen_text(app)
        for words in ("no images yet", "no run yet", "To begin", "n makes a project", "o opens a project", "demo"):
            assert words in screen
        assert "No dataset folder" not in screen  # what is missing in nothing helps nobody
        await pilot.press("tab", "enter")
        await soon(pilot, lambda: "The folder: one with images in it" in screen_text(app))


async def test_the_road_says_how_far_the_project_is(tmp_path: Path) -> None:
    Project.create(make_dataset(tmp_path, 6), purpose="character", trigger="hatgirl", base_model="owner/model")
    finished_run(tmp_path)
    async with running(tmp_path, size=(120, 30)) as (app, pilot):
        await soon(pilot, lambda: "run 1 finished, step 12 of 12, loss 0.0800" in screen_text(app))
        screen = screen_text(app)
        assert "6 images, repeats 4" in screen
        assert "rank 32 · 512 px" in screen
        assert "10 epochs" in screen
        assert "run 1 finished, 12 steps" in screen


async def test_images_of_a_folder_that_only_the_configuration_names_are_told_with_it(tmp_path: Path) -> None:
    here, there = make_dataset(tmp_path / "here", 2), make_dataset(tmp_path / "there", 3)
    (here / "configs").mkdir()
    (here / "configs" / "old.toml").write_text(f'[[datasets]]\npath = "{there}"\n')
    async with running(here, size=(200, 30)) as (app, pilot):
        await soon(pilot, lambda: f"3 images from {str(there)[:20]}" in screen_text(app))


async def test_a_project_that_is_ready_says_how_to_start(tmp_path: Path) -> None:
    Project.create(make_dataset(tmp_path, 30), purpose="character", trigger="hatgirl", base_model="owner/model")
    async with running(tmp_path, size=(140, 40)) as (app, pilot):
        await soon(pilot, lambda: "F4, then ^r, starts the first training" in screen_text(app))


async def test_advice_names_what_is_wrong_and_its_remedy_under_the_cursor(tmp_path: Path) -> None:
    make_dataset(tmp_path, 4)
    (tmp_path / "4_hat" / "0001.txt").unlink()
    (tmp_path / "4_hat" / "0002.txt").write_text("")
    async with running(tmp_path) as (app, pilot):
        screen = screen_text(app)
        assert "No base model is set." in screen
        assert "0001.png: The image has no caption." in screen
        assert screen.count("has no caption") == 1
        await pilot.press("tab")
        await soon(pilot, lambda: "such as owner/model" in screen_text(app))
        await pilot.press("enter")
        await soon(pilot, lambda: isinstance(app.screen, ParametersScreen) and app.screen.row is not None)
        await soon(pilot, lambda: app.screen.row.key == "model.base")  # type: ignore[attr-defined]


async def test_an_advice_leads_to_the_setting_or_the_file_that_it_is_about(tmp_path: Path) -> None:
    make_dataset(tmp_path, 12)
    (tmp_path / "4_hat" / "0007.txt").unlink()
    (tmp_path / "configs").mkdir()
    text = f'schema_version = 1\n[network]\nrank = 8\nalpha = 64\n[[datasets]]\npath = "{tmp_path}"\n'
    (tmp_path / "configs" / "a.toml").write_text(text)
    async with running(tmp_path, size=(120, 30)) as (app, pilot):
        rows = app.screen.query_one("#advice", VirtualList)
        texts = [text_of_row(rows, index) for index in range(rows.count)]
        for words, arrived in (
            ("alpha", lambda: app.screen.row.key == "network.alpha"),  # type: ignore[attr-defined]
            ("0007.png", lambda: "0007.png" in text_of(app.screen.query_one("#facts"))[0]),
        ):
            rows.focus()
            rows.cursor = [words in text for text in texts].index(True)
            await pilot.press("enter")
            await soon(pilot, lambda: app.current_mode != "home")
            await soon(pilot, arrived)
            await pilot.press("escape")
            await soon(pilot, lambda: app.current_mode == "home")


async def test_one_kind_of_problem_is_said_once(tmp_path: Path) -> None:
    make_dataset(tmp_path, 9)
    for caption in (tmp_path / "4_hat").glob("000[1-5].txt"):
        caption.unlink()
    async with running(tmp_path) as (app, _pilot):
        assert "The image has no caption. (5 files)" in screen_text(app)


async def test_problems_with_words_of_their_own_share_a_heading(tmp_path: Path) -> None:
    make_dataset(tmp_path, 9)
    for number in (1, 2, 3):
        (tmp_path / "4_hat" / f"000{number}.txt").write_text(f"hat, tag {number}, tag {number}")
    async with running(tmp_path) as (app, _pilot):
        assert "Tags come twice. (3 files)" in screen_text(app)


async def test_the_cursor_walks_through_all_parts_and_back(tmp_path: Path) -> None:
    Project.create(make_dataset(tmp_path, 3))
    finished_run(tmp_path)
    async with running(tmp_path) as (app, pilot):
        await soon(pilot, lambda: "Recent" in screen_text(app))
        parts = [app.screen.focused.id]  # type: ignore[union-attr]
        for _step in range(40):
            await pilot.press("down")
            parts.append(app.screen.focused.id)  # type: ignore[union-attr]
        assert list(dict.fromkeys(parts)) == ["road", "advice", "recent"]
        for _step in range(40):
            await pilot.press("up")
        assert app.screen.focused.id == "road"  # type: ignore[union-attr]
        await pilot.press("tab", "tab", "enter")
        await soon(pilot, lambda: app.current_mode == "training")
        assert app.workspace.run is not None


async def test_enter_opens_the_step_under_the_cursor(tmp_path: Path) -> None:
    async with running(make_dataset(tmp_path)) as (app, pilot):
        await pilot.press("enter")
        await soon(pilot, lambda: app.current_mode == "dataset")


async def test_other_projects_are_offered_and_open(tmp_path: Path) -> None:
    other = make_dataset(tmp_path / "other", 3)
    remember_project(other)
    here = make_dataset(tmp_path / "here", 2)
    async with running(here) as (app, pilot):
        await soon(pilot, lambda: str(other)[-12:] in screen_text(app))
        await pilot.press("tab", "tab", "enter")
        await soon(pilot, lambda: app.workspace.root == other and "3 images" in screen_text(app))
        await soon(pilot, lambda: recent_projects()[:2] == (other, here))


async def test_lists_share_the_lines_of_the_screen(tmp_path: Path) -> None:
    for number in range(3):
        remember_project(make_dataset(tmp_path / f"other{number}", 1))
    here = make_dataset(tmp_path / "here", 2)
    async with running(here, size=(80, 25)) as (app, pilot):
        await soon(pilot, lambda: all(f"other{number}" in screen_text(app) for number in range(3)))
        assert "No base model is set." in screen_text(app)
        await pilot.resize_terminal(60, 15)
        await soon(pilot, lambda: "other2" in screen_text(app) and "No base model" in screen_text(app))


async def test_a_new_project_is_made_by_three_answers(tmp_path: Path) -> None:
    make_dataset(tmp_path, 3)
    async with running(tmp_path) as (app, pilot):
        await pilot.press("n")
        await soon(pilot, lambda: "The folder" in screen_text(app))
        await pilot.press("enter")
        await soon(pilot, lambda: "What is the LoRA to learn" in screen_text(app))
        await pilot.press(*"style", "enter")
        await soon(pilot, lambda: "trigger word" in screen_text(app))
        await pilot.press(*"inkstyle", "enter")
        await soon(pilot, lambda: app.workspace.saved)
        project = Project.load(tmp_path)
        assert (project.purpose, project.trigger) == ("style", "inkstyle")
        await soon(pilot, lambda: "· style" in screen_text(app).splitlines()[0])


async def test_a_project_that_is_there_already_is_not_made_again(tmp_path: Path) -> None:
    Project.create(make_dataset(tmp_path / "a", 3), trigger="first")
    async with running(tmp_path) as (app, pilot):
        await pilot.press("n")
        await soon(pilot, lambda: "a/" in screen_text(app))
        await pilot.press("tab", "enter")
        await soon(pilot, lambda: "to learn" in screen_text(app))
        await pilot.press("enter")
        await soon(pilot, lambda: "trigger word" in screen_text(app))
        await pilot.press("enter")
        await soon(pilot, lambda: "project here already" in screen_text(app))
        assert Project.load(tmp_path / "a").trigger == "first"


async def test_names_from_outside_are_shown_as_they_are(tmp_path: Path) -> None:
    folder = tmp_path / "[red]x[bold] \x1b[31m"
    make_dataset(folder, 2)
    (folder / "4_hat" / "[b]\x1b]0;t\x07.png").write_bytes(b"nothing")
    async with running(folder, size=(120, 24)) as (app, _pilot):
        screen = screen_text(app)
        assert screen.startswith("[red]x[bold] ␛[31m")
        assert "[b]␛]0;t␇.png" in screen


def test_times_are_hours_today_and_days_before() -> None:
    now = time.mktime((2026, 3, 4, 15, 30, 0, 0, 0, -1))
    assert when(now - 3600, now) == "14:30"
    assert when(now - 86400, now) == "03-03"


async def test_images_held_by_a_stubborn_format_do_not_stop_the_start(tmp_path: Path) -> None:
    make_dataset(tmp_path, 1)
    Image.new("RGBA", (64, 64), (1, 2, 3, 0)).save(tmp_path / "4_hat" / "alpha.webp")
    Image.new("I;16", (64, 64)).save(tmp_path / "4_hat" / "deep.png")
    async with running(tmp_path) as (app, _pilot):
        assert "3 images" in screen_text(app)


async def test_more_images_than_are_looked_at_for_damage_are_said_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lora_tui.tui.workspace.GROUPED_AT_MOST", 3)
    monkeypatch.setattr("lora_tui.tui.advice.GROUPED_AT_MOST", 3)
    Project.create(make_dataset(tmp_path, 4), purpose="style", trigger="hatgirl", base_model="owner/model")
    async with running(tmp_path, size=(200, 30)) as (app, pilot):
        await soon(pilot, lambda: "looked for in up to 3 images here; these are 4." in screen_text(app))
        assert f"In a shell, lora-tui dataset check {tmp_path}" in screen_text(app)
        await pilot.press("f2")
        await soon(pilot, lambda: "not searched for damage" in screen_text(app))
