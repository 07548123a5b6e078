"""How a task in the background is shown: followed to its end, paused and gone on with, told once that it is over."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from textual.app import App, ComposeResult
from tui.driving import screen_text, soon

from lora_tui.dataset.prepare.options import Options
from lora_tui.tasks.folder import TaskFolder
from lora_tui.tasks.start import start_task
from lora_tui.tui.widgets.task_progress import TaskProgress


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORA_TUI_HOME", str(tmp_path_factory.mktemp("home")))


def prepare(root: Path, images: int, side: int = 700) -> TaskFolder:
    """A preparation at work."""
    source = root / "src"
    source.mkdir(exist_ok=True)
    for index in range(images):
        Image.effect_noise((side, side - 100), 60).convert("RGB").save(source / f"{index:03}.png", compress_level=0)
    request = {"source": str(source), "destination": str(root / "dst"), "options": Options(size=256).as_dict()}
    return start_task(root / "dst", "prepare", "src > dst", {**request, "workers": 1})


class Following(App[None]):
    """One task on a screen of its own."""

    ended = 0

    def compose(self) -> ComposeResult:
        yield TaskProgress()

    def on_task_progress_ended(self) -> None:
        self.ended += 1


async def test_a_task_is_followed_paused_gone_on_with_and_told_once_when_it_ends(tmp_path: Path) -> None:
    task = prepare(tmp_path, 24)
    app = Following()
    async with app.run_test(size=(80, 12)) as pilot:
        progress = app.query_one(TaskProgress)
        progress.follow(task)
        await soon(pilot, lambda: progress.status is not None)
        assert "preparing  src > dst" in screen_text(app)
        if progress.can_pause:
            await progress.ask("pause")
            await soon(pilot, lambda: progress.can_resume or not progress.can_stop, 60)
            if progress.can_stop:
                assert not app.ended and "paused" in screen_text(app)
                await progress.ask("resume")
        await soon(pilot, lambda: app.ended, 60)
        await soon(pilot, lambda: "24 images prepared" in screen_text(app))
        assert "✓ preparing" in screen_text(app) and "100%" in screen_text(app)
        assert "finished after" in screen_text(app)
        assert app.ended == 1 and not progress.can_resume


async def test_a_stopped_task_says_what_is_done_and_goes_on(tmp_path: Path) -> None:
    task = prepare(tmp_path, 30)
    app = Following()
    async with app.run_test(size=(60, 12)) as pilot:
        progress = app.query_one(TaskProgress)
        progress.follow(task)
        await progress.ask("stop")
        await soon(pilot, lambda: app.ended == 1, 60)
        if progress.can_resume:
            assert "stopped" in screen_text(app)
            await progress.ask("resume")
            await soon(pilot, lambda: app.ended == 2, 60)
        assert len(list((tmp_path / "dst").glob("*.png"))) == 30
