"""The list of runs: what it says of each, opening, resuming, files."""

from __future__ import annotations

from pathlib import Path

import pytest
from run_folders import new_run, write_run
from tui.driving import screen_text, soon
from tui.seeing import app_on, sees, text_of

from lora_tui.runs.record import update_record
from lora_tui.runs.status import inspect
from lora_tui.tui.screens.runs import RunsScreen
from lora_tui.tui.screens.training import TrainingScreen
from lora_tui.tui.widgets.chart import LineChart


async def test_runs_are_listed_newest_first_with_their_state(tmp_path: Path) -> None:
    first = write_run(tmp_path / "runs", steps=400, ending="completed", name="one")
    with first.events_path.open("a") as events:
        events.write('{"t": 1, "kind": "step", "step": 400, "epoch": 8, "loss": 0.00056}\n')
    write_run(tmp_path / "runs", steps=174, ending="died", name="two")
    app = app_on(tmp_path, "runs")
    async with app.run_test(size=(120, 30)) as pilot:
        await sees(pilot, "finished")
        rows = text_of(app.screen.query_one("#list"))
        assert "×   2 died" in rows[1] and "174/400" in rows[1] and "43%" in rows[1]
        assert "✓   1 finished" in rows[2] and "100%" in rows[2]
        assert " 5.6e-04 " in rows[2]
        assert "2 runs" in screen_text(pilot.app)


