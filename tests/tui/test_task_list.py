"""Work in the background as the app shows it: one line on top while it goes on, the list, its end told, its result."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import until
from tui.driving import running, screen_text, soon
from tui.projects import make_dataset
from tui.projects import picture as draw

from lora_tui.dataset.prepare.options import Options
from lora_tui.tasks.folder import TaskFolder
from lora_tui.tasks.known import remember_task
from lora_tui.tasks.start import ask_task, start_task
from lora_tui.tasks.status import task_status
from lora_tui.tui.app import LoraTuiApp
from lora_tui.tui.screens.task_list import TaskList


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORA_TUI_HOME", str(tmp_path_factory.mktemp("home")))


def prepare(project: Path, images: int) -> TaskFolder:
    """A preparation that a project has started, at work."""
    source = project.parent / "originals"
    source.mkdir()
    for index in range(images):
        draw((900, 800), index).save(source / f"{index:03}.png", compress_level=0)
    (source / "broken.png").write_bytes(b"no picture")
    place = project.parent / "made"
    request = {"source": str(source), "destination": str(place), "options": Options(size=256).as_dict(), "workers": 1}
    task = start_task(place, "prepare", "originals > made", request)
    remember_task(project, task)
    return task


def looked(app: LoraTuiApp) -> bool:
    """Have the app look at once, as it does every two seconds."""
    app.poll_runs()
    return True


def top(app: LoraTuiApp) -> str:
    return screen_text(app).splitlines()[0]


async def test_work_is_on_the_top_line_goes_on_by_a_key_and_its_end_is_told(tmp_path: Path) -> None:
    project = make_dataset(tmp_path / "hat", 3)
    task = prepare(project, 12)
    ask_task(task, "pause")
    until(lambda: task_status(task).state == "paused", seconds=60)
    async with running(project, size=(120, 40), screen="dataset") as (app, pilot):
        await soon(
            pilot, lambda: looked(app) and app.workspace.working is not None and "‖ preparing paused" in top(app)
        )
        await pilot.press("space", "b")
        await soon(pilot, lambda: "originals > made" in screen_text(app) and "p pause, go on" in screen_text(app))
        assert "s stop" in screen_text(app)
        await pilot.press("p", "escape")
        await soon(pilot, lambda: not isinstance(app.screen, TaskList))
        await soon(pilot, lambda: looked(app) and app.workspace.working is None, 60)
        await soon(pilot, lambda: any("12 images prepared" in note.message for note in app._notifications))
        assert "preparing" not in top(app)
        await pilot.press("space", "b")
        await soon(pilot, lambda: "12 images prepared, 1 refused" in screen_text(app))
        assert "s stop" not in screen_text(app)
        await pilot.press("s")
        await soon(pilot, lambda: "It is not running." in screen_text(app))
        await pilot.press("enter")
        await soon(pilot, lambda: "Report:" in screen_text(app) and "broken.png" in screen_text(app))


async def test_nothing_in_the_background_is_said(tmp_path: Path) -> None:
    project = make_dataset(tmp_path / "hat", 1)
    async with running(project, size=(80, 24), screen="dataset") as (app, pilot):
        await pilot.press("space", "b")
        await soon(pilot, lambda: "Nothing goes on, and nothing was done here yet." in screen_text(app))
        await pilot.press("enter", "p")
        await soon(pilot, lambda: "Nothing is left to do." in screen_text(app))
