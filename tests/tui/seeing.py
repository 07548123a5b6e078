"""What tests of single screens add to driving the app: a screen to begin with, words to wait for, a widget's lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from textual.pilot import Pilot
from textual.widget import Widget
from tui.driving import screen_text, soon

from lora_tui.tui.app import LoraTuiApp


def app_on(directory: Path, screen: str, **given: Any) -> LoraTuiApp:
    """The app, opened on one of its screens."""
    return LoraTuiApp(directory, screen=screen, **given)


def text_of(widget: Widget) -> list[str]:
    """The lines of a widget as a person sees them."""
    return [widget.render_line(y).text.rstrip() for y in range(widget.size.height)]


async def sees(pilot: Pilot[Any], words: str, seconds: float = 40.0) -> None:
    """Wait until the words are on screen."""
    await soon(pilot, lambda: words in screen_text(pilot.app), seconds)
