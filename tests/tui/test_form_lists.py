"""Lists over the whole form: problems, differences, own presets, what makes a run fit; where values are from."""

from __future__ import annotations

from pathlib import Path

import pytest
from run_folders import write_run
from textual.pilot import Pilot
from tui.driving import screen_text, soon
from tui.projects import make_dataset
from tui.seeing import app_on, sees

from lora_tui.config.fitting import Change
from lora_tui.config.load import dump_config, save_config, set_values
from lora_tui.config.presets import list_presets
from lora_tui.config.schema import Config
from lora_tui.project import Project
from lora_tui.tui.screens.parameters import ParametersScreen

pytestmark = pytest.mark.usefixtures("may_fetch")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose file sets a rank of 48, with one run of rank 64."""
    monkeypatch.setenv("LORA_TUI_HOME", str(tmp_path / "home"))
    make_dataset(tmp_path / "data")
    Project.create(tmp_path, purpose="character", trigger="hatgirl", name="hat", datasets=[tmp_path / "data"])
    said = [f"datasets.0.path={tmp_path / 'data'}", "saving.name=hat"]
    save_config(set_values(Config(), [*said, "network.rank=48"]), tmp_path / "configs" / "hat.toml")
    run = write_run(tmp_path / "runs", steps=2, total=2, ending="completed", name="r64")
    run.config_path.write_text(dump_config(set_values(Config(), [*said, "network.rank=64", "steps.epochs=4"])))
    return tmp_path


async def form(pilot: Pilot[int]) -> ParametersScreen:
    screen = pilot.app.screen
    assert isinstance(screen, ParametersScreen)
    await soon(pilot, lambda: screen.workspace.plan is not None and screen.workspace.runs is not None)
    return screen


async def go_to(pilot: Pilot[int], key: str) -> None:
    await pilot.press("slash", *key, "enter", "escape")


def line_of(pilot: Pilot[int], title: str) -> str:
    """The line of the setting under the cursor."""
    return next(line for line in screen_text(pilot.app).splitlines() if f" {title} " in line and "▌" in line)


async def test_each_value_says_whether_it_is_from_the_file_a_preset_or_an_edit(project: Path) -> None:
    app = app_on(project, "parameters")
    async with app.run_test(size=(120, 30)) as pilot:
        await form(pilot)
        await go_to(pilot, "network.rank")
        assert line_of(pilot, "rank").rstrip("│ ").endswith("file")
        await pilot.press("enter", "7", "enter")
        assert line_of(pilot, "rank").rstrip("│ ").endswith("edited")
        await pilot.press("r")
        await sees(pilot, "The value was edited here and is not saved yet.")
        await pilot.press("escape", "u")
        assert line_of(pilot, "rank").rstrip("│ ").endswith("file")
        await pilot.press("p", *"style", "enter")
        await sees(pilot, "preset Style")
        assert line_of(pilot, "rank").rstrip("│ ").endswith("preset")
        await pilot.press("ctrl+s")
        await sees(pilot, "saved ")
        assert line_of(pilot, "rank").rstrip("│ ").endswith("preset")


async def test_all_problems_stand_in_one_list_that_leads_to_their_settings(project: Path) -> None:
    app = app_on(project, "parameters")
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await form(pilot)
        assert "n next, ! all" in screen_text(app)
        await go_to(pilot, "network.rank")
        await pilot.press("exclamation_mark")
        await sees(pilot, "What is said of this run")
        text = screen_text(app)
        assert "× base model" in text and "No base model is set." in text and "! resolution" in text
        await pilot.press("down", "enter")
        await soon(pilot, lambda: app.screen is screen)
        assert screen.row is not None and screen.row.key == "data.resolution"


async def test_the_form_is_compared_with_a_run_and_goes_to_what_differs(project: Path) -> None:
    app = app_on(project, "parameters")
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await form(pilot)
        await pilot.press("D")
        await sees(pilot, "Compare the form with")
        assert "a configuration of this project" in screen_text(app) and "preset Character" in screen_text(app)
        await pilot.press("enter")
        await sees(pilot, "2 settings differ from run")
        assert "48  there 64" in screen_text(app) and "steps.epochs" in screen_text(app)
        await pilot.press("down", "enter")
        await soon(pilot, lambda: app.screen is screen)
        assert screen.row is not None and screen.row.key == "steps.epochs"
        await pilot.press("D", *"hat.toml", "enter")
        await sees(pilot, "Nothing differs from hat.toml.")


async def test_a_preset_of_ones_own_is_kept_offered_and_never_taken_unasked(project: Path) -> None:
    app = app_on(project, "parameters")
    async with app.run_test(size=(80, 24)) as pilot:
        await form(pilot)
        await pilot.press("W", "slash", "enter")
        await sees(pilot, "Letters, digits, - and _.")
        await pilot.press("backspace", *"mine", "enter", *"Large", "enter")
        await sees(pilot, "saved ")
        await pilot.press("p")
        await sees(pilot, "Enter apply")  # however many there are, the keys stay on the screen
        await pilot.press(*"mine")
        await sees(pilot, "Large")
    assert [one.values for one in list_presets(family="sd15") if one.own] == [{"network.rank": 48}]
    (project / "configs" / "hat.toml").unlink()
    again = app_on(project, "parameters")
    async with again.run_test(size=(80, 24)) as pilot:
        assert (await form(pilot)).form.config.network.rank == 32


async def test_one_key_makes_a_run_fit_and_undo_takes_it_back(project: Path) -> None:
    app = app_on(project, "parameters")
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await form(pilot)
        await pilot.press("F")
        await sees(pilot, "Nothing says that the run does not fit.")
        planned = screen.workspace.planned
        assert planned is not None
        object.__setattr__(planned, "fit", Change({"memory.gradient_checkpointing": True}, memory=1, slower=0.2))
        await pilot.press("F")
        await sees(pilot, "1 setting changed   u undo")
        assert screen.form.config.memory.gradient_checkpointing
        await pilot.press("u")
        assert not screen.form.config.memory.gradient_checkpointing


async def test_the_search_goes_to_the_setting_of_that_name_before_those_that_mention_it(project: Path) -> None:
    app = app_on(project, "parameters")
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await form(pilot)
        for words, key in (
            ("rank", "network.rank"),
            ("network_dim", "network.rank"),
            ("linear_alpha", "network.alpha"),
        ):
            await pilot.press("slash", *words, "enter")
            assert screen.row is not None and screen.row.key == key, words
            await pilot.press("escape")


async def test_the_line_of_keys_says_that_enter_goes_to_the_setting_that_is_found(project: Path) -> None:
    app = app_on(project, "parameters")
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await form(pilot)
        await pilot.press("slash", *"rank")
        await sees(pilot, "Enter go to it")
        assert "Enter edit" not in screen_text(app)
        await pilot.press("enter")
        await sees(pilot, "Enter edit")
        assert not screen.pane.editing and screen.row is not None and screen.row.key == "network.rank"
