"""Choosing by hand the part of an image that is used: the picture large, the part framed in it, image after image.

What is chosen is written to the dataset's notes as it is chosen; the dataset screen takes all of it back in one go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.timer import Timer

from lora_tui.dataset import cropping
from lora_tui.dataset.buckets import Box, Fit, Size, buckets_for, fit_image
from lora_tui.dataset.cropping import RATIOS, Ratio
from lora_tui.dataset.prepare.subject import best_place
from lora_tui.errors import UserError
from lora_tui.text import _, count, ngettext, plain
from lora_tui.tui.acting import Acting, hints_of, keymap_of
from lora_tui.tui.actions import CROP
from lora_tui.tui.cells import Cell
from lora_tui.tui.crop_text import STEPS, Seen, number_lines, ratio_text, size_text
from lora_tui.tui.file_rows import FileRow
from lora_tui.tui.keymap import key_text
from lora_tui.tui.marks import marks_of
from lora_tui.tui.screens.dataset_crops import Crops
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.widgets.crop_view import CropView
from lora_tui.tui.widgets.dialog import AskText, Choice, Choose, Confirm
from lora_tui.tui.widgets.footer import Keys
from lora_tui.tui.widgets.lines import Lines
from lora_tui.tui.wording import error_words

if TYPE_CHECKING:
    from PIL.Image import Image

    from lora_tui.config.schema import DataSection

SIDE = 1600
"""Longer side, px, at which pictures are kept while a part of them is chosen: enough to look at from near."""

REST_SECONDS = 0.05
"""How long an image is there before it is decoded: a held key skips most of them."""

WRITE_SECONDS = 0.4
"""How long keys rest before what they chose is written."""


class CropScreen(Acting, ModalScreen[Path], inherit_bindings=False):
    """Dismissed with the image that was shown last."""

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
        self._rows, self._crops, self._data = tuple(rows), crops, data
        self._buckets = buckets_for(data) if data is not None else ()
        self._number = min(max(start, 0), len(self._rows) - 1)
        self._ratio: Ratio | None = None
        self._step = 2
        self._past: list[Box] = []
        self._future: list[Box] = []
        self._pictures: dict[Path, Image | str] = {}
        self._writing = asyncio.Lock()
        self._rest: Timer | None = None
        self._box = cropping.whole(self._image)

    # -- what is looked at

    @property
    def row(self) -> FileRow:
        """The image that is shown."""
        return self._rows[self._number]

    @property
    def box(self) -> Box:
        """The part that is chosen now; all of the image where none is."""
        return self._box

    @property
    def _image(self) -> Size:
        return _size_of(self.row)

    def _fit(self, size: Size) -> Fit | None:
        return fit_image(size.width, size.height, self._data, self._buckets) if self._data is not None else None

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

    def on_unmount(self) -> None:
        self._crops.write_last()

    def _enter(self) -> None:
        """Show the image that is looked at now."""
        self._box = self._crops.of(self.row) or cropping.whole(self._image)
        self._past, self._future = [], []
        known = self._pictures.get(self.row.path)
        self._show_picture(known)
        self._say()
        start_job(self, self._load, "load")

    def _show_picture(self, known: Image | str | None) -> None:
        words = known if isinstance(known, str) else ""
        picture = known if not isinstance(known, str) else None
        self.query_one(CropView).show(picture, self._image, self._box, words)

    async def _load(self) -> None:
        """Decode this image, then those beside it."""
        await asyncio.sleep(REST_SECONDS)
        beside = [self.row, *self._rows[self._number + 1 :][:1], *self._rows[: self._number][-1:]]
        for row in beside:
            if row.path not in self._pictures:
                ground = self.query_one(CropView).background_colors[1]
                found = await in_thread(_decoded, row.path, (0, 0, 0) if ground.ansi is not None else ground.rgb)
                self._pictures[row.path] = found
                if row is self.row:
                    self._show_picture(found)
        kept = {row.path for row in beside}
        self._pictures = {path: picture for path, picture in self._pictures.items() if path in kept}

    def _say(self) -> None:
        """The line above and the numbers beside the picture."""
        marks, row = marks_of(self.app), self.row
        place = _("{number} of {total}").format(number=count(self._number + 1), total=count(len(self._rows)))
        head = [Cell(row.name, "strong"), Cell(f"   {place}", "muted")]
        if chosen := self._crops.chosen:
            words = ngettext("{count} changed", "{count} changed", chosen).format(count=count(chosen))
            head.append(Cell(f"   {words}", "muted"))
        self.query_one("#head", Lines).show([head])
        seen = Seen(
            self._image, self._box, self._ratio, self._step_words(), self._fit(self._box.size), self._crops.before(row)
        )
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
            (keys("finer", "coarser"), _("step")),
        )
        lines = [[Cell(f"{shown:<8}", "accent"), Cell(" " + words, "muted")] for shown, words in moves]
        self.query_one("#moves", Lines).show(lines)

    def tell(self, text: str, tone: str = "") -> None:
        """Say something below the picture."""
        self.query_one("#told", Lines).show([[Cell(text, tone)]] if text else [])

    @on(Keys.Pressed)
    async def _hint_pressed(self, event: Keys.Pressed) -> None:
        event.stop()
        await self.action_act(event.action)

    async def action_act(self, action_id: str) -> None:
        self.tell("")
        await super().action_act(action_id)

    # -- changing the box

    def _take(self, box: Box) -> None:
        """The box is another one now, by the person's doing."""
        if box == self._box:
            return
        self._past.append(self._box)
        self._future.clear()
        self._put(box)

    def _put(self, box: Box) -> None:
        self._box = box
        self._crops.choose(self.row, None if box == cropping.whole(self._image) else box)
        self.query_one(CropView).put(box)
        self._say()
        if self._rest is not None:
            self._rest.stop()
        self._rest = self.set_timer(WRITE_SECONDS, self._write_soon)

    def _write_soon(self) -> None:
        start_job(self, self._write, "write", alone=False)

    async def _write(self) -> None:
        """Write what was chosen; what cannot be written is tried again with the next change."""
        async with self._writing:
            try:
                await in_thread(self._crops.write)
            except UserError as error:
                self.tell(error_words(error), "error")

    def _step_sizes(self) -> tuple[tuple[int, int], ...]:
        """Px to the side and down for each of the steps."""
        across, down = self.query_one(CropView).pixels_a_cell()
        tenth = max(max(self._image.width, self._image.height) // 10, 1)
        return (1, 1), (8, 8), (across, down), (tenth, tenth)

    def _step_words(self) -> str:
        return _(STEPS[self._step]).format(pixels=count(self._step_sizes()[self._step][0]))

    def _move(self, right: int, down: int) -> None:
        across, along = self._step_sizes()[self._step]
        moved = cropping.move(self._box, self._image, right * across, down * along)
        if moved == self._box and self._box.size == self._image:
            self.tell(_("This is the whole image: make the part smaller first."), "muted")
        self._take(moved)

    def _stretch(self, wider: int, taller: int) -> None:
        across, along = self._step_sizes()[self._step]
        if not self._shaped():
            self._take(cropping.stretch(self._box, self._image, wider * across, taller * along, self._ratio))

    def _grow(self, sign: int) -> None:
        if not self._shaped():
            step = max(self._step_sizes()[self._step])
            self._take(cropping.grow(self._box, self._image, sign * step, self._ratio))

    def _shaped(self) -> bool:
        """Bring the box into the shape that is kept, where it is in another one; whether that was so."""
        if self._ratio is None or cropping.ratio_of(self._box.size) == self._ratio:
            return False
        shaped = cropping.shape(self._box, self._image, self._ratio)
        if shaped == self._box:  # the image is too small for the shape
            return False
        self._take(shaped)
        return True

    # -- actions: place and size

    def action_left(self) -> None:
        self._move(-1, 0)

    def action_right(self) -> None:
        self._move(1, 0)

    def action_up(self) -> None:
        self._move(0, -1)

    def action_down(self) -> None:
        self._move(0, 1)

    def action_narrower(self) -> None:
        self._stretch(-1, 0)

    def action_wider(self) -> None:
        self._stretch(1, 0)

    def action_lower(self) -> None:
        self._stretch(0, -1)

    def action_taller(self) -> None:
        self._stretch(0, 1)

    def action_larger(self) -> None:
        self._grow(1)

    def action_smaller(self) -> None:
        self._grow(-1)

    def action_finer(self) -> None:
        self._step = max(self._step - 1, 0)
        self._say()

    def action_coarser(self) -> None:
        self._step = min(self._step + 1, len(STEPS) - 1)
        self._say()

    def action_centre(self) -> None:
        self._take(cropping.centre(self._box, self._image))

    def action_whole(self) -> None:
        self._take(cropping.whole(self._image))

    def action_zoom(self) -> None:
        view = self.query_one(CropView)
        view.zoom(not view.zoomed)
        self._say()

    def action_snap(self) -> None:
        fit = self._fit(self._box.size)
        if fit is None:
            return
        found = cropping.times(self._box, self._image, fit.bucket)
        if found is None:
            size = size_text(fit.bucket)
            self.tell(_("The image is smaller than its bucket, {size}.").format(size=size), "warning")
            return
        box, number = found
        self._ratio = cropping.ratio_of(fit.bucket)
        self._take(box)
        self._say()
        if number == 1:
            self.tell(_("Trained px for px: neither scaled nor cut."), "success")
        else:
            self.tell(_("{number} times the bucket: scaled, nothing cut.").format(number=number), "success")

    # -- actions: shape

    def _shape(self, ratio: Ratio | None) -> None:
        self._ratio = ratio
        if ratio is not None:
            self._take(cropping.shape(self._box, self._image, ratio))
        self._say()

    def action_free(self) -> None:
        self._shape(None)

    def action_square(self) -> None:
        self._shape((1, 1))

    def action_two_three(self) -> None:
        self._shape((2, 3))

    def action_three_two(self) -> None:
        self._shape((3, 2))

    def action_three_four(self) -> None:
        self._shape((3, 4))

    def action_four_three(self) -> None:
        self._shape((4, 3))

    def action_bucket(self) -> None:
        fit = self._fit(self._box.size)
        if fit is not None:
            self._shape(cropping.ratio_of(fit.bucket))

    def action_shape(self) -> None:
        choices = [Choice[Ratio]((0, 0), _("free"), _("width and height change one without the other"))]
        choices += [Choice(ratio, ratio_text(ratio)) for ratio in RATIOS]
        for bucket in self._buckets:
            ratio = cropping.ratio_of(bucket)
            choices.append(Choice(ratio, str(bucket), _("bucket, {ratio}").format(ratio=ratio_text(ratio))))

        def chosen(ratio: Ratio | None) -> None:
            if ratio is not None:
                self._shape(ratio if ratio != (0, 0) else None)

        self.app.push_screen(Choose(_("Shape"), choices, current=self._ratio or (0, 0)), chosen)

    def action_numbers(self) -> None:
        image = self._image

        def wrong(text: str) -> str:
            box = cropping.parse(text)
            if box is None:
                return _("Write left and top corner, width and height: 10,20,512x512.")
            if cropping.lies_in(box, image):
                return ""
            words = _("The part does not lie in the image, which has {width} x {height} px.")
            return words.format(width=image.width, height=image.height)

        def typed(text: str | None) -> None:
            box = cropping.parse(text) if text is not None else None
            if box is not None:
                self._ratio = self._ratio if cropping.ratio_of(box.size) == self._ratio else None
                self._take(box)
                self._say()

        title = _("Left, top, width x height in px")
        self.app.push_screen(AskText(title, cropping.written(self._box), check=wrong), typed)

    # -- actions: the subject, the others

    def action_subject(self) -> None:
        start_job(self, self._find_subject, "subject")

    async def _find_subject(self) -> None:
        """Put the box where most of the subject is; a whole image becomes its bucket's shape first."""
        row, picture, image = self.row, self._pictures.get(self.row.path), self._image
        box, fit = self._box, self._fit(self._box.size)
        if isinstance(picture, str) or picture is None:
            self.tell(_("The picture is still being read."), "muted")
            return
        if box.size == image and fit is not None:
            box = cropping.shape(box, image, self._ratio or cropping.ratio_of(fit.bucket))
        if box.size == image:
            self.tell(_("This is the whole image: make the part smaller first."), "muted")
            return
        across, down = picture.width / image.width, picture.height / image.height
        left, top = await in_thread(best_place, picture, (box.width * across, box.height * down))
        if row is self.row:
            moved = cropping.move(box, image, round(left / across) - box.left, round(top / down) - box.top)
            self._take(moved)
            self.tell(_("Put where the picture stands out most; arrows move it on."), "muted")

    def action_same(self) -> None:
        others = [row for row in self._rows if row is not self.row and _size_of(row) == self._image]
        if not others:
            self.tell(_("No other image of the list has this size."), "muted")
            return
        box = self._box
        number = len(others)
        question = ngettext("Use this part for {count} other image?", "Use this part for {count} other images?", number)
        detail = _("All of them have {size}. Parts that were chosen for them before are replaced.")

        def answered(yes: bool | None) -> None:
            if yes:
                for row in others:
                    self._crops.choose(row, None if box == cropping.whole(self._image) else box)
                self._write_soon()
                self._say()

        dialog = Confirm(
            question.format(count=count(number)), detail.format(size=size_text(self._image)), yes=_("use it")
        )
        self.app.push_screen(dialog, answered)

    # -- actions: undo, other images, the end

    def action_undo(self) -> None:
        if self._past:
            self._future.append(self._box)
            self._put(self._past.pop())

    def action_redo(self) -> None:
        if self._future:
            self._past.append(self._box)
            self._put(self._future.pop())

    def action_next(self) -> None:
        self._turn(1)

    def action_previous(self) -> None:
        self._turn(-1)

    def _turn(self, step: int) -> None:
        number = self._number + step
        if not 0 <= number < len(self._rows):
            last = _("This is the last image.") if step > 0 else _("This is the first image.")
            self.tell(last, "muted")
            return
        self._write_soon()
        self._number = number
        self._enter()

    def action_leave(self) -> None:
        self.dismiss(self.row.path)

    def refusal(self, action_id: str) -> str:
        name = action_id.partition(".")[2]
        if name == "undo" and not self._past:
            return _("There is nothing to take back.")
        if name == "redo" and not self._future:
            return _("There is nothing to do again.")
        return ""


def _size_of(row: FileRow) -> Size:
    facts = row.image.facts if row.image is not None else None
    return Size(facts.width, facts.height) if facts is not None else Size(1, 1)


def _decoded(path: Path, ground: tuple[int, int, int]) -> Image | str:
    """The picture, its longer side at most :data:`SIDE` px; a sentence where it cannot be read."""
    from lora_tui.dataset.load import open_upright

    try:
        picture = open_upright(path, background=ground, at_least=Size(SIDE, SIDE))
    except UserError as error:
        return plain(error.message)
    if max(picture.size) > SIDE:
        picture.thumbnail((SIDE, SIDE), reducing_gap=2.0)
    return picture
