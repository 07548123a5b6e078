"""``NO_COLOR``: greys in the place of a theme's own colours, and none at all in the place of the terminal's sixteen.

Textual decides between the two once, by the theme that it begins with, and turns the terminal's own ground and text
into black on black where it decided wrongly.
"""

from __future__ import annotations

from typing import Any

from rich.segment import Segment
from textual.app import App
from textual.color import Color
from textual.filter import LineFilter, Monochrome, NoColor


class WithoutColour(LineFilter):
    """Takes the colours away that the theme in use has."""

    def __init__(self, app: App[Any]) -> None:
        super().__init__()
        self._app = app
        self._greys, self._nothing = Monochrome(), NoColor()

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The segments without colour."""
        chosen = self._nothing if self._app.native_ansi_color else self._greys
        return chosen.apply(segments, background)


def obey_no_color(app: App[Any]) -> None:
    """Put :class:`WithoutColour` in the place of the filter that Textual chose, if it chose one."""
    app._filters = [WithoutColour(app) if isinstance(one, Monochrome | NoColor) else one for one in app._filters]


def is_colourless(app: App[Any]) -> bool:
    """Whether no colour reaches the terminal: not even greys, so that only characters and their weight tell."""
    return app.no_color and app.native_ansi_color
