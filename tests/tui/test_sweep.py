"""Several values on the form become runs in the queue, and a table of what came of them; the queue is stopped."""

from __future__ import annotations

from pathlib import Path

import pytest
from run_folders import write_run
from textual.pilot import Pilot
from tui.driving import running, screen_text, soon
from tui.projects import make_dataset
from tui.seeing import sees

from lora_tui.config.load import load_config, save_config, set_values
from lora_tui.config.schema import Config, DatasetEntry
from lora_tui.jobs.queue.door import remove
from lora_tui.jobs.queue.journal import read_queue, turn
from lora_tui.project import Project
from lora_tui.runs.record import update_record
from lora_tui.sweeps.folder import create, membership
from lora_tui.sweeps.reading import read_sweep
from lora_tui.tui.screens.parameters import ParametersScreen
from lora_tui.tui.screens.runs_sweep import SweepResults
from lora_tui.tui.widgets.dialog import AskText, Confirm

pytestmark = pytest.mark.usefixtures("may_fetch")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose training could start; the queue starts nothing."""
    make_dataset(tmp_path / "images", 4)
    Project.create(tmp_path, purpose="character", trigger="hatgirl", price_per_hour=0.5)
    config = set_values(Config(datasets=[DatasetEntry(path=str(tmp_path / "images"))]), ["model.base=owner/model"])
    save_config(
        set_values(config, ["saving.name=hat", "steps.epochs=2", "memory.device=cpu"]),
        tmp_path / "configs" / "hat.toml",
    )
    with turn() as change:
        change.say(stopped=True)
    return tmp_path


async def vary(pilot: Pilot[int | None], screen: ParametersScreen, key: str, text: str) -> None:
    row = screen.form.row_of(key)
    screen.show_rows(row)
    await pilot.press("v")
    await soon(pilot, lambda: isinstance(pilot.app.screen, AskText))
    await pilot.press("ctrl+u", *text, "enter")


@pytest.mark.parametrize("size", [(80, 24), (60, 20)])
async def test_values_of_the_form_become_runs(project: Path, size: tuple[int, int]) -> None:
    async with running(project, screen="parameters", size=size) as (app, pilot):
        screen = app.screen
        assert isinstance(screen, ParametersScreen)
        await vary(pilot, screen, "network.rank", "8")
        await sees(pilot, "One value alone is no sweep")
        await pilot.press("ctrl+u", *"8, x", "enter")
        await sees(pilot, "is not allowed")
        await pilot.press("ctrl+u", *"8, 16", "enter")
        await sees(pilot, "8, 16")
        await vary(pilot, screen, "steps.seed", "1-3")
        await soon(pilot, lambda: screen.sweep.runs == 6)
        await vary(pilot, screen, "steps.seed", "")
        await soon(pilot, lambda: screen.sweep.runs == 2)
        await pilot.press("ctrl+r")
        await soon(pilot, lambda: isinstance(app.screen, Confirm))
        await sees(pilot, "Start 2 runs")
        assert "hat-rank16" in screen_text(app)
        await pilot.press("enter")
        await soon(pilot, lambda: app.current_mode == "runs")
        await sees(pilot, "2 runs of")
        jobs = read_queue().waiting()
        assert [load_config(Path(job.command[1])).network.rank for job in jobs] == [8, 16]
        assert screen.sweep.runs == 0  # the form describes one run again


async def test_a_file_that_describes_a_sweep_is_opened_with_its_values(project: Path) -> None:
    path = project / "configs" / "ranks.toml"
    table = '[sweep]\nname = "ranks"\n"network.rank" = [4, 8]\n"network.alpha" = [2, 4]\n"steps.seed" = "1-2"\n'
    together = 'together = [["network.rank", "network.alpha"]]\n'
    path.write_text((project / "configs" / "hat.toml").read_text() + f"\n{table}{together}")
    before = path.read_bytes()
    async with running(project, screen="parameters") as (app, pilot):
        screen = app.screen
        assert isinstance(screen, ParametersScreen)
        assert app.workspace.config_path == project / "configs" / "hat.toml" and not app.workspace.trouble
        await pilot.press("o")
        await sees(pilot, "ranks.toml")
        await pilot.press(*"ranks", "enter")
        await sees(pilot, "describes 4 runs")
        screen.show_rows(screen.form.row_of("network.rank"))
        await sees(pilot, "together with alpha")
        await vary(pilot, screen, "network.rank", "4, 8, 16")
        await sees(pilot, "which has 2")
        await pilot.press("ctrl+u", *"4, 16", "enter", "ctrl+s")
        await sees(pilot, "saved")
        await pilot.press("ctrl+r")
        await sees(pilot, "Start 4 runs")
        await pilot.press("enter")
        await sees(pilot, "4 runs of")
    configs = [load_config(Path(job.command[1])) for job in read_queue().waiting()]
    assert [(one.network.rank, one.network.alpha, one.steps.seed) for one in configs] == [
        (4, 2, 1), (4, 2, 2), (16, 4, 1), (16, 4, 2)
    ]  # fmt: skip
    assert read_queue().waiting()[0].group.endswith("-ranks")
    assert path.read_bytes() == before
    remove([job.id for job in read_queue().waiting()])


async def test_a_run_that_cannot_start_is_named_and_none_starts(project: Path) -> None:
    async with running(project, screen="parameters") as (app, pilot):
        screen = app.screen
        assert isinstance(screen, ParametersScreen)
        await vary(pilot, screen, "model.base", "owner/model, nowhere/at/all")
        await pilot.press("ctrl+r")
        await sees(pilot, "hat-base-all: model.base")
        assert not read_queue().jobs and not (project / "sweeps").exists()


@pytest.mark.parametrize("size", [(80, 24), (60, 20), (200, 50)])
async def test_the_runs_of_a_sweep_stand_in_a_table(project: Path, size: tuple[int, int]) -> None:
    made = create(read_sweep(project / "configs" / "hat.toml", ["network.rank=8,16,32"]), project / "runs")
    write_run(project / "runs", name="alone", steps=3)  # the oldest, at the end of the list
    for member, steps, ending in (("hat-rank8", 100, "completed"), ("hat-rank16", 50, "died")):
        run = write_run(project / "runs", name=member, steps=steps, total=100, ending=ending)
        update_record(run, **membership(made.root / "configs" / f"{member}.toml"))
    async with running(project, screen="runs", size=size) as (app, pilot):
        await pilot.press("end", "w")
        await sees(pilot, "This run is of no sweep.")
        await pilot.press("home")
        await soon(pilot, lambda: "of the sweep" in screen_text(app))
        await pilot.press("w")
        await soon(pilot, lambda: isinstance(app.screen, SweepResults))
        await sees(pilot, "not started")
        assert "died" in screen_text(app) and "0.1010 @100" in screen_text(app)
        await pilot.press("end", "enter")
        await sees(pilot, "This run was not started")
        await pilot.press("C")
        await sees(pilot, "Put 1 run into the queue?")
        await pilot.press("enter")
        await sees(pilot, "in the queue")
        assert [job.title for job in read_queue().waiting()] == ["hat-rank32"]
        await pilot.press("s")
        await sees(pilot, "Order by")
        await pilot.press("end", "enter")
        await soon(pilot, lambda: isinstance(app.screen, SweepResults))
        await pilot.press("home", "enter")
        await soon(pilot, lambda: app.current_mode == "training")
    remove([job.id for job in read_queue().waiting()])
