"""What finds on the dataset screen: filter, order, problems, marks."""

from __future__ import annotations

import asyncio
import re
import threading
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from lora_tui.errors import UserError
from lora_tui.text import _, count, ngettext, plain
from lora_tui.tui.caption_sets import CaptionSets
from lora_tui.tui.file_orders import ORDERS, Measures, Order, next_of, order_of
from lora_tui.tui.mishap import failure_words
from lora_tui.tui.tags.kept import History
from lora_tui.tui.tags.offers import Offer, filter_offers
from lora_tui.tui.threads import GivenUpError, in_stoppable_thread, in_thread, start_job
from lora_tui.tui.widgets.dialog import Choice, Choose
from lora_tui.tui.widgets.prompt import Prompt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from lora_tui.config.schema import Config
    from lora_tui.dataset.scan import DatasetImage, Scan
    from lora_tui.tui.screens.dataset import DatasetScreen

T = TypeVar("T")

TYPING_SECONDS = 0.12
"""How long typing rests before captions are asked."""

NAMES_SECONDS = 0.03
"""The same before names are searched and the list is drawn again: the letter itself comes first."""

GATHERED_AT_ONCE = 5_000
"""Images whose paths are put together while a key waits for it."""

_PLAIN = re.compile(r"(?!-)[^\s:()<>=\"/*?|~@-][^\s:()<>=\"*?|~@]*")


def is_plain(text: str) -> bool:
    """Whether a filter is words alone, which names of files may have as well as captions."""
    words = text.split()
    return all(_PLAIN.fullmatch(word) and word.upper() not in ("AND", "OR", "XOR", "NOT") for word in words)


