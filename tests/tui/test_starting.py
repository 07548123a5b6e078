"""From every screen of a run one key starts it; the form's file can get another name; Home tells what is so."""

from __future__ import annotations

from pathlib import Path

import pytest
from run_folders import write_run
from tui.driving import running, screen_text, settled, soon
from tui.projects import make_dataset
from tui.seeing import app_on, sees, text_of

from lora_tui.project import Project
from lora_tui.tui.screens.palette import Entry, search
from lora_tui.tui.widgets.dialog import Confirm


def made(tmp_path: Path) -> Path:
    Project.create(tmp_path, purpose="character", trigger="hatgirl")
    return make_dataset(tmp_path, 4)


@pytest.mark.parametrize("screen", ["home", "training"])
async def test_the_key_that_starts_goes_to_the_form_and_starts_there(tmp_path: Path, screen: str) -> None:
    async with running(made(tmp_path), screen=screen) as (app, pilot):
        await sees(pilot, "^r start training")
        await pilot.press("ctrl+r")
        await soon(pilot, lambda: app.current_mode == "parameters")
        # without a base model the run is refused, and the reason is said
        await soon(pilot, lambda: isinstance(app.screen, Confirm) or "base model" in screen_text(app).splitlines()[-2])


async def test_no_run_is_claimed_before_the_runs_are_read(tmp_path: Path) -> None:
    write_run(tmp_path / "runs", ending="completed")
    app = app_on(tmp_path, "home")
    async with app.run_test(size=(80, 24)) as pilot:
        seen: set[str] = set()
        while not settled(app) or not app.workspace.runs:
            seen |= {line for line in screen_text(app).splitlines() if "F5" in line}
            await pilot.pause(0.005)
        assert seen and not [line for line in seen if "no run yet" in line]


async def test_what_is_not_saved_has_its_star_on_the_first_screen_and_can_be_saved_under_a_name(tmp_path: Path) -> None:
    async with running(made(tmp_path), screen="parameters", size=(100, 30)) as (app, pilot):
        await pilot.press("ctrl+s")
        await soon(pilot, lambda: app.workspace.config_path is not None)
        first = app.workspace.config_path
        await pilot.press("tab", "tab", "tab", "down", "1", "2", "enter")
        await soon(pilot, lambda: app.workspace.config_changed)
        await pilot.press("escape")
        await soon(pilot, lambda: app.current_mode == "home" and "* not saved" in screen_text(app))
        await pilot.press("f4", "S")
        await sees(pilot, "Save the configuration as")
        await pilot.press("ctrl+u", *(first.name if first else ""), "enter")
        await sees(pilot, "There is one of this name already")
        await pilot.press("ctrl+u", *"second", "enter")
        await soon(pilot, lambda: app.workspace.config_path == tmp_path / "configs" / "second.toml")
        assert (tmp_path / "configs" / "second.toml").is_file() and not app.workspace.config_changed
        await pilot.press("escape")
        await soon(pilot, lambda: app.current_mode == "home")
        await soon(pilot, lambda: "not saved" not in "\n".join(text_of(app.screen.query_one("#road"))))


async def test_the_palette_has_one_start_only(tmp_path: Path) -> None:
    async with running(made(tmp_path), screen="parameters") as (app, _pilot):
        entries = [Entry(action, "") for action in app.keymap.actions if action.context in ("app", "parameters")]
        titles = [
            entry.action.title for entry in search(entries, "start") if entry.action.title.casefold()[:5] == "start"
        ]
        assert titles == ["start training"]
