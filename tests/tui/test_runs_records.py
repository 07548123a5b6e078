"""The list of runs as a record: filter, notes, tags, rating, marks, clone, publish, remove."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from run_folders import write_run
from tui.driving import screen_text, soon
from tui.seeing import app_on, sees, text_of

from lora_tui.config.load import dump_config, load_config, save_config, set_values
from lora_tui.config.schema import Config
from lora_tui.records.notes import read_notes
from lora_tui.runs.folder import RunFolder, list_runs
from lora_tui.settings import load_settings
from lora_tui.tui.app import LoraTuiApp
from lora_tui.tui.screens.parameters import ParametersScreen
from lora_tui.tui.screens.runs import RunsScreen


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[RunFolder]:
    monkeypatch.setenv("LORA_TUI_HOME", str(tmp_path / "home"))
    made = []
    for rank, ending in ((32, "completed"), (64, "died")):
        run = write_run(tmp_path / "runs", steps=60, total=60, ending=ending, name=f"r{rank}")
        run.config_path.write_text(dump_config(set_values(Config(), [f"network.rank={rank}", "saving.name=hat"])))
        made.append(run)
    return made


def rows(app: LoraTuiApp) -> list[str]:
    return [row for row in text_of(app.screen.query_one("#list"))[1:] if row.strip()]


async def test_the_adapter_is_in_the_list_at_80_columns(runs: list[RunFolder], tmp_path: Path) -> None:
    app = app_on(tmp_path, "runs")
    async with app.run_test(size=(80, 24)) as pilot:
        await sees(pilot, "LoRA 64")
        assert "LoRA 32" in rows(app)[1] and "best @50" in screen_text(app)


async def test_a_filter_follows_what_is_typed_and_says_what_is_wrong(runs: list[RunFolder], tmp_path: Path) -> None:
    app = app_on(tmp_path, "runs")
    async with app.run_test(size=(120, 30)) as pilot:
        await sees(pilot, "LoRA 64")
        await pilot.press("/", *"rank<50")
        await soon(pilot, lambda: len(rows(app)) == 1)
        assert "LoRA 32" in rows(app)[0]
        await pilot.press("enter")
        await sees(pilot, "filter: rank<50")
        await pilot.press("/", *"rnk>1")
        await sees(pilot, "Did you mean rank")
        await pilot.press("escape")
        await soon(pilot, lambda: len(rows(app)) == 1)
        await pilot.press("escape")
        await soon(pilot, lambda: len(rows(app)) == 2)
        assert isinstance(app.screen, RunsScreen)


async def test_note_tags_and_rating_of_the_marked_runs(runs: list[RunFolder], tmp_path: Path) -> None:
    app = app_on(tmp_path, "runs")
    async with app.run_test(size=(160, 40)) as pilot:
        await sees(pilot, "LoRA 64")
        await pilot.press("n", *"too soft", "enter")
        await soon(pilot, lambda: read_notes(runs[1]).note == "too soft")
        await sees(pilot, "too soft")
        await pilot.press("M", "4")
        await soon(pilot, lambda: [read_notes(run).rating for run in runs] == [4, 4])
        await pilot.press("a", *"good new", "enter")
        await soon(pilot, lambda: [read_notes(run).tags for run in runs] == [("good", "new")] * 2)
        await soon(pilot, lambda: "****" in rows(app)[0] and "good new" in rows(app)[1])
        await pilot.press("a", *"final", "enter")
        await soon(pilot, lambda: read_notes(runs[0]).tags == ("final",))
        await pilot.press("s", *"rating", "enter")
        await sees(pilot, "by rating")


async def test_a_run_is_cloned_into_the_form(runs: list[RunFolder], tmp_path: Path) -> None:
    app = app_on(tmp_path, "runs")
    async with app.run_test(size=(100, 30)) as pilot:
        await sees(pilot, "LoRA 64")
        await pilot.press("y")
        await soon(pilot, lambda: isinstance(app.screen, ParametersScreen))
        config = app.workspace.config
        assert config is not None and config.network.rank == 64 and app.workspace.config_path is None


async def test_saving_a_clone_leaves_the_file_that_was_open_alone(runs: list[RunFolder], tmp_path: Path) -> None:
    open_file = tmp_path / "configs" / "hat.toml"
    save_config(set_values(Config(), ["network.rank=8", "saving.name=hat"]), open_file)
    app = app_on(tmp_path, "runs")
    async with app.run_test(size=(100, 30)) as pilot:
        await sees(pilot, "LoRA 64")
        assert app.workspace.config_path == open_file
        await pilot.press("y")
        await sees(pilot, "not saved yet")
        await pilot.press("ctrl+s")
        await soon(pilot, lambda: (open_file.parent / "hat-2.toml").exists())
        assert load_config(open_file.parent / "hat-2.toml").network.rank == 64
    assert load_config(open_file).network.rank == 8


async def test_one_key_publishes_once_the_place_is_known(runs: list[RunFolder], tmp_path: Path) -> None:
    (tmp_path / "ComfyUI" / "models" / "loras").mkdir(parents=True)
    app = app_on(tmp_path, "runs")
    async with app.run_test(size=(100, 30)) as pilot:
        await sees(pilot, "LoRA 64")
        await pilot.press("P")
        await sees(pilot, "Where are LoRA files published?")
        await pilot.press(*"/nowhere", "enter")
        await sees(pilot, "There is no such folder")
        await pilot.press("escape", "P")
        app.screen.query_one("TextField").value = str(tmp_path / "ComfyUI")  # type: ignore[attr-defined]
        await pilot.press("enter")
        there = tmp_path / "ComfyUI" / "models" / "loras"
        await soon(pilot, lambda: (there / "hat.safetensors").exists())
        assert (there / "hat.preview.png").exists()
        await soon(pilot, lambda: load_settings().publish == str(tmp_path / "ComfyUI"))
        (there / "hat.safetensors").write_bytes(b"another")
        await soon(pilot, lambda: isinstance(app.screen, RunsScreen))
        await pilot.press("P")
        await sees(pilot, "Replace the file there?")
        await pilot.press("enter")
        await soon(pilot, lambda: (there / "hat.safetensors").read_bytes() == b"lora")


async def test_what_can_go_is_shown_asked_for_and_moved(runs: list[RunFolder], tmp_path: Path) -> None:
    app = app_on(tmp_path, "runs")
    async with app.run_test(size=(100, 30)) as pilot:
        await sees(pilot, "LoRA 64")
        await pilot.press("D")
        await sees(pilot, "the whole run")
        await pilot.press("end", "enter")
        await sees(pilot, "frees nothing yet")
        assert len(list_runs(tmp_path / "runs")) == 2
        await pilot.press("enter")
        await soon(pilot, lambda: list_runs(tmp_path / "runs") == runs[:1])
        await soon(pilot, lambda: len(rows(app)) == 1)


async def test_runs_that_vanish_while_they_are_shown_and_compared(runs: list[RunFolder], tmp_path: Path) -> None:
    app = app_on(tmp_path, "runs")
    async with app.run_test(size=(100, 30)) as pilot:
        await sees(pilot, "LoRA 64")
        await pilot.press("m")
        shutil.rmtree(runs[0].root)
        await pilot.press("n", "x", "enter")
        await sees(pilot, "gone")
        await soon(pilot, lambda: len(rows(app)) == 1)
        await pilot.press("c")
        assert "There is only one run." in screen_text(app)
        shutil.rmtree(runs[1].root)
        await pilot.press("4", "o")
        await soon(pilot, lambda: len(app.screen_stack) > 1)
        await pilot.press("escape")
        await sees(pilot, "No run yet")
        await pilot.press("c", "x", "P", "D", "n", "/", "s")
        assert isinstance(app.screen, RunsScreen)
