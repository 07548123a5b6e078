"""Runs side by side on the screen: results, datasets, curves and samples."""

from __future__ import annotations

from pathlib import Path

import pytest
from run_folders import write_run
from tui.driving import screen_text, soon
from tui.seeing import app_on, sees

from lora_tui.config.load import dump_config, set_values
from lora_tui.config.schema import Config
from lora_tui.records.manifest import write_manifest
from lora_tui.tui.app import LoraTuiApp
from lora_tui.tui.screens.runs import RunsScreen
from lora_tui.tui.screens.runs_compare import CompareRuns, RunsChart
from lora_tui.tui.widgets.image_view import ImageView


def make(folder: Path, count: int) -> None:
    for number in range(count):
        run = write_run(folder / "runs", steps=60 + number, total=70, ending="stopped", name=f"n{number}")
        run.config_path.write_text(dump_config(set_values(Config(), [f"network.rank={8 + number}"])))
        caption = {"hash": "h", "caption": "hat" if number else "hat, red", "repeats": 1}
        write_manifest(run, {"a.png": caption, **({"b.png": caption} if number else {})})


def drawn(app: LoraTuiApp) -> list[str]:
    return [view.shown.name for view in app.screen.query(ImageView) if view.shown]


@pytest.mark.parametrize("size", [(80, 24), (60, 20)])
async def test_every_page_of_a_comparison(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    monkeypatch.setenv("LORA_TUI_HOME", str(tmp_path / "home"))
    make(tmp_path, 2)
    app = app_on(tmp_path, "runs")
    async with app.run_test(size=size) as pilot:
        await sees(pilot, "rank 9")
        await pilot.press("M", "c")
        await soon(pilot, lambda: isinstance(app.screen, CompareRuns))
        await sees(pilot, "run 1")
        await pilot.press("end")
        await sees(pilot, "rank   ")
        assert "network.rank" not in screen_text(pilot.app)
        await pilot.press("tab")
        await sees(pilot, "added 1: b.png")
        assert "-red" in screen_text(app)
        await pilot.press("tab")
        await soon(pilot, lambda: len(app.screen.query_one(RunsChart).picture.curves) == 2)
        await pilot.press("left", "n")
        await sees(pilot, "validation")
        assert "at step" in screen_text(app)
        await pilot.press("tab")
        await soon(pilot, lambda: drawn(app) == ["000050-0.png"] * 2)
        await pilot.press("left", "n")
        await soon(pilot, lambda: drawn(app) == ["000000-1.png"] * 2)
        await pilot.press("escape")
        await soon(pilot, lambda: isinstance(app.screen, RunsScreen))


async def test_more_runs_than_there_is_room_for_are_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORA_TUI_HOME", str(tmp_path / "home"))
    make(tmp_path, 7)
    app = app_on(tmp_path, "runs")
    async with app.run_test(size=(80, 24)) as pilot:
        await sees(pilot, "LoRA 14")
        await pilot.press("M", "c")
        await sees(pilot, "more runs: left, right")
        assert "run 7" not in screen_text(app)
        await pilot.press(*["right"] * 6)
        await sees(pilot, "run 7")
        assert "run 1" in screen_text(app)


async def test_a_comparison_is_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORA_TUI_HOME", str(tmp_path / "home"))
    make(tmp_path, 2)
    app = app_on(tmp_path, "runs")
    async with app.run_test(size=(100, 30)) as pilot:
        await sees(pilot, "LoRA 9")
        await pilot.press("c")
        await soon(pilot, lambda: isinstance(app.screen, CompareRuns))
        await pilot.press("x")
        await sees(pilot, "Export the comparison")
        await pilot.press("enter")
        report = tmp_path / "exports" / "comparison" / "report.md"
        await soon(pilot, report.exists)
        await sees(pilot, "files in")