async def test_the_run_under_the_cursor_is_shown_with_its_curve(tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs", steps=174, ending="died")
    update_record(run, beginning={"seconds": 6.9, "parts": {"libraries": 5.4, "loading": 1.5}})
    app = app_on(tmp_path, "runs")
    async with app.run_test(size=(120, 40)) as pilot:
        await sees(pilot, "hat-girl-000150.safetensors")
        for words in (
            "step 174 of 400",
            "The system killed it",
            "sd15, LoRA, rank 32",
            "and 2 before it",
            "first step after 6.9 s",
        ):
            await sees(pilot, words)
        chart = app.screen.query_one("#run-chart", LineChart)
        await soon(pilot, lambda: chart.picture.curves)


async def test_the_curve_goes_on_to_where_the_run_ended_while_nobody_looked(tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs", steps=100, ending="died")
    app = app_on(tmp_path, "runs")
    async with app.run_test(size=(120, 40)) as pilot:
        chart = app.screen.query_one("#run-chart", LineChart)

        def axis() -> str:
            return "".join(text_of(chart)[-1:])

        await soon(pilot, lambda: axis().strip() and "300" not in axis())
        with run.events_path.open("a") as events:
            events.writelines(
                f'{{"t": {step}, "kind": "step", "step": {step}, "epoch": 8, "loss": 0.1}}\n'
                for step in range(101, 300 + 1)
            )
        await pilot.press("ctrl+l")
        await soon(pilot, lambda: "300" in axis())


async def test_enter_opens_the_dashboard_on_it(tmp_path: Path) -> None:
    first = write_run(tmp_path / "runs", steps=400, ending="completed", name="one")
    write_run(tmp_path / "runs", steps=174, ending="died", name="two")
    app = app_on(tmp_path, "runs")
    async with app.run_test(size=(80, 24)) as pilot:
        await sees(pilot, "finished")
        await pilot.press("down", "enter")
        await soon(pilot, lambda: isinstance(app.screen, TrainingScreen) and app.screen.story is not None)
        assert isinstance(app.screen, TrainingScreen) and app.screen.story is not None
        assert app.screen.story.run == first


async def test_resume_is_refused_with_the_reason_where_it_cannot_be(tmp_path: Path) -> None:
    write_run(tmp_path / "runs", steps=400, ending="completed")
    app = app_on(tmp_path, "runs")
    async with app.run_test(size=(80, 24)) as pilot:
        await sees(pilot, "finished")
        await pilot.press("R")
        assert "The run is complete; network.start_from (F4) goes on from its LoRA." in screen_text(pilot.app)


async def test_resume_asks_before_it_costs(tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs", steps=174, ending="died")
    app = app_on(tmp_path, "runs")
    async with app.run_test(size=(80, 24)) as pilot:
        await sees(pilot, "died")
        await pilot.press("R")
        await sees(pilot, f"Resume {run.name}?")
        assert "It goes on from step 150; 250 steps are left." in screen_text(pilot.app)
        await pilot.press("escape")
        assert not inspect(run).alive


async def test_the_files_and_the_settings_of_a_run_can_be_looked_at(tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs")
    app = app_on(tmp_path, "runs")
    async with app.run_test(size=(100, 30)) as pilot:
        await sees(pilot, "died")
        await pilot.press("o")
        await sees(pilot, "checkpoints/hat-girl-000150.safetensors")
        assert run.name in screen_text(pilot.app)
        await pilot.press("escape", "t")
        await sees(pilot, "schema_version = 1")


async def test_an_empty_list_says_the_key_that_fills_it(tmp_path: Path) -> None:
    app = app_on(tmp_path, "runs")
    async with app.run_test(size=(80, 24)) as pilot:
        await sees(pilot, "No run yet. F4 describes one and starts")
        await pilot.press("enter", "R", "o")
        assert isinstance(app.screen, RunsScreen)


async def test_a_run_in_which_nothing_happened_is_listed(tmp_path: Path) -> None:
    new_run(tmp_path / "runs", config="not = [toml")
    app = app_on(tmp_path, "runs")
    async with app.run_test(size=(80, 24)) as pilot:
        await sees(pilot, "no step yet")


ABSURD = ["1e308", "-1e308", "NaN", "Infinity", "1" + "0" * 400, '"soon"', "[1]", "null"]


@pytest.mark.parametrize("value", ABSURD, ids=lambda value: value[:8])
async def test_absurd_numbers_in_the_files_of_a_run_end_nothing(tmp_path: Path, value: str) -> None:
    run = write_run(tmp_path / "runs", steps=60, ending="died")
    names = ("started", "heartbeat", "ended", "pid", "child_pid", "exit_status", "signal", "attempt", "log_offset")
    run.job_path.write_text("{" + ", ".join(f'"{name}": {value}' for name in names) + "}")
    run.record_path.write_text(f'{{"format": 1, "number": {value}, "created": {value}, "results": {value}}}')
    names = ("t", "step", "epoch", "loss", "grad_norm", "step_seconds", "memory_allocated", "lr")
    fields = ", ".join(f'"{name}": {value}' for name in names)
    names = ("t", "ram_used", "ram_total", "disk_free", "cpu_percent")
    machine = ", ".join(f'"{name}": {value}' for name in names)
    with run.events_path.open("a", encoding="utf-8") as file:
        file.write(f'{{"kind": "step", {fields}}}\n{{"kind": "resources", {machine}}}\n')
        file.write(f'{{"kind": "step", "t": {value}, "step": 61, "epoch": 2, "loss": {value}}}\n')
    app = app_on(tmp_path, "runs")
    async with app.run_test(size=(120, 40)) as pilot:
        await sees(pilot, "hat-girl")
        await pilot.press("enter")
        await sees(pilot, "LOSS")
        await pilot.press("l", "z", "c", "c", "t", "t")
        await pilot.press("escape", "escape")
        await sees(pilot, "Advice")
    assert app.return_code in (0, None)


async def test_on_a_phone_the_run_stands_below_the_list_and_both_are_whole(tmp_path: Path) -> None:
    write_run(tmp_path / "runs", steps=174, ending="died", name="two")
    app = app_on(tmp_path, "runs")
    async with app.run_test(size=(60, 20)) as pilot:
        for words in ("adapter", "174/400", "step 174 of 400", "The system killed it"):
            await sees(pilot, words)
