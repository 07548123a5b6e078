"""A picture in the terminal, decoded and drawn in a thread; the newest request wins.

Finished pictures are kept (:class:`PictureCache`), so going back to one costs nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from lora_tui.drawing.picture import Depth, draw, fit_cells
from lora_tui.errors import UserError
from lora_tui.tui.cells import TONES, wrap
from lora_tui.tui.graphics import MOST_CELLS, NO_GRAPHICS, Graphics, Pixels
from lora_tui.tui.no_color import is_colourless
from lora_tui.tui.painting import picture_style
from lora_tui.tui.threads import in_thread, start_job

if TYPE_CHECKING:
    from PIL.Image import Image
    from textual.app import App

REST_SECONDS = 0.04
"""How long a cursor rests on an image before it is decoded; a held key then skips most of them."""

HURRIED_REST_SECONDS = 0.12
"""The same while one image follows another within :data:`HURRY_SECONDS`: a key is held, and a picture is most of what
a terminal is sent."""

HURRY_SECONDS = 0.2

SLOW_REST_SECONDS = 0.6
"""The same on a slow link, where a picture is worth a second of the line."""

KEPT_CELLS = 150_000
"""Cells of finished pictures that are kept: about 40 MB at the worst, 80 pictures of half a screen."""

AT_ONCE = 2
"""Images decoded at once in the whole app: more would slow the keys down."""


DIMMED = 0.35
"""What is left of the light of what is not used of an image, towards the ground's."""

Part = tuple[float, float, float, float]
"""The part of an image that is used: left, top, right and lower edge, each from 0 to 1."""


@dataclass(frozen=True)
class Wanted:
    """One drawing of one file: two that are equal look the same. Outside of its ``part`` it is dim and grey."""

    path: Path
    stamp: tuple[int, int]
    columns: int
    rows: int
    depth: Depth
    ascii_only: bool
    dark: bool
    ground: tuple[int, int, int]
    graphics: Graphics = NO_GRAPHICS
    part: Part | None = None


@dataclass(frozen=True)
class Drawn:
    """A finished picture, or why there is none; ``pixels`` are what its cells show, where they are no drawing."""

    strips: tuple[Strip, ...] = ()
    columns: int = 0
    problem: str = ""
    pixels: Pixels | None = None

    @property
    def cells(self) -> int:
        """Its size; a problem counts as one."""
        return max(self.columns * len(self.strips), 1)


class PictureCache:
    """The most recently drawn pictures."""

    def __init__(self, kept_cells: int = KEPT_CELLS) -> None:
        self._kept_cells = kept_cells
        self._cells = 0
        self._drawn: OrderedDict[Wanted, Drawn] = OrderedDict()
        self.gate = asyncio.Semaphore(AT_ONCE)

    def get(self, wanted: Wanted) -> Drawn | None:
        """The picture, none when it is not drawn yet."""
        found = self._drawn.get(wanted)
        if found is not None:
            self._drawn.move_to_end(wanted)
        return found

    def put(self, wanted: Wanted, drawn: Drawn) -> None:
        """Keep a picture; those used longest ago give way."""
        old = self._drawn.pop(wanted, None)
        self._drawn[wanted] = drawn
        self._cells += drawn.cells - (old.cells if old is not None else 0)
        while self._cells > self._kept_cells and len(self._drawn) > 1:
            _gone, given_up = self._drawn.popitem(last=False)
            self._cells -= given_up.cells


