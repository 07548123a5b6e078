"""Frames come as soon as they may."""

from __future__ import annotations

import asyncio

import pytest
from textual.app import App

from lora_tui.tui import frames
from lora_tui.tui.frames import FrameTimer, PromptScreen
from lora_tui.tui.screens.base import BaseScreen


class Painter:
    """Counts its frames, and pauses the timer as a screen does."""

    def __init__(self, app: App[None], seconds: float) -> None:
        self.frames = 0
        self.timer = FrameTimer(app, seconds, callback=self.paint, pause=True)
        self.timer._start()

    def paint(self) -> None:
        self.timer.pause()
        self.frames += 1


async def turns(count: int = 20) -> None:
    for _turn in range(count):
        await asyncio.sleep(0)


async def test_a_frame_comes_at_once_and_the_next_not_before_its_time() -> None:
    async with App[None]().run_test() as pilot:
        painter = Painter(pilot.app, 3600.0)
        await turns()
        assert painter.frames == 0
        painter.timer.resume()
        await turns()
        assert painter.frames == 1
        painter.timer.resume()
        await turns()
        assert painter.frames == 1
        painter.timer.stop()


async def test_each_change_after_that_time_has_its_frame() -> None:
    async with App[None]().run_test() as pilot:
        painter = Painter(pilot.app, 0.0)
        for number in range(1, 4):
            painter.timer.resume()
            await turns()
            assert painter.frames == number
        painter.timer.stop()


async def test_the_screens_of_the_app_are_painted_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "FRAME_SECONDS", 0.0)
    painted: list[int] = []

    class Counted(PromptScreen):
        def _on_timer_update(self) -> None:
            super()._on_timer_update()
            painted.append(1)

    async with App[None]().run_test() as pilot:
        screen = Counted()
        await pilot.app.push_screen(screen)
        await pilot.pause()
        before = len(painted)
        screen.refresh()
        await turns(200)
        assert len(painted) > before
    assert issubclass(BaseScreen, PromptScreen)
