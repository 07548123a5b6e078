"""A picture with a part of it chosen: the part in its colours within a frame, the rest in dim grey.

Takes a decoded picture and boxes in px of the image; knows no file and no key. When the box moves only the places of
the old and the new frame change on screen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from lora_tui.dataset.buckets import Box, Size
from lora_tui.dataset.cropping import whole
from lora_tui.drawing.picture import fit_cells
from lora_tui.tui.cells import TONES, wrap
from lora_tui.tui.marks import marks_of
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.widgets.image_view import DIMMED, Wanted, drawn_from, wanted_of

if TYPE_CHECKING:
    from PIL.Image import Image

FIRST_GREY, GREYS = 232, 24
"""The ramp of greys among the 256 colours: 8, 18, 28 … 238 of 255. Their codes are half as long as those of others."""

MARGIN = 6
"""A zoomed view shows this part (one in so many) of the box's sides around it."""

CORNERS = "┌┐└┘─│"
ASCII_CORNERS = "++++-|"


@dataclass(frozen=True)
class Frame:
    """The outermost cells of the box, from 0; they may lie outside of what is seen."""

    left: int
    top: int
    right: int
    bottom: int


class CropView(Widget):
    """The picture as large as it fits, with the box over it."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES = {f"tone--{tone}" for tone in TONES}
    DEFAULT_CSS = "CropView { height: 1fr; }"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id)
        self._picture: Image | None = None
        self._words = ""
        self._image = Size(1, 1)
        self._box = self._view = Box(0, 0, 1, 1)
        self._inside: tuple[Strip, ...] = ()
        self._outside: tuple[Strip, ...] = ()
        self.zoomed = False

    # -- for the screen around it

    def show(self, picture: Image | None, image: Size, box: Box, words: str = "") -> None:
        """Show another image. ``picture`` is all of it in any size, none while it is read; ``words`` instead of it."""
        self._picture, self._image, self._box, self._words = picture, image, box, words
        self._inside = self._outside = ()
        self._look_at()
        self.refresh()

    def put(self, box: Box) -> None:
        """The box is another one."""
        before, self._box = self._frame(), box
        if self.zoomed and not _comfortable(box, self._view, self._image):
            self._look_at()
            return
        after = self._frame()
        if after == before:
            return
        # whole rows: what is written of them is found by comparing with what stands there (see tui.painting)
        top, bottom = min(before.top, after.top), max(before.bottom, after.bottom)
        self.refresh(Region(0, top, max(self.size.width, 1), bottom - top + 1))

    def zoom(self, *, near: bool) -> None:
        """Look at the box and a little around it, or at the whole image."""
        self.zoomed = near
        self._look_at()

    @property
    def drawn(self) -> bool:
        """Whether the picture is on screen."""
        return bool(self._inside)

    def pixels_a_cell(self) -> tuple[int, int]:
        """Px of the image that a cell is wide and high, at least one."""
        columns, rows = self._shape
        return max(round(self._view.width / columns), 1), max(round(self._view.height / rows), 1)

    # -- drawing

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self._look_at())

    def on_resize(self) -> None:
        self._look_at()

    @property
    def _shape(self) -> tuple[int, int]:
        """Columns and rows of the picture."""
        if self._inside:
            return self._inside[0].cell_length, len(self._inside)
        columns, rows = fit_cells(self._view.width, self._view.height, self.size.width, self.size.height)
        return max(columns, 1), max(rows, 1)

    @property
    def _margin(self) -> int:
        return max((self.size.width - self._shape[0]) // 2, 0)

    def _look_at(self) -> None:
        """Choose what is looked at, and draw it; what was there stays until that is done."""
        view = _around(self._box, self._image) if self.zoomed else whole(self._image)
        wanted = wanted_of(self, Path(), (0, 0), self.size.width, self.size.height)
        if self._picture is None or wanted is None:
            self._view = view
            self._inside = self._outside = ()
            self.refresh()
            return
        if not self._inside:
            self._view = view
        start_job(self, partial(self._draw, self._picture, self._image, view, wanted), "draw")

    async def _draw(self, picture: Image, image: Size, view: Box, wanted: Wanted) -> None:
        inside, outside = await in_thread(_drawn, picture, image, view, wanted)
        if picture is self._picture:
            self._view, self._inside, self._outside = view, inside, outside
            self.refresh()

    def _frame(self) -> Frame:
        """Where the box's outermost cells are."""
        (columns, rows), view, box = self._shape, self._view, self._box
        left = (box.left - view.left) * columns // view.width
        top = (box.top - view.top) * rows // view.height
        right = -((view.left - box.right) * columns // view.width) - 1
        bottom = -((view.top - box.bottom) * rows // view.height) - 1
        return Frame(left, top, max(right, left), max(bottom, top))

    def render_line(self, y: int) -> Strip:
        width, base = self.size.width, self.rich_style
        if self._words:
            lines = wrap(self._words, width)
            style = base + self.get_component_rich_style("tone--muted", partial=True)
            return Strip([Segment(lines[y] if y < len(lines) else "", style)]).adjust_cell_length(width, base)
        columns, rows = self._shape
        if y >= rows:
            return Strip.blank(width, base)
        blank = Strip.blank(columns, base)
        inside = self._inside[y] if self._inside else blank
        outside = self._outside[y] if self._outside else blank
        parts = [Strip.blank(self._margin, base), *self._framed(y, inside, outside, columns)]
        return Strip.join(parts).adjust_cell_length(width, base)

    def _framed(self, y: int, inside: Strip, outside: Strip, columns: int) -> list[Strip]:
        """A row of the picture with what of the frame is on it."""
        frame = self._frame()
        if not frame.top <= y <= frame.bottom:
            return [outside]
        first, last = max(frame.left, 0), min(frame.right, columns - 1)
        if first > last:
            return [outside]
        parts = [outside.crop(0, first)]
        signs = ASCII_CORNERS if marks_of(self.app).bar == "|" else CORNERS
        look = self.rich_style + self.get_component_rich_style("tone--focus", partial=True)
        if y in (frame.top, frame.bottom):
            here = signs[0:2] if y == frame.top else signs[2:4]
            text = signs[4] * (last - first + 1)
            text = (here[0] if frame.left == first else text[0]) + text[1:]
            if last > first:
                text = text[:-1] + (here[1] if frame.right == last else text[-1])
            parts.append(Strip([Segment(text, look)], len(text)))
        else:
            side = Strip([Segment(signs[5], look)], 1)
            before, behind = frame.left == first, frame.right == last and last > first
            if before:
                parts.append(side)
            parts.append(inside.crop(first + before, last + 1 - behind))
            if behind:
                parts.append(side)
        parts.append(outside.crop(last + 1, columns))
        return parts


def _drawn(picture: Image, image: Size, view: Box, wanted: Wanted) -> tuple[tuple[Strip, ...], tuple[Strip, ...]]:
    """The rows of what is looked at, in colours and in dim grey. Takes some milliseconds."""
    across, down = picture.width / image.width, picture.height / image.height
    corners = view.left * across, view.top * down, view.right * across, view.bottom * down
    left, top, right, bottom = (round(corner) for corner in corners)
    seen = picture.crop((left, top, max(right, left + 1), max(bottom, top + 1)))
    columns, rows = fit_cells(view.width, view.height, wanted.columns, wanted.rows)
    seen = seen.resize((columns, rows * 2), reducing_gap=2.0)
    exact = replace(wanted, columns=columns, rows=rows)
    red, green, blue = wanted.ground
    ground = (299 * red + 587 * green + 114 * blue) / 1000
    shades = [_grey(level * DIMMED + ground * (1 - DIMMED)) for level in range(256)]
    grey = seen.convert("L").point(shades).convert("RGB")
    return drawn_from(seen, exact).strips, tuple(_in_ramp(strip) for strip in drawn_from(grey, exact).strips)


def _grey(level: float) -> int:
    """The nearest grey of the ramp."""
    return 8 + 10 * min(max(round((level - 8) / 10), 0), GREYS - 1)


def _in_ramp(strip: Strip) -> Strip:
    """The same in the ramp's own colours, where it is of greys."""
    found = []
    for text, style, _control in strip:
        if style is not None:
            style = Style(color=_of_ramp(style.color), bgcolor=_of_ramp(style.bgcolor))
        found.append(Segment(text, style))
    return Strip(found, strip.cell_length)


def _of_ramp(colour: Color | None) -> Color | None:
    triplet = colour.triplet if colour is not None else None
    if triplet is None or not triplet.red == triplet.green == triplet.blue or (triplet.red - 8) % 10:
        return colour
    return Color.from_ansi(FIRST_GREY + (triplet.red - 8) // 10)


def _around(box: Box, image: Size) -> Box:
    """The box with some of the image around it."""
    across, down = max(box.width // MARGIN, 1), max(box.height // MARGIN, 1)
    return Box(
        max(box.left - across, 0),
        max(box.top - down, 0),
        min(box.right + across, image.width),
        min(box.bottom + down, image.height),
    )


def _comfortable(box: Box, view: Box, image: Size) -> bool:
    """Whether a zoomed view still shows the box with something around it, and not as a small thing in it."""
    if box.width * 3 < view.width and box.height * 3 < view.height:
        return False
    sides = (
        box.left > view.left or view.left == 0,
        box.top > view.top or view.top == 0,
        box.right < view.right or view.right == image.width,
        box.bottom < view.bottom or view.bottom == image.height,
    )
    return all(sides)
