"""Choosing by hand the part of an image that is used: the picture large, the part framed in it, image after image.

What is chosen is written to the dataset's notes as it is chosen; the dataset screen takes all of it back in one go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.timer import Timer

from lora_tui.dataset import cropping
from lora_tui.dataset.buckets import Box, Fit, Size, buckets_for, fit_image
from lora_tui.errors import UserError
from lora_tui.text import _, count, ngettext, plain
from lora_tui.tui.acting import Acting, WithKeys, hints_of, keymap_of
from lora_tui.tui.actions import CROP
from lora_tui.tui.cells import Cell, wrap
from lora_tui.tui.crop_text import Seen, number_lines
from lora_tui.tui.file_rows import FileRow
from lora_tui.tui.keymap import key_text
from lora_tui.tui.marks import marks_of
from lora_tui.tui.screens.dataset_crop_moves import Moves
from lora_tui.tui.screens.dataset_crops import Crops, size_of
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.widgets.crop_view import CropView
from lora_tui.tui.widgets.footer import Keys
from lora_tui.tui.widgets.lines import Lines
from lora_tui.tui.wording import error_words

if TYPE_CHECKING:
    from PIL.Image import Image

    from lora_tui.config.schema import DataSection
    from lora_tui.tui.app import LoraTuiApp

SIDE = 1600
"""Longer side, px, at which pictures are kept while a part of them is chosen: enough to look at from near."""

REST_SECONDS = 0.05
"""How long an image is there before it is decoded: a held key skips most of them."""

TOLD_LINES = 4
"""Of what is said below the picture, at most."""

WRITE_SECONDS = 0.4
"""How long keys rest before what they chose is written."""


class CropScreen(WithKeys, Acting, ModalScreen[Path], inherit_bindings=False):
    """Dismissed with the image that was shown last.

    Attributes:
        box: the part that is chosen now; all of the image where none is.
    """

    ACTS = CROP
    DEFAULT_CSS = """
    CropScreen { background: $background; }
    CropScreen #head { height: 1; padding: 0 1; }
    CropScreen #view { width: 1fr; height: 100%; margin: 0 1; }
    CropScreen #side { width: 29; height: 100%; border-left: solid $rule; padding: 0 0 0 1; }
    CropScreen #numbers { height: 1fr; }
    CropScreen #moves { height: 4; }
    CropScreen #told { height: 1; padding: 0 1; }
    .-ascii CropScreen #side { border-left: ascii $rule; }
    """

    def __init__(self, rows: Sequence[FileRow], start: int, crops: Crops, data: DataSection | None) -> None:
        """``rows`` are images, at least one; ``data`` says the buckets."""
        super().__init__()
        self.rows, self.crops, self._data = tuple(rows), crops, data
        self.buckets = buckets_for(data) if data is not None else ()
        self._number = min(max(start, 0), len(self.rows) - 1)
        self._past: list[Box] = []
        self._future: list[Box] = []
        self._pictures: dict[Path, Image | str] = {}
        self._writing = asyncio.Lock()
        self._rest: Timer | None = None
        self._is_left = False
        self.box = cropping.whole(self.image)
        self.moves = Moves(self)

    def doers(self) -> tuple[object, ...]:
        return self, self.moves

    # -- what is looked at

    @property
    def row(self) -> FileRow:
        """The image that is shown."""
        return self.rows[self._number]

    @property
    def image(self) -> Size:
        """The size of the image, px as it is shown."""
        return size_of(self.row)

    @property
    def picture(self) -> Image | str | None:
        """The image itself, smaller; none while it is read, a sentence where it cannot be."""
        return self._pictures.get(self.row.path)

    @property
    def view(self) -> CropView:
        """The widget that shows it."""
        return self.query_one(CropView)

    def fit(self, size: Size) -> Fit | None:
        """How a part of this size is brought to its bucket."""
        return fit_image(size.width, size.height, self._data, self.buckets) if self._data is not None else None

    # -- composing

    def compose(self) -> ComposeResult:
        yield Lines(id="head")
        with Horizontal():
            yield CropView(id="view")
            with Vertical(id="side"):
                yield Lines(id="numbers")
                yield Lines(id="moves")
        yield Lines(id="told")
        yield Keys()

    def on_mount(self) -> None:
        self.take_keys()
        self.query_one(Keys).show(hints_of(self.app, CROP))
        self._say_moves()
        self._enter()

    def on_resize(self) -> None:
        self.call_after_refresh(self.say)  # a cell of the picture is as many px as its place allows

    async def on_unmount(self) -> None:
        """When the program ends here, what is left is written first; who leaves by the key writes it on the way."""
        if self._is_left:
            return
        try:
            await in_thread(self.crops.write)
        except UserError as error:
            cast("LoraTuiApp", self.app).tell_last(error_words(error))

    def _enter(self) -> None:
        """Show the image that is looked at now."""
        self.box = self.crops.of(self.row) or cropping.whole(self.image)
        self._past, self._future = [], []
        self._show_picture()
        self.say()
        start_job(self, self._load, "load")

    def _show_picture(self) -> None:
        known = self.picture
        if isinstance(known, str):
            self.view.show(None, self.image, self.box, known)
        else:
            self.view.show(known, self.image, self.box)

    async def _load(self) -> None:
        """Decode this image, then those beside it."""
        await asyncio.sleep(REST_SECONDS)
        number = self._number
        beside = [self.row, *self.rows[number + 1 : number + 2], *self.rows[max(number - 1, 0) : number]]
        for row in beside:
            if row.path not in self._pictures:
                ground = self.view.background_colors[1]
                found = await in_thread(_decoded, row.path, (0, 0, 0) if ground.ansi is not None else ground.rgb)
                self._pictures[row.path] = found
                if row is self.row:
                    self._show_picture()
        kept = {row.path for row in beside}
        self._pictures = {path: picture for path, picture in self._pictures.items() if path in kept}

    def say(self) -> None:
        """The line above and the numbers beside the picture."""
        marks, row = marks_of(self.app), self.row
        place = _("{number} of {total}").format(number=count(self._number + 1), total=count(len(self.rows)))
        head = [Cell(row.name, "strong"), Cell(f"   {place}", "muted")]
        if chosen := self.crops.chosen:
            words = ngettext("{count} changed", "{count} changed", chosen).format(count=count(chosen))
            head.append(Cell(f"   {words}", "muted"))
        if waiting := self.crops.waiting:
            words = ngettext("{count} not written", "{count} not written", waiting).format(count=count(waiting))
            head.append(Cell(f"   {words}", "error"))
        self.query_one("#head", Lines).show([head])
        moves, fit = self.moves, self.fit(self.box.size)
        seen = Seen(self.image, self.box, moves.ratio, moves.step_words(), fit, self.crops.before(row))
        self.query_one("#numbers", Lines).show(number_lines(seen, marks))

    def _say_moves(self) -> None:
        """Which keys move, resize and step: too many for the line of keys."""
        keymap, ascii_only = keymap_of(self.app), bool(getattr(self.app, "ascii_only", False))

        def keys(*names: str, place: int = 0) -> str:
            found = [keymap.keys(f"{CROP}.{name}") for name in names]
            return " ".join(key_text(some[min(place, len(some) - 1)], ascii_only=ascii_only) for some in found if some)

        arrows = "left", "down", "up", "right"
        sides = "narrower", "taller", "lower", "wider"
        moves = (
            (keys(*arrows), _("move")),
            (keys(*sides, place=1), _("resize")),
            (keys("smaller", "larger"), _("about the middle")),
            (keys("finer", "coarser"), _("moves by")),
        )
        lines = [[Cell(f"{shown:<8}", "accent"), Cell(" " + words, "muted")] for shown, words in moves]
        self.query_one("#moves", Lines).show(lines)

    def tell(self, text: str, tone: str = "") -> None:
        """Say something below the picture."""
        told = self.query_one("#told", Lines)
        lines = wrap(text, max(self.size.width - 2, 20), TOLD_LINES, ellipsis=marks_of(self.app).ellipsis)
        told.styles.height = max(len(lines), 1)  # a long error keeps its remedy, which stands at its end
        told.show([[Cell(line, tone)] for line in lines])

    @on(Keys.Pressed)
    async def _hint_pressed(self, event: Keys.Pressed) -> None:
        event.stop()
        await self.action_act(event.action)

    async def action_act(self, action_id: str) -> None:
        self.tell("")
        await super().action_act(action_id)

    # -- changing the box

    def take(self, box: Box) -> None:
        """The box is another one now, by the person's doing."""
        if box == self.box:
            return
        self._past.append(self.box)
        self._future.clear()
        self._put(box)

    def _put(self, box: Box) -> None:
        self.box = box
        self.crops.choose(self.row, None if box == cropping.whole(self.image) else box)
        self.view.put(box)
        self.say()
        if self._rest is not None:
            self._rest.stop()
        self._rest = self.set_timer(WRITE_SECONDS, self.write_soon)

    def write_soon(self) -> None:
        """Write what is not written yet, in a thread."""
        start_job(self, self._write, "write", alone=False)

    async def _write(self) -> None:
        """Write what was chosen; what cannot be written is tried again with the next change."""
        async with self._writing:
            waited = self.crops.waiting
            try:
                await in_thread(self.crops.write)
            except UserError as error:
                self.tell(error_words(error), "error")
                if error.code == "image.changed":
                    self.box = self.crops.of(self.row) or cropping.whole(self.image)
                    self._show_picture()
                    waited = 1
            if self.is_mounted and (waited or self.crops.waiting):
                self.say()

    # -- actions: undo, other images, the end

    def action_undo(self) -> None:
        if self._past:
            self._future.append(self.box)
            self._put(self._past.pop())

    def action_redo(self) -> None:
        if self._future:
            self._past.append(self.box)
            self._put(self._future.pop())

    def action_next(self) -> None:
        self._turn(1)

    def action_previous(self) -> None:
        self._turn(-1)

    def _turn(self, step: int) -> None:
        number = self._number + step
        if not 0 <= number < len(self.rows):
            last = _("This is the last image.") if step > 0 else _("This is the first image.")
            self.tell(last, "muted")
            return
        self.write_soon()
        self._number = number
        self._enter()

    def action_leave(self) -> None:
        self._is_left = True
        self.dismiss(self.row.path)

    def refusal(self, action_id: str) -> str:
        name = action_id.partition(".")[2]
        if name == "undo" and not self._past:
            return _("There is nothing to undo.")
        if name == "redo" and not self._future:
            return _("There is nothing to do again.")
        return ""


def _decoded(path: Path, ground: tuple[int, int, int]) -> Image | str:
    """The picture, its longer side at most :data:`SIDE` px; a sentence where it cannot be read."""
    from lora_tui.dataset.eyes import eyes_now

    try:
        return eyes_now().picture(path, ground, Size(SIDE, SIDE), within=SIDE)
    except UserError as error:
        return plain(error.message)