class ImageView(Widget):
    """Shows one image file as large as it fits, in its own shape."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES = {f"tone--{tone}" for tone in TONES}
    DEFAULT_CSS = "ImageView { height: 1fr; }"

    def __init__(
        self,
        *,
        align: Literal["left", "center"] = "left",
        id: str | None = None,  # noqa: A002 - Textual's own name
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._align = align
        self._path: Path | None = None
        self._stamp = (0, 0)
        self._part: Part | None = None
        self._drawn = Drawn()
        self._shown: Wanted | None = None
        self._drawing = False
        self._asked = 0.0
        self._quick = 0

    @property
    def _hurried(self) -> bool:
        """Whether one image follows another too fast to be looked at; a single step to and fro is none of that."""
        return self._quick > 2

    @property
    def path(self) -> Path | None:
        """The file that is, or is about to be, shown."""
        return self._path

    @property
    def shown(self) -> Path | None:
        """The file whose picture is on screen now."""
        return self._shown.path if self._shown is not None and not self._drawn.problem else None

    @property
    def problem(self) -> str:
        """Why there is no picture; empty when there is one."""
        return self._drawn.problem

    def show(self, path: Path | None, stamp: tuple[int, int] = (0, 0), part: Part | None = None) -> None:
        """Show another file, or another part of it. ``stamp`` (change time in ns, bytes) tells two contents apart."""
        if (path, stamp, part) == (self._path, self._stamp, self._part):
            return
        self._path, self._stamp, self._part = path, stamp, part
        now = time.monotonic()
        self._quick = self._quick + 1 if now - self._asked < HURRY_SECONDS else 0
        self._asked = now
        self._ask()

    def draw_again(self) -> None:
        """Pictures are drawn in another way now."""
        self._ask()

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self._ask())

    def on_resize(self) -> None:
        self._ask()

    def _ask(self) -> None:
        wanted = self._wanted()
        if wanted is None:
            self._put(None, Drawn())
            return
        drawn = pictures_of(self.app).get(wanted)
        if drawn is not None and not self._hurried:
            self._put(wanted, drawn)
        elif not self._drawing and wanted != self._shown:
            self._drawing = True
            start_job(self, self._draw_until_content, "picture", alone=False)

    async def _draw_until_content(self) -> None:
        """Draw what is wanted until that is what is shown: one image at a time, the newest wish next."""
        cache = pictures_of(self.app)
        slow = bool(getattr(getattr(self.app, "settings", None), "slow", False))
        try:
            while (wanted := self._wanted()) is not None and wanted != self._shown:
                rest = HURRIED_REST_SECONDS if self._hurried else REST_SECONDS
                await asyncio.sleep(SLOW_REST_SECONDS if slow else rest)
                if wanted != self._wanted():
                    continue
                drawn = cache.get(wanted)
                if drawn is None:
                    async with cache.gate:
                        drawn = await in_thread(render, wanted)
                    cache.put(wanted, drawn)
                if wanted == self._wanted():
                    self._put(wanted, drawn)
        finally:
            self._drawing = False

    def _put(self, wanted: Wanted | None, drawn: Drawn) -> None:
        self._shown, self._drawn = wanted, drawn
        self.refresh()

    def _wanted(self) -> Wanted | None:
        if self._path is None:
            return None
        room = self.size
        return wanted_of(self, self._path, self._stamp, room.width, room.height, pixels=True, part=self._part)

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        base = self.rich_style
        if self._drawn.problem:
            lines = wrap(self._drawn.problem, width)
            style = base + self.get_component_rich_style("tone--muted", partial=True)
            text = lines[y] if y < len(lines) else ""
            return Strip([Segment(text, style)]).adjust_cell_length(width, base)
        if y >= len(self._drawn.strips):
            return Strip.blank(width, base)
        strip = self._drawn.strips[y]
        margin = (width - self._drawn.columns) // 2 if self._align == "center" else 0
        if margin:
            strip = Strip([Segment(" " * margin, base), *strip], margin + self._drawn.columns)
        return strip.adjust_cell_length(width, base)


def wanted_of(
    widget: Widget,
    path: Path,
    stamp: tuple[int, int],
    columns: int,
    rows: int,
    *,
    pixels: bool = False,
    part: Part | None = None,
) -> Wanted | None:
    """How a file is drawn on a widget in this terminal; none where there is no room, or pictures are not wanted.

    Args:
        pixels: whether it may be drawn by the terminal's own graphics; many at once would be too much for a link.
    """
    app = widget.app
    settings = getattr(app, "settings", None)
    if columns < 1 or rows < 1 or (settings is not None and settings.images == "off"):
        return None
    ground = widget.background_colors[1]
    ascii_only = bool(getattr(app, "ascii_only", False)) or is_colourless(app)
    ascii_only = ascii_only or (settings is not None and settings.images == "ascii")
    graphics = getattr(app, "graphics", None) if pixels and not ascii_only else None
    return Wanted(
        path,
        stamp,
        columns,
        rows,
        depth_of(app),
        ascii_only,
        app.current_theme.dark,
        (0, 0, 0) if ground.ansi is not None else ground.rgb,
        graphics or NO_GRAPHICS,
        part,
    )


def render(wanted: Wanted) -> Drawn:
    """Decode and draw; an image that cannot be read becomes a sentence."""
    from lora_tui.dataset.buckets import Size
    from lora_tui.dataset.eyes import eyes_now
    from lora_tui.dataset.own_eyes import THUMBNAIL_SIDE
    from lora_tui.dataset.thumbnails import thumbnail

    across, down = wanted.graphics.cell if wanted.graphics.protocol else (1, 2)
    try:
        least = Size(wanted.columns * across, wanted.rows * down)
        if wanted.stamp != (0, 0) and max(least.width, least.height) <= THUMBNAIL_SIDE:
            image = thumbnail(wanted.path, wanted.stamp, background=wanted.ground)
        else:
            image = eyes_now().picture(wanted.path, wanted.ground, least)
    except UserError as error:
        return Drawn(problem=error.message)
    return drawn_from(image if wanted.part is None else _dimmed(image, wanted.part, wanted.ground), wanted)


def _dimmed(image: Image, part: Part, ground: tuple[int, int, int]) -> Image:
    """The image with what lies outside of the part dim and grey."""
    import PIL.Image

    width, height = image.size
    left, top, right, bottom = (round(share * side) for share, side in zip(part, (width, height) * 2, strict=True))
    dim = PIL.Image.blend(PIL.Image.new("RGB", image.size, ground), image.convert("L").convert("RGB"), DIMMED)
    dim.paste(image.crop((left, top, right, bottom)), (left, top))
    return dim


def drawn_from(image: Image, wanted: Wanted) -> Drawn:
    """A picture that is decoded already, drawn as is wanted."""
    if wanted.graphics.protocol:
        across, down = wanted.graphics.cell
        most = min(wanted.columns, MOST_CELLS), min(wanted.rows, MOST_CELLS)
        columns, rows = fit_cells(image.width, image.height, *most, ratio=down / across)
        pixels = wanted.graphics.encode(image, columns, rows)
        if pixels is not None:
            return Drawn(_cells_of(pixels, wanted.ground), columns, pixels=pixels)
    columns, rows = fit_cells(image.width, image.height, wanted.columns, wanted.rows)
    style: Literal["half", "ascii"] = "ascii" if wanted.ascii_only else "half"
    picture = draw(image, columns, rows, depth=wanted.depth, style=style, dark=wanted.dark)
    styles: dict[tuple[object, object], Style] = {}
    strips = []
    for row in picture.rows:
        segments = []
        for run in row:
            key = (run.front, run.back)
            look = styles.get(key)
            if look is None:
                back = Color.from_rgb(*run.back) if run.back is not None else None
                look = styles[key] = Style(color=Color.from_rgb(*run.front), bgcolor=back)
            segments.append(Segment(run.text, look))
        strips.append(Strip(segments, picture.columns))
    return Drawn(tuple(strips), picture.columns)


def _cells_of(pixels: Pixels, ground: tuple[int, int, int]) -> tuple[Strip, ...]:
    """The cells that a picture of pixels is shown on; each is a segment, so that none is cut in the middle."""
    base, strips = Style(bgcolor=Color.from_rgb(*ground)), []
    for number, row in enumerate(pixels.rows):
        style = picture_style(pixels, number, base)
        strips.append(Strip([Segment(cell, style) for cell in row], pixels.columns))
    return tuple(strips)


def depth_of(app: App[object]) -> Depth:
    """How many colours the terminal has."""
    system = app.console.color_system
    if system == "truecolor":
        return "truecolor"
    return "256" if system == "256" else "16"


def pictures_of(app: App[object]) -> PictureCache:
    """The drawn pictures of an app."""
    found = getattr(app, "pictures", None)
    if isinstance(found, PictureCache):
        return found
    cache = PictureCache()
    app.pictures = cache  # type: ignore[attr-defined]  # one cache an app, made with its first picture
    return cache
