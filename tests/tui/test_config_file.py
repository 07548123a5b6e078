"""The file of the open configuration is changed by somebody else: nothing of it, and nothing of the form, is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from tui.driving import running, screen_text, soon
from tui.projects import make_dataset
from tui.seeing import sees
from tui.test_parameters import form_of, go_to

from lora_tui.config.fresh import new_config
from lora_tui.config.load import load_config, save_config, set_values
from lora_tui.project import Project

pytestmark = pytest.mark.usefixtures("may_fetch")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    make_dataset(tmp_path / "data")
    project = Project.create(tmp_path, purpose="character", trigger="hat", name="hat", datasets=[tmp_path / "data"])
    path = tmp_path / "configs" / "hat.toml"
    save_config(new_config(project), path)
    return path


def changed_elsewhere(path: Path, *values: str) -> None:
    save_config(set_values(load_config(path), values), path)


async def test_a_file_that_was_changed_elsewhere_is_read_again_where_nothing_is_edited(file: Path) -> None:
    async with running(file.parent.parent, size=(100, 30), screen="parameters") as (app, pilot):
        changed_elsewhere(file, "network.rank=16", "steps.epochs=33")
        await pilot.press("ctrl+s")
        await soon(pilot, lambda: form_of(pilot).form.config.network.rank == 16)
        assert load_config(file).steps.epochs == 33 and not form_of(pilot).unsaved
        changed_elsewhere(file, "network.rank=24")
        await soon(pilot, lambda: form_of(pilot).form.config.network.rank == 24)  # without any key
        assert not app.workspace.config_changed


@pytest.mark.parametrize("choice", ["mine", "theirs"])
async def test_saving_over_what_was_changed_elsewhere_asks(file: Path, choice: str) -> None:
    async with running(file.parent.parent, size=(100, 30), screen="parameters") as (_app, pilot):
        await go_to(pilot, "steps.epochs")
        await pilot.press("7", "enter")
        changed_elsewhere(file, "network.rank=16")
        await pilot.press("ctrl+s")
        await sees(pilot, "The two differ in: network.rank, steps.epochs.")
        assert load_config(file).network.rank == 16
        await pilot.press(*(["enter"] if choice == "mine" else ["down", "enter"]))
        wanted = (32, 7) if choice == "mine" else (16, 10)
        await soon(pilot, lambda: not form_of(pilot).unsaved)
        for config in (load_config(file), form_of(pilot).form.config):
            assert (config.network.rank, config.steps.epochs) == wanted
        if choice == "theirs":
            await pilot.press("u")
            assert form_of(pilot).form.config.steps.epochs == 7


@pytest.mark.parametrize("agrees", [True, False])
async def test_reading_everything_again_asks_before_changes_are_lost(file: Path, agrees: bool) -> None:
    async with running(file.parent.parent, size=(100, 30), screen="parameters") as (_app, pilot):
        await go_to(pilot, "steps.epochs")
        await pilot.press("7", "enter", "ctrl+l")
        await sees(pilot, "Read everything again without them?")
        await pilot.press("enter" if agrees else "escape")
        await soon(pilot, lambda: form_of(pilot).form.config.steps.epochs == (10 if agrees else 7))
        assert "without them" not in screen_text(pilot.app)
