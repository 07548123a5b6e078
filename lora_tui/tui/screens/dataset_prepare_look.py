"""Before and after of the image under the cursor, as the settings would make it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from rich.cells import cell_len

from lora_tui.dataset.prepare.options import Options
from lora_tui.dataset.prepare.plan import Item
from lora_tui.dataset.prepare.preview import Preview, preview
from lora_tui.dataset.problems import Problem
from lora_tui.errors import UserError
from lora_tui.text import _, bytes_text, plain
from lora_tui.tui.cells import Cell
from lora_tui.tui.prepare_table import cut_percent, notes_of
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.widgets.image_view import HURRIED_REST_SECONDS, SLOW_REST_SECONDS, pictures_of
from lora_tui.tui.widgets.lines import Lines
from lora_tui.tui.widgets.still_picture import StillPicture
from lora_tui.tui.wording import error_words

if TYPE_CHECKING:
    from PIL.Image import Image

    from lora_tui.dataset.prepare.make import Corners
    from lora_tui.tui.screens.dataset_prepare import PrepareScreen

SIDE = 512
"""px of the longer side of a picture that is shown: a terminal has fewer cells."""

KEPT = 24
"""Previews that are kept, about 2 MB each."""

DARK = 0.3
"""How bright is what is cut away, of what it was."""


@dataclass(frozen=True)
class Seen:
    """A preview made small: before, with what each file shows; after."""

    before: Image
    after: tuple[Image, ...]
    boxes: tuple[Corners, ...]
    scale: float

    def framed(self, number: int) -> Image:
        """Before, with what is not part of file ``number`` darkened."""
        left, top, right, bottom = (round(value * self.scale) for value in self.boxes[number])
        box = max(left, 0), max(top, 0), min(right, self.before.width), min(bottom, self.before.height)
        if box == (0, 0, *self.before.size) or box[0] >= box[2] or box[1] >= box[3]:
            return self.before
        dark = self.before.point(lambda value: round(value * DARK))
        dark.paste(self.before.crop(box), box)
        return dark


class PrepareLook:
    """The right side of the screen."""

    def __init__(self, screen: PrepareScreen) -> None:
        self._screen = screen
        self._kept: OrderedDict[tuple[Item, Options], Seen | str] = OrderedDict()
        self._piece = 0
        self._of: str = ""

    def moved(self) -> None:
        """Another image, or other settings."""
        row = self._screen.row
        if not isinstance(row, Item):
            words = plain(row.message) if isinstance(row, Problem) else ""
            self._show(None, words)
            return
        if row.key != self._of:
            self._of, self._piece = row.key, 0
        start_job(self._screen, partial(self._look, row), "look")

    async def _look(self, item: Item) -> None:
        screen = self._screen
        if screen.plan is None or screen.shell.settings.images == "off":
            return
        options = screen.plan.options
        seen = self._kept.get((item, options))
        if seen is None:
            slow = screen.shell.settings.slow or options.heavy
            await asyncio.sleep(SLOW_REST_SECONDS if slow else HURRIED_REST_SECONDS)
            if options.heavy:
                self._titles(_("looking for the subject"))
            async with pictures_of(screen.app).gate:
                seen = await in_thread(_seen, item, options)
            self._kept[item, options] = seen
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        if screen.row is item:
            self._show(*((None, seen) if isinstance(seen, str) else (seen, "")))

    def _show(self, seen: Seen | None, words: str) -> None:
        screen = self._screen
        before, after = screen.query_one("#before", StillPicture), screen.query_one("#after", StillPicture)
        if seen is None:
            before.show(None, words)
            after.show(None)
        else:
            number = min(self._piece, len(seen.after) - 1)
            before.show(seen.framed(number))
            after.show(seen.after[number])
        self._titles()

    def _titles(self, words: str = "") -> None:
        row = self._screen.row
        before = after = ""
        if isinstance(row, Item):
            facts, pieces = row.image.facts, row.pieces
            size = pieces[min(self._piece, len(pieces) - 1)].fitted.size
            before = f"{facts.width}x{facts.height}"
            after = f"{size.width}x{size.height}"
            if len(pieces) > 1:
                after += "  " + _("{number} of {total}").format(number=self._piece + 1, total=len(pieces))
        self._title("#before-title", _("before"), before)
        self._title("#after-title", words or _("after"), after)

    def _title(self, place: str, word: str, size: str) -> None:
        """A word and a size where there is room for both, else the size."""
        line = self._screen.query_one(place, Lines)
        room = cell_len(word) + 1 + cell_len(size) <= line.size.width or not size
        line.show([[Cell(f"{word} " if room else "", "muted"), Cell(size)]])

    def turn(self, by: int) -> bool:
        """Show the next or the previous of the files made of the image; false where there is one alone."""
        row = self._screen.row
        if not isinstance(row, Item) or len(row.pieces) < 2:
            return False
        self._piece = (self._piece + by) % len(row.pieces)
        start_job(self._screen, partial(self._look, row), "look")
        return True

    def facts_of(self, item: Item) -> list[str]:
        """What becomes of an image, in words."""
        facts = item.image.facts
        words = [f"{plain(item.key)}: {facts.format}, {bytes_text(facts.size)}"]
        for piece in item.pieces[:1]:
            left, top, right, bottom = _corners(piece.fitted.part)
            if piece.fitted.scale < 1:
                words.append(_("shrunk to {share}%").format(share=max(round(100 * piece.fitted.scale), 1)))
            elif piece.fitted.scale > 1:
                words.append(_("enlarged to {share}%").format(share=round(100 * piece.fitted.scale)))
            if (left, top, right, bottom) != (0, 0, facts.width, facts.height):
                words.append(_("the part {width} x {height}").format(width=right - left, height=bottom - top))
        if cut := cut_percent(item):
            words.append(_("{share}% cut").format(share=cut))
        if bucket := self._screen.table.bucket(item.pieces[0].fitted.size):
            words.append(_("bucket {width}x{height}").format(width=bucket.width, height=bucket.height))
        return [*words, *notes_of(item)]


def _corners(box: object) -> tuple[int, int, int, int]:
    return box.left, box.top, box.right, box.bottom  # type: ignore[attr-defined]


def _seen(item: Item, options: Options) -> Seen | str:
    """A preview made small, or why there is none. Called in a thread."""
    try:
        found: Preview = preview(item, options, most=SIDE)
    except UserError as error:
        return plain(error_words(error))
    for picture in found.after:
        picture.thumbnail((SIDE, SIDE))
    before = found.before.convert("RGB")
    return Seen(before, found.after, found.boxes, before.width / item.image.facts.width)
