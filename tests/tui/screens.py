"""What tests of screens share: the app on a folder, what it shows, and waiting for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from textual.pilot import Pilot
from textual.widget import Widget

from lora_tui.tui.app import LoraTuiApp


def app_on(directory: Path, screen: str = "home", **given: Any) -> LoraTuiApp:
    """The app on a project or a folder of images."""
    return LoraTuiApp(directory, screen=screen, **given)


def text_of(widget: Widget) -> list[str]:
    """The lines of a widget as a person sees them."""
    return [widget.render_line(y).text.rstrip() for y in range(widget.size.height)]


def screen_text(pilot: Pilot[Any]) -> str:
    """Everything on screen, line by line."""
    screen = pilot.app.screen
    return "\n".join(strip.text.rstrip() for strip in screen._compositor.render_strips())


async def settled(pilot: Pilot[Any], predicate: Callable[[], object], seconds: float = 20.0) -> None:
    """Let the app work until ``predicate`` holds; fail with what is on screen when it does not in time."""
    end = time.monotonic() + seconds
    while True:
        await pilot.pause()
        if predicate():
            return
        if time.monotonic() > end:
            raise AssertionError(f"still not so after {seconds} s:\n{screen_text(pilot)}")


async def sees(pilot: Pilot[Any], text: str, seconds: float = 20.0) -> None:
    """Wait until ``text`` is on screen."""
    await settled(pilot, lambda: text in screen_text(pilot), seconds)
