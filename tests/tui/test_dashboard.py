"""How the training screen shares its rows out: at every size the curve and the numbers come first."""

from __future__ import annotations

from pathlib import Path

import pytest
from run_folders import write_run
from tui.driving import screen_text, soon
from tui.seeing import app_on, text_of

from lora_tui.tui.dashboard import Rows, share_rows
from lora_tui.tui.screens.training import TrainingScreen


def used(rows: Rows, ending: int) -> int:
    """Rows of the terminal that a sharing takes: with header, status, keys, run, bar, rule and the chart's line."""
    return rows.curve + rows.more + rows.moments + (rows.strip + 2 if rows.strip else 0) + ending + 8


@pytest.mark.parametrize("samples", [True, False])
@pytest.mark.parametrize("ending", [0, 1, 2, 3])
def test_at_every_size_the_curve_has_its_rows_and_nothing_is_left_over(ending: int, samples: bool) -> None:
    for height in range(15, 61):
        for width in (60, 79, 80, 100, 109, 110, 120, 140, 160, 200, 220):
            rows = share_rows(width, height, ending=ending, samples=samples)
            least = 10 if height >= 25 + ending else 8 if height >= 24 else 6 if height >= 20 else height - 9 - ending
            assert rows.curve >= least, (width, height, rows)
            assert used(rows, ending) == height, (width, height, rows)
            assert rows.more == 0 or rows.curve > rows.more, (width, height, rows)
            assert bool(rows.strip) == (samples and height >= 20 + max(ending - 1, 0)), (width, height, rows)


def test_a_large_terminal_has_small_charts_and_a_narrow_one_never() -> None:
    assert not any(share_rows(100, height, ending=0, samples=True).more for height in range(15, 61))
    assert share_rows(220, 60, ending=0, samples=True).more


SIZES = [(60, 15), (60, 24), (80, 24), (100, 30), (120, 30), (120, 35), (120, 40), (140, 40), (200, 50), (220, 60)]


@pytest.mark.parametrize("ending", ["", "died", "stopped"])
async def test_the_curve_and_the_numbers_stay_while_the_terminal_changes(tmp_path: Path, ending: str) -> None:
    run = write_run(tmp_path / "runs", ending=ending)
    app = app_on(tmp_path, "training", run=run)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = app.screen
        assert isinstance(screen, TrainingScreen)
        await soon(pilot, lambda: screen.story is not None and screen.story.complete)
        for width, height in SIZES:
            await pilot.resize_terminal(width, height)
            least = 10 if height >= 28 else 7 if height >= 24 else 3
            await soon(pilot, lambda least=least: screen.query_one("#chart").size.height >= least)
            await soon(pilot, lambda: "it/s" in "\n".join(text_of(screen.query_one("#facts"))))
            text = screen_text(app)
            assert "LOSS" in text and "smooth" in text, (width, height, text)
            more = screen.query_one("#more")
            await soon(pilot, lambda more=more: ("LEARNING RATE" in screen_text(app)) == bool(more.display))
