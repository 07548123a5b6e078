"""What is cut at 80x24 can be read in full by one key that the footer names; windows to read say Esc back."""

from __future__ import annotations

from pathlib import Path

import pytest
from run_folders import write_run
from tui.driving import running, screen_text, soon
from tui.projects import make_dataset
from tui.seeing import app_on, sees, text_of

from lora_tui.jobs.events import EventWriter
from lora_tui.jobs.lock import RunLock
from lora_tui.tui.app import LoraTuiApp
from lora_tui.tui.widgets.text_view import TextView
from lora_tui.tui.widgets.virtual_list import VirtualList

LONG = "1 image cannot be read and is left out of this run from the first step to the very last one of them all."


def words(app: LoraTuiApp) -> str:
    """What a window to read shows as one line: a sentence that goes on below is one sentence."""
    found = app.screen.query(VirtualList)
    return " ".join(" ".join(text_of(found.first())).split()) if found else screen_text(app)


async def test_a_warning_of_a_run_is_read_in_full(tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs", ending="died")
    events = EventWriter(run.events_path)
    events.emit("warning", code="x", message=LONG, remedy="Copy the file again.")
    events.close()
    app = app_on(tmp_path, "training", run=run)
    async with app.run_test(size=(80, 24)) as pilot:
        await sees(pilot, "r read")
        assert LONG not in words(app)
        await pilot.press("r")
        await soon(pilot, lambda: isinstance(app.screen, TextView))
        await soon(pilot, lambda: f"{LONG} Copy the file again." in words(app))
        assert "The system killed it for want of memory (signal 9)." in words(app)
        await pilot.press("escape")
        await sees(pilot, "LOSS")


@pytest.mark.parametrize("screen", ["dataset", "home", "parameters"])
async def test_every_screen_has_a_key_that_shows_all_of_it(tmp_path: Path, screen: str) -> None:
    make_dataset(tmp_path, 6)
    for number in range(3):
        (tmp_path / "4_hat" / f"{number:04d}.txt").unlink()
    async with running(tmp_path, size=(80, 24), screen=screen) as (app, pilot):
        await sees(pilot, "r read")
        if screen == "home":
            await pilot.press("tab")
        await pilot.press("r")
        await soon(pilot, lambda: isinstance(app.screen, TextView))
        await sees(pilot, "Esc back")
        assert "Enter" not in screen_text(app).splitlines()[-3]
        if screen == "dataset":
            assert "0000.png" in words(app)
            assert "Use a larger original, or train at a smaller size." in words(app)
        if screen == "parameters":
            assert "A LoRA works best on the model it was trained on and on its relatives" in words(app)
            assert "What the check says of this run" in words(app)


async def test_a_lora_file_among_the_files_of_a_run_tells_of_itself(tmp_path: Path) -> None:
    import json

    run = write_run(tmp_path / "runs")
    header = json.dumps(
        {
            "__metadata__": {"ss_output_name": "hat-girl"},
            "lora_unet_x.lora_down.weight": {"dtype": "F32", "shape": [4, 8], "data_offsets": [0, 128]},
            "lora_unet_x.lora_up.weight": {"dtype": "F32", "shape": [8, 4], "data_offsets": [128, 256]},
        }
    ).encode()
    path = run.checkpoints_dir / "hat-girl-000050.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(256))
    app = app_on(tmp_path, "runs")
    async with app.run_test(size=(80, 24)) as pilot:
        await sees(pilot, "died")
        await pilot.press("o")
        await sees(pilot, "Enter LoRA info")
        await pilot.press("enter")
        await sees(pilot, "rank")
        assert "hat-girl" in screen_text(app) and "Esc back" in screen_text(app)
        await pilot.press("escape", "escape")
        await soon(pilot, lambda: not isinstance(app.screen, TextView))


async def test_the_key_is_named_at_80_cells_while_a_run_is_at_work(tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs")
    app = app_on(tmp_path, "training", run=run)
    with RunLock.acquire(run.lock_path), RunLock.acquire(run.keeper_lock_path):
        async with app.run_test(size=(80, 24)) as pilot:
            await sees(pilot, "s stop+save  p pause  r read")


async def test_the_help_uses_the_rows_there_are(tmp_path: Path) -> None:
    async with running(make_dataset(tmp_path, 2), size=(200, 50), screen="parameters") as (app, _pilot):
        lines = text_of(app.screen.query_one("#detail"))
        assert "elsewhere:" in " ".join(lines) and "…" not in " ".join(lines)
