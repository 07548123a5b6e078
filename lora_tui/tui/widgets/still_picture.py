"""A picture that exists in memory only, such as what a preparation would make of an image: drawn in a thread."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

from lora_tui.tui.cells import TONES, wrap
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.widgets.image_view import Drawn, drawn_from, wanted_of

if TYPE_CHECKING:
    from PIL.Image import Image


class StillPicture(Widget):
    """Shows one picture as large as it fits, in its own shape; or words where there is none."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES = {f"tone--{tone}" for tone in TONES}
    DEFAULT_CSS = "StillPicture { height: 1fr; }"

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id, classes=classes)
        self._image: Image | None = None
        self._drawn = Drawn()

    @property
    def words(self) -> str:
        """What is said in the place of a picture; empty where there is one."""
        return self._drawn.problem

    @property
    def has_picture(self) -> bool:
        """Whether a picture is on screen."""
        return bool(self._drawn.strips)

    def show(self, image: Image | None, words: str = "") -> None:
        """Show a picture, which is not changed any more, or ``words``; what was there stays until it is drawn."""
        if image is None and (self._image, self._drawn.problem) == (None, words):
            return
        self._image = image
        if image is None:
            self._put(Drawn(problem=words))
        else:
            self._ask()

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self._ask())

    def on_resize(self) -> None:
        self._ask()

    def _ask(self) -> None:
        if self._image is not None:
            start_job(self, partial(self._draw, self._image), "picture")

    async def _draw(self, image: Image) -> None:
        wanted = wanted_of(self, Path(), (0, 0), self.size.width, self.size.height)
        drawn = Drawn() if wanted is None else await in_thread(drawn_from, image, wanted)
        if image is self._image:
            self._put(drawn)

    def _put(self, drawn: Drawn) -> None:
        if drawn != self._drawn:
            self._drawn = drawn
            self.refresh()

    def render_line(self, y: int) -> Strip:
        width, base = self.size.width, self.rich_style
        if self._drawn.problem:
            lines = wrap(self._drawn.problem, width)
            style = base + self.get_component_rich_style("tone--muted", partial=True)
            return Strip([Segment(lines[y] if y < len(lines) else "", style)]).adjust_cell_length(width, base)
        if y >= len(self._drawn.strips):
            return Strip.blank(width, base)
        return self._drawn.strips[y].adjust_cell_length(width, base)
