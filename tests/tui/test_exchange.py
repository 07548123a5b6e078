"""Configurations of other programs on the form: taken with a report, undone, and written for sd-scripts."""

from __future__ import annotations

from pathlib import Path

import pytest
from tui.driving import screen_text, soon
from tui.projects import make_dataset
from tui.seeing import app_on

from lora_tui.project import Project
from lora_tui.tui.screens.parameters import ParametersScreen
from lora_tui.tui.widgets.dialog import AskPath
from lora_tui.tui.widgets.text_view import TextView

pytestmark = pytest.mark.usefixtures("may_fetch")


async def test_a_foreign_configuration_is_taken_with_a_report_undone_and_exported(tmp_path: Path) -> None:
    make_dataset(tmp_path / "data")
    Project.create(tmp_path, purpose="character", trigger="hatgirl", name="hat", datasets=[tmp_path / "data"])
    (tmp_path / "theirs.toml").write_text(
        'network_dim = 7\nwobble = "[/x]"\ntrain_data_dir = "data"\nmax_train_epochs = 3\n'
    )
    app = app_on(tmp_path, "parameters")
    async with app.run_test(size=(80, 24)) as pilot:
        screen = app.screen
        assert isinstance(screen, ParametersScreen)
        await soon(pilot, lambda: screen.workspace.plan is not None)
        before = screen.form.config
        await pilot.press("I")
        await soon(pilot, lambda: isinstance(app.screen, AskPath))
        app.screen.dismiss(tmp_path / "theirs.toml")
        await soon(pilot, lambda: isinstance(app.screen, TextView))
        await soon(pilot, lambda: "wobble = [/x]" in screen_text(app))
        assert "not understood" in screen_text(app)
        await pilot.press("escape")
        await soon(pilot, lambda: app.screen is screen)
        assert (screen.form.config.network.rank, screen.form.config.steps.epochs) == (7, 3)
        await pilot.press("X")
        await soon(pilot, lambda: isinstance(app.screen, AskPath))
        app.screen.dismiss(tmp_path / "theirs")
        await soon(pilot, lambda: isinstance(app.screen, TextView))
        await soon(pilot, lambda: "accelerate launch" in screen_text(app))
        await pilot.press("escape")
        await soon(pilot, lambda: app.screen is screen)
        await pilot.press("u")
        await soon(pilot, lambda: screen.form.config == before)
    assert {path.name for path in (tmp_path / "theirs").iterdir()} == {"config.toml", "dataset.toml", "train.sh"}