class Finding:
    """Which of the rows are shown, and which are marked.

    Attributes:
        text: the filter, as it was typed.
        words: its words where names of files are searched for them.
        found: what it finds in captions; none where they were not asked.
        label: what the images were chosen by, where that is no filter.
        marks: images that a person marked, by path.
    """

    def __init__(self, screen: DatasetScreen) -> None:
        self.screen = screen
        self.text = self.words = self.label = ""
        self.found: frozenset[str] | None = None
        self.only_problems = False
        self.order: Order = ORDERS[0]
        self.backwards = False
        self.marks: set[Path] = set()
        self.measures = Measures(bucket=screen.facts.bucket)
        self._anchor: Path | None = None
        self._sets: CaptionSets | None = None
        self._reading: asyncio.Task[CaptionSets] | None = None
        self._read_for: tuple[Scan | None, Config | None] = (None, None)
        self._history = History("filter")
        self._stop: threading.Event | None = None
        self._before: tuple[str, str, str, frozenset[str] | None] = ("", "", "", None)

    @property
    def _prompt(self) -> Prompt:
        return self.screen.query_one(Prompt)

    # -- captions

    async def captions(self, *, anew: bool = False) -> CaptionSets:
        """The captions, read once until somebody wants them ``anew``. Raises as :meth:`CaptionSets.open`."""
        if self._reading is None or anew:
            self._reading = asyncio.create_task(self._read(self._reading))
        return await asyncio.shield(self._reading)

    async def _read(self, before: asyncio.Task[CaptionSets] | None) -> CaptionSets:
        if before is not None:  # two at once would need twice the memory, and be no sooner
            await asyncio.wait((before,))
        work, old = self.screen.workspace, self._sets
        self._sets = None
        if old is not None:
            await in_thread(old.close)
        if work.config is None:
            return CaptionSets(())
        config = work.config.model_copy(deep=True)
        self._read_for = work.scan, config
        self._sets = await in_thread(CaptionSets.open, config, work.project)
        return self._sets

    async def _up_to_date(self) -> None:
        """Read the captions again where anything was changed since: of very many that takes longer than typing."""
        if self._reading is not None and not self._reading.done():
            return  # what began a moment ago is new enough
        sets, work, (scan, config) = self._sets, self.screen.workspace, self._read_for
        is_same = scan is work.scan and config == work.config
        if sets is None or not is_same or not await in_thread(sets.are_current):
            await self.captions(anew=True)

    def close(self) -> None:
        """Leave the captions."""
        if self._sets is not None:
            self._sets.close()

    # -- filter

    def action_filter(self) -> None:
        self._before = self.text, self.words, self.label, self.found
        start_job(self.screen, self._begin, "captions")
        self._prompt.ask(_("filter"), value=self.text, offers=self._offers, before=self._history.lines)
        self._remark_empty()
        self.screen.refresh_keys()

    async def _begin(self) -> None:
        try:
            await self._up_to_date()
        except UserError as error:
            self._prompt.remark(failure_words(self.screen.shell, error), "warning")
            return
        if self._prompt.is_open and self._prompt.value.strip():
            start_job(self.screen, partial(self._attempt, self._prompt.value), "try")  # the next letter ends it

    def _offers(self, text: str) -> Sequence[Offer]:
        completer = self._sets.completer if self._sets is not None else None
        return filter_offers(completer)(text) if completer is not None and text.strip() else []

    def _remark_empty(self) -> None:
        self._prompt.remark(_("Words in names and tags, or such as: 1girl -solo, is:untagged, w<512, tags>40"))

    def typed(self, text: str) -> None:
        """Another letter: names are searched once it is painted, captions when typing rests."""
        if not self._prompt.is_open:
            return
        if not text.strip():
            self._remark_empty()
        start_job(self.screen, partial(self._attempt, text), "try")

    async def _attempt(self, text: str) -> None:
        if is_plain(text):
            await asyncio.sleep(NAMES_SECONDS)
            self._take(text, text, None)
        await self._try(text)

    async def _try(self, text: str) -> bool:
        """Ask the captions; whether the filter is right."""
        await asyncio.sleep(TYPING_SECONDS)
        if not text.strip():
            return True
        try:
            sets = await self.captions()
            found = await in_stoppable_thread(sets.select, text)
            hint = "" if found else sets.hint(text)
        except Exception as error:
            if is_plain(text):
                return True  # names were found already
            if self._prompt.is_open and self._prompt.value == text:
                self._go_back()
                self._say_error(error)
            return False
        if self._prompt.is_open and self._prompt.value != text:
            return True
        self._take(text, text if is_plain(text) else "", found)
        shown = len(self.screen.shown)
        said = ngettext("{count} image", "{count} images", shown).format(count=count(shown))
        self._prompt.remark(f"{said}   {hint}" if hint and not shown else said)
        return True

    def _say_error(self, error: Exception) -> None:
        if not isinstance(error, UserError):
            self._prompt.remark(failure_words(self.screen.shell, error), "error")
            return
        words = error.message if not error.remedy else f"{error.message} {error.remedy}"
        self._prompt.remark(plain(words), "warning", getattr(error, "column", -1))

    def _take(self, text: str, words: str, found: frozenset[str] | None) -> None:
        known = self.text, self.words, self.label, self.found
        self.text, self.words, self.label, self.found = text.strip(), words.strip(), "", found
        if known != (self.text, self.words, self.label, self.found):
            self.screen.select()

    def done(self, text: str) -> None:
        """Enter."""
        start_job(self.screen, partial(self._done, text), "done")

    async def _done(self, text: str) -> None:
        right = is_plain(text) or await self._try(text)
        if is_plain(text) and self.text != text.strip():  # Enter came before the names were searched
            self._take(text, text, None)
        self._prompt.deciding = False
        if right:
            if text.strip():
                self._history.add(text)
            self._leave()
        else:
            self.screen.shell.forget_keys()
        self.screen.resume_keys()

    def leave_prompt(self) -> None:
        """Esc: the filter is what it was before, also where Enter has been pressed and is being thought about."""
        for group in ("try", "done", "captions"):
            self.screen.workers.cancel_group(self.screen, group)
        self._leave()
        self._go_back()

    def _go_back(self) -> None:
        if self._before != (self.text, self.words, self.label, self.found):
            self.text, self.words, self.label, self.found = self._before
            self.screen.select()

    def _leave(self) -> None:
        self._prompt.close()
        self.screen.refresh_keys()
        self.screen.set_focus(self.screen.listed)  # now: the next key may be on its way already

    def show_only(self, paths: frozenset[str], label: str) -> None:
        """Show these images, which were chosen elsewhere; ``label`` says by what."""
        self.text, self.words, self.label, self.found = "", "", label, paths
        self.screen.select()

    def clear(self) -> bool:
        """Show all rows again; false when all are shown."""
        if not self.text and self.found is None and not self.only_problems:
            return False
        if self.text or self.found is not None:
            self.text, self.words, self.label, self.found = "", "", "", None
        else:
            self.only_problems = False
        self.screen.select()
        return True

    def spoken(self) -> list[str]:
        """What is shown and in what order, for the status line."""
        parts = []
        if self.marks:
            parts.append(_("{count} marked").format(count=count(len(self.marks))))
        if self.text or self.label:
            parts.append(_("filter: {words}").format(words=plain(self.text or self.label, limit=30)))
        if self.only_problems:
            parts.append(_("only problems"))
        if self.order.name != "name" or self.backwards:
            words = _("by {fact}, backwards") if self.backwards else _("by {fact}")
            parts.append(words.format(fact=_(self.order.title)))
        return parts

    # -- problems and order

    def action_problems(self) -> None:
        self.only_problems = not self.only_problems
        self.screen.select()

    def action_next_problem(self) -> None:
        screen = self.screen
        place = next_of(screen.shown, screen.listed.cursor, lambda number: screen.rows[number].wrong)
        if place >= 0:
            screen.listed.cursor = place

    def action_order(self) -> None:
        choices = [Choice(order.name, _(order.title)) for order in ORDERS]
        self.screen.app.push_screen(Choose(_("Order by"), choices, current=self.order.name), self._ordered)

    def _ordered(self, name: str | None) -> None:
        if name is not None:
            before = self.order, self.backwards
            self.order, self.backwards = order_of(name), False
            start_job(self.screen, partial(self._measure, *before), "measure")

    def action_backwards(self) -> None:
        self.backwards = not self.backwards
        self.screen.guide(self._arrange, stops=False)

    def buckets_changed(self) -> None:
        """The configuration is another."""
        if self.order.name == "bucket":
            start_job(self.screen, self._arrange, "measure")

    async def _arrange(self) -> None:
        """Sort, in a thread, and show it."""
        await in_thread(self.screen.files.arrange, self.order.name, self.backwards, self.measures)
        self.screen.select()

    async def _measure(self, before: Order, backwards: bool) -> None:
        """Find out what the order asks for, then sort by it; the order of before stays where that is stopped."""
        asks, images = self.order.asks, self.screen.images
        words = _("Measuring for the order.")
        try:
            if asks == "captions":
                self.screen.tell(words, "muted")
                sets = await self.captions(anew=True)
                self.measures.tags, self.measures.tokens = await in_thread(sets.counts)
            elif asks == "pixels" and images is not None:
                everything = [*images.scan.images, *images.scan.excluded]
                sharpness = await self._stoppable(words, sharpness_of, everything)
                if sharpness is None:
                    self.order, self.backwards = before, backwards
                    return
                self.measures.sharpness = sharpness
        except UserError as error:
            self.screen.tell(failure_words(self.screen.shell, error), "error")
        await self._arrange()
        if asks:
            self.screen.forget_told()

    # -- what takes long

    async def _stoppable(self, words: str, function: Callable[..., T], *args: object) -> T | None:
        """Call a function in a thread, with what tells it to stop as the last argument; none when it was stopped."""
        stop = self._stop = threading.Event()
        key = self.screen.shell.keymap.shown("app.back")
        self.screen.tell(f"{words}   " + _("{key} stops it").format(key=key), "muted")
        try:
            return await in_stoppable_thread(function, *args, stop=stop)
        except GivenUpError:
            return None
        finally:
            if self._stop is stop:
                self._stop = None

    def stop(self) -> bool:
        """Stop what takes long; false where nothing does."""
        if self._stop is None:
            return False
        self._stop.set()
        self._stop = None
        self.screen.tell(_("Stopped."), "muted")
        return True

    # -- in numbers

    def action_numbers(self) -> None:
        start_job(self.screen, self._numbers, "numbers")

    async def _numbers(self) -> None:
        """Statistics and coverage; a bar that is chosen shows its images."""
        from lora_tui.tui.screens.dataset_numbers import Numbers, numbers_of

        work, images = self.screen.workspace, self.screen.images
        if images is None or work.config is None:
            return
        if not images.scan.complete:
            self.screen.tell(_("The images are still being read."), "muted")
            return
        try:
            sets = await self.captions(anew=True)
            purpose = work.project.purpose if work.project else ""
            config = work.config.model_copy(deep=True)
            found = await self._stoppable(_("Counting."), numbers_of, images.scan.images, config, sets, purpose)
        except UserError as error:
            self.screen.tell(failure_words(self.screen.shell, error), "error")
            return

        if found is None:
            return
        self.screen.forget_told()

        def chosen(row: tuple[str, frozenset[str]] | None) -> None:
            if row is not None:
                self.show_only(row[1], row[0])

        self.screen.app.push_screen(Numbers(found), chosen)

    # -- marks

    def action_mark(self) -> None:
        row = self.screen.here
        if row is None or row.image is None:
            return
        self.marks ^= {row.path}
        self._anchor = row.path
        listed = self.screen.listed
        listed.reload_row(listed.cursor)
        listed.cursor += 1
        self.screen.say()

    def action_mark_range(self) -> None:
        screen = self.screen
        end = screen.listed.cursor
        start = screen.files.place(self._anchor, screen.shown, end)
        self._mark(range(min(start, end), max(start, end) + 1))

    def action_mark_all(self) -> None:
        self._mark(range(len(self.screen.shown)))

    def action_mark_invert(self) -> None:
        self._mark(range(len(self.screen.shown)), invert=True)

    def action_mark_none(self) -> None:
        self.marks.clear()
        self._tell_marks()

    def _mark(self, places: range, *, invert: bool = False) -> None:
        self.screen.guide(partial(self._mark_many, places, invert), stops=False)

    async def _mark_many(self, places: range, invert: bool) -> None:
        """Mark the images at some places of the list; of very many, the paths are gathered in a thread."""
        paths = partial(self.screen.files.images_of, self.screen.shown[places.start : places.stop])
        found = await in_thread(paths) if len(places) > GATHERED_AT_ONCE else paths()
        if invert:
            self.marks ^= found
        else:
            self.marks |= found
        self._tell_marks()

    def _tell_marks(self) -> None:
        self.screen.listed.reload()
        self.screen.say()
        self.screen.refresh_keys()


def sharpness_of(images: Sequence[DatasetImage], should_stop: Callable[[], bool] | None = None) -> dict[str, int]:
    """How sharp images are; those that were never decoded are decoded now, which takes a while.

    Args:
        should_stop: asked now and then; once it says yes, the images not looked at yet are left out.
    """
    from lora_tui.dataset.similar import CELLS, fingerprints

    prints = fingerprints(images, should_stop=should_stop)
    return {str(image.path): cells[CELLS] for image, cells in zip(images, prints, strict=True) if cells is not None}
