"""What models said, before it is written: thresholds that move, what comes and goes by them, captions before and after.

All is counted from kept answers, in a thread; a key that comes meanwhile is shown at once and counted next. For models
that write sentences it is a preview of their captions.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen

from lora_tui.dataset.parts import Parts
from lora_tui.tagging.kept import Kept
from lora_tui.tagging.request import Request
from lora_tui.tagging.tuner import Counted, TagCount, Tuner
from lora_tui.text import _, count, ngettext, plain
from lora_tui.tui.acting import Acting, WithKeys, hints_of
from lora_tui.tui.actions import TUNING
from lora_tui.tui.cells import Cell, flow_cells
from lora_tui.tui.marks import marks_of
from lora_tui.tui.tags.rows import diff
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.tuning_rows import has_effect, moved, sliders_of, value_of, without_tag, words_of
from lora_tui.tui.widgets.footer import Keys
from lora_tui.tui.widgets.image_view import ImageView
from lora_tui.tui.widgets.lines import Lines
from lora_tui.tui.widgets.virtual_list import Column, VirtualList

BAR = 20
"""Cells of a threshold's bar."""

JUMP = 10
"""Hundredths that a leap of a threshold takes."""

MOST_TEXT = 4000
"""Characters of a caption that are looked at."""


@dataclass(frozen=True)
class Decision:
    """What is to be written.

    Attributes:
        request: the thresholds and rules in their last state.
        without: places of images whose captions stay as they are.
        write: false when it was left.
    """

    request: Request
    without: frozenset[int]
    write: bool


class TuneScreen(WithKeys, Acting, ModalScreen[Decision], inherit_bindings=False):
    """Dismissed with a :class:`Decision`."""

    ACTS = TUNING
    SCOPED_CSS = False  # what is drawn in ASCII is said by the app
    DEFAULT_CSS = """
    TuneScreen { background: $background; }
    TuneScreen #head { height: 2; padding: 0 1; border-bottom: solid $rule; }
    TuneScreen #sliders { height: auto; max-height: 8; }
    TuneScreen #sums { height: 2; padding: 0 1; border-bottom: solid $rule; }
    TuneScreen Horizontal { height: 1fr; }
    TuneScreen .pane-title { height: 1; }
    TuneScreen #tags-pane { width: 1fr; }
    TuneScreen #images-pane { width: 1fr; border-left: solid $rule; padding: 0 0 0 1; }
    TuneScreen #caption-pane { width: 1fr; border-left: solid $rule; padding: 0 0 0 1; }
    TuneScreen #picture { display: none; height: 2fr; }
    TuneScreen.-mid #picture { display: block; height: 1fr; }
    TuneScreen.-tall #picture { display: block; }
    TuneScreen #caption { height: 1fr; }
    TuneScreen.-narrow #images-pane { display: none; }
    TuneScreen.-prose #tags-pane { display: none; }
    TuneScreen.-prose #images-pane { display: block; border-left: none; padding: 0; }
    .-ascii TuneScreen #head, .-ascii TuneScreen #sums { border-bottom: ascii $rule; }
    .-ascii TuneScreen #images-pane, .-ascii TuneScreen #caption-pane { border-left: ascii $rule; }
    """
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-low"), (22, "-mid"), (34, "-tall")]

    def __init__(self, kept: Kept, tuner: Tuner | None) -> None:
        """``tuner``: none where no model gives scores."""
        super().__init__()
        self.kept, self.tuner, self.request = kept, tuner, kept.request
        self.sliders = sliders_of(kept)
        self.without: set[int] = set()
        self._parts: dict[int, Parts] = {}  # by the number of the dataset
        self.counted = tuner.counted if tuner is not None else Counted(total=len(kept.images))
        self.lines: list[TagCount] = tuner.lines() if tuner is not None else []
        self._by_change = False
        self._busy = False
        self._only = ""
        self._places = list(range(len(kept.images)))
        self._texts: dict[int, str] = {}

    # -- composing

    def compose(self) -> ComposeResult:
        yield Lines(id="head")
        rows = [Column(20, most=30, share=1), Column(14, align="right"), Column(BAR, since=60), Column(13, since=70)]
        yield VirtualList(rows, self._slider_cells, count=len(self.sliders), id="sliders")
        yield Lines(id="sums")
        with Horizontal():
            with Vertical(id="tags-pane"):
                yield Lines(id="tags-title", classes="pane-title")
                columns = [Column(12, share=1), *(Column(6, align="right"),) * 2, Column(7, align="right")]
                yield VirtualList(columns, self._tag_cells, count=len(self.lines), gap=1, id="tags",
                                  empty=_("No tag comes or goes."))  # fmt: skip
            with Vertical(id="images-pane"):
                yield Lines(id="images-title", classes="pane-title")
                columns = [Column(1), Column(12, share=1, most=26, cut="middle"), Column(10, share=3)]
                yield VirtualList(columns, self._image_cells, count=len(self._places), gap=1, id="images",
                                  empty=_("No image."))  # fmt: skip
            with Vertical(id="caption-pane"):
                yield Lines(id="caption-title", classes="pane-title")
                yield ImageView(id="picture")
                yield Lines(id="caption")
        yield Keys()

    def on_mount(self) -> None:
        self.take_keys()
        self.set_class(self.tuner is None, "-prose")
        self.query_one(Keys).show(hints_of(self.app, TUNING))
        self.query_one("#sliders").styles.height = len(self.sliders)
        self.query_one("#sliders").display = bool(self.sliders)
        self.set_focus(self._list("sliders" if self.sliders else "images"))
        self._show_all()
        self.call_after_refresh(self._show_image)

    def _list(self, name: str) -> VirtualList:
        return self.query_one(f"#{name}", VirtualList)

    # -- showing

    def _show_all(self) -> None:
        self._show_head()
        self._show_sums()
        self._show_titles()

    def _show_head(self) -> None:
        kept = self.kept
        names = " + ".join(plain(model.name, limit=40) for model in kept.models)
        total = len(kept.images)
        cells = [Cell(names, "strong"), Cell("   " + _images(total))]
        if kept.lacking:
            text = ngettext("{count} without an answer", "{count} without an answer", kept.lacking)
            cells.append(Cell(_(", ") + text.format(count=count(kept.lacking)), "warning"))
        if kept.skipped:
            text = ngettext("{count} left alone", "{count} left alone", kept.skipped)
            cells.append(Cell(_(", ") + text.format(count=count(kept.skipped)), "muted"))
        if never := len(self.request.rules.undesired) if self.tuner is not None else 0:
            text = ngettext("{count} tag is never written", "{count} tags are never written", never)
            cells.append(Cell(_(", ") + text.format(count=count(never)), "muted"))
        self.query_one("#head", Lines).show([cells])

    def _show_sums(self) -> None:
        if self.tuner is None:
            out = len(self.without)
            text = _("{count} get a caption").format(count=_images(len(self.kept.images) - out))
            self.query_one("#sums", Lines).show([[Cell(text, "strong")]])
            return
        now = self.counted
        cells = [
            Cell(_("{images} change").format(images=_images(now.images)), "strong"),
            Cell("   " + _("{count} tags come").format(count=count(now.come)), "success" if now.come else "muted"),
            Cell("   " + _("{count} go").format(count=count(now.go)), "error" if now.go else "muted"),
            Cell("   " + _("{number} an image").format(number=f"{now.tags / max(now.total, 1):.1f}"), "muted"),
        ]
        if now.without:
            text = ngettext("{count} image gets no tag", "{count} images get no tag", now.without)
            cells.append(Cell("   " + text.format(count=count(now.without)), "warning"))
        if self.without:
            text = ngettext("{count} left out", "{count} left out", len(self.without))
            cells.append(Cell("   " + text.format(count=count(len(self.without))), "warning"))
        self.query_one("#sums", Lines).show([cells])

    def _show_titles(self) -> None:
        focus = self.focused.id if self.focused is not None else ""

        def title(name: str, text: str, rest: str = "", over: str = "") -> None:
            cells = [Cell(text, "focus" if focus == name else ""), Cell("  " + rest, "muted"), Cell(over, "muted")]
            self.query_one(f"#{name}-title", Lines).show([cells])

        rest = count(len(self.lines)) + ("  " + _("by change") if self._by_change else "")
        words = {1: _("come"), 2: _("go"), 3: _("changed")}
        used = len(_("TAGS")) + 2 + len(rest)
        title("tags", _("TAGS"), rest, self._list("tags").over_columns(words, used))
        only = "  " + plain(self._only, limit=20) if self._only else ""
        title("images", _("IMAGES"), count(len(self._places)) + only)
        place = self._place
        name = plain(self._named(place).rpartition("/")[2], limit=40) if place >= 0 else ""
        here = f"{count(self._list('images').cursor + 1)}/{count(len(self._places))}{only}"
        title("caption", name or _("CAPTION"), here)

    def _slider_cells(self, index: int) -> list[Cell]:
        slider = self.sliders[index]
        works = has_effect(slider, self.request)
        value = value_of(slider, self.request)
        bar, note = "", ""
        if slider.is_threshold and value is not None:
            full, rest = ("#", "-") if marks_of(self.app).bar == "|" else ("━", "─")
            filled = min(round(value * BAR), BAR)
            bar = full * filled + rest * (BAR - filled)
        if not works:
            note = _("MCut decides")
        elif slider.is_threshold and self.tuner is not None:
            found = self.tuner.found(slider.kind, slider.model)
            note = ngettext("{count} found", "{count} found", found).format(count=count(found))
        return [
            Cell(slider.title, "" if works else "muted"),
            Cell(words_of(slider, self.request), "strong" if works else "muted"),
            Cell(bar, "accent" if works else "muted"),
            Cell(note, "muted"),
        ]

    def _tag_cells(self, index: int) -> list[Cell]:
        one = self.lines[index]
        out = one.tag in self.request.rules.undesired
        sign = f"{one.since:+,}".replace("-", "−" if not _ascii(self.app) else "-") if one.since else ""
        return [
            Cell(plain(one.tag) + (f"  {_('never')}" if out else ""), "muted" if out else ""),
            Cell(count(one.come) if one.come else "", "success"),
            Cell(count(one.go) if one.go else "", "error"),
            Cell(sign, "accent" if one.since > 0 else "warning"),
        ]

    def _image_cells(self, index: int) -> list[Cell]:
        place = self._places[index]
        out = place in self.without
        text = self._texts.get(place)
        if text is None:
            if len(self._texts) > 2000:
                self._texts.clear()
            answered = self.kept.answered(place, self.request)
            text = self._texts[place] = plain(", ".join((*answered.sentences, *answered.tags))[:400])
        return [
            Cell("x" if out else " ", "error"),
            Cell(plain(self._named(place).rpartition("/")[2]), "muted" if out else ""),
            Cell(text, "muted"),
        ]

    @property
    def _place(self) -> int:
        """The image under the cursor, -1 for none."""
        index = self._list("images").cursor
        return self._places[index] if 0 <= index < len(self._places) else -1

    def _named(self, place: int) -> str:
        image = self.kept.images[place]
        return self.kept.corpora[image.part].entries[image.number].name

    def _show_image(self) -> None:
        place, panel, picture = self._place, self.query_one("#caption", Lines), self.query_one(ImageView)
        if place < 0:
            panel.show([])
            picture.show(None)
            return
        image = self.kept.images[place]
        entry = self.kept.corpora[image.part].entries[image.number]
        if picture.display:
            parts = self._parts.setdefault(image.part, Parts(self.kept.corpora[image.part].root, forgiving=True))
            picture.show(Path(entry.root, entry.name), part=parts.shares_of(entry.name))  # as the models saw it
        before, after = self.kept.before_and_after(place, self.request)
        width, height = panel.size.width or 30, panel.size.height or 10
        if place in self.without:
            lines = _caption_lines(before, before, width, height - 1) if before else []
            panel.show([[Cell(_("left out"), "warning")], *lines])
            return
        panel.show(_caption_lines(before, after, width, height, prose=self.kept.has_text(place)))

    @on(Lines.Resized)
    def _resized(self, event: Lines.Resized) -> None:
        if event.lines.id == "caption":
            self._show_image()
        elif event.lines.id == "tags-title":
            self.call_after_refresh(self._show_titles)

    @on(VirtualList.Moved)
    def _moved(self, event: VirtualList.Moved) -> None:
        event.stop()
        if event.list.id == "images":
            self._show_image()
            self._show_titles()

    @on(VirtualList.Chosen)
    def _clicked(self, event: VirtualList.Chosen) -> None:
        event.stop()

    def on_descendant_focus(self, _event: events.DescendantFocus) -> None:
        self._show_titles()

    @on(Keys.Pressed)
    async def _hint_pressed(self, event: Keys.Pressed) -> None:
        event.stop()
        await self.action_act(event.action)

    # -- tuning

    def _step(self, steps: int) -> None:
        rows = self._list("sliders")
        if 0 <= rows.cursor < len(self.sliders):
            self._turn(moved(self.sliders[rows.cursor], self.request, steps))

    def _turn(self, request: Request) -> None:
        """Take other thresholds or rules: what they are is shown at once, what they do once it is counted."""
        if request == self.request:
            return
        self.request = request
        self._list("sliders").reload()
        if self.tuner is None:
            self._texts.clear()
            self._show_image()
        elif not self._busy:
            self._busy = True
            start_job(self, self._count, "count", alone=False)

    async def _count(self) -> None:
        tuner = self.tuner
        assert tuner is not None
        try:
            while True:
                wanted, by_change = self.request, self._by_change

                def work(wanted: Request = wanted, by_change: bool = by_change) -> tuple[Counted, list[TagCount]]:
                    return tuner.turn(wanted), tuner.lines(by_change=by_change)

                self.counted, lines = await in_thread(work)
                self._put_lines(lines)
                if wanted == self.request and by_change == self._by_change:
                    return
        finally:
            self._busy = False

    def _put_lines(self, lines: list[TagCount]) -> None:
        rows = self._list("tags")
        old = self.lines[rows.cursor].tag if 0 <= rows.cursor < len(self.lines) else ""
        self.lines = lines
        self._texts.clear()
        place = rows.cursor
        if rows.has_focus:
            place = next((number for number, one in enumerate(lines) if one.tag == old), place)
        rows.set_count(len(lines), cursor=max(place, 0))
        rows.reload()
        self._list("sliders").reload()
        self._list("images").reload()
        self._show_all()
        self._show_image()

    def action_less(self) -> None:
        self._step(-1)

    def action_more(self) -> None:
        self._step(1)

    def action_much_less(self) -> None:
        self._step(-JUMP)

    def action_much_more(self) -> None:
        self._step(JUMP)

    def action_order(self) -> None:
        self._by_change = not self._by_change
        if self.tuner is not None and not self._busy:
            self._busy = True
            start_job(self, self._count, "count", alone=False)

    # -- tags and images

    def refusal(self, action_id: str) -> str:
        rows = self._list("tags")
        on_tag = rows.has_focus and 0 <= rows.cursor < len(self.lines)
        if action_id.endswith(".drop") and on_tag and self.lines[rows.cursor].tag == self.request.trigger:
            return _("The trigger word is put into every caption: the form of the tagging sets it.")
        return ""

    async def action_act(self, action_id: str) -> None:
        """Do an action; what refuses it is said here, where the line below the screen is covered."""
        if why := self.refusal(action_id):
            self.query_one("#sums", Lines).show([[Cell(why, "warning")]])
            return
        await super().action_act(action_id)

    def action_drop(self) -> None:
        rows = self._list("tags")
        if rows.has_focus and 0 <= rows.cursor < len(self.lines):
            self._turn(without_tag(self.request, self.lines[rows.cursor].tag))
        else:
            self.action_drop_image()

    def action_drop_image(self) -> None:
        if self._place >= 0:
            self.without ^= {self._place}
            self._list("images").reload_row(self._list("images").cursor)
            self._show_sums()
            self._show_image()
            if self.tuner is None:
                self._list("images").action_down()

    def action_with_tag(self) -> None:
        if self._only:
            self._only = ""
            self._show_places(list(range(len(self.kept.images))))
            return
        rows = self._list("tags")
        if self.tuner is not None and not self._busy and 0 <= rows.cursor < len(self.lines):
            self._only = self.lines[rows.cursor].tag
            start_job(self, self._find, "find")

    async def _find(self) -> None:
        assert self.tuner is not None
        found = await in_thread(self.tuner.places_of, self._only)
        if self._only:
            self._show_places(found)

    def _show_places(self, places: list[int]) -> None:
        here = self._place
        self._places = places
        cursor = places.index(here) if here in places else 0
        self._list("images").set_count(len(places), cursor=cursor)
        self._list("images").reload()
        self._show_titles()
        self._show_image()

    def action_next_image(self) -> None:
        self._list("images").action_down()

    def action_previous_image(self) -> None:
        self._list("images").action_up()

    def action_next_pane(self) -> None:
        self._to_pane(1)

    def action_previous_pane(self) -> None:
        self._to_pane(-1)

    def _to_pane(self, by: int) -> None:
        panes = [rows for rows in map(self._list, ("sliders", "tags", "images")) if _is_seen(rows)]
        here = next((number for number, rows in enumerate(panes) if rows.has_focus), 0)
        self.set_focus(panes[(here + by) % len(panes)])

    # -- leaving

    def action_write(self) -> None:
        self.dismiss(Decision(self.request, frozenset(self.without), True))

    def action_leave(self) -> None:
        self.dismiss(Decision(self.request, frozenset(self.without), False))


def _is_seen(rows: VirtualList) -> bool:
    return bool(rows.display and rows.parent is not None and rows.parent.display and rows.size.width)


def _ascii(app: object) -> bool:
    return bool(getattr(app, "ascii_only", False))


def _images(number: int) -> str:
    return ngettext("{count} image", "{count} images", number).format(count=count(number))


def _caption_lines(
    before: str | None, after: str | None, width: int, height: int, *, prose: bool = False
) -> list[list[Cell]]:
    """A caption with what comes and what goes, tag by tag; of sentences (``prose``) the sign stands at their start."""
    old, new = (before or "")[:MOST_TEXT], (after or "")[:MOST_TEXT]
    if after is None:
        return [[Cell(_("no caption"), "muted")]]
    if old == new:
        return flow_cells([Cell(_("stays:"), "muted"), *(Cell(one) for one in _parts(new))], width)[:height]
    cells: list[Cell] = []
    tones = {"=": "", "+": "success", "-": "error"}
    for sign, text in diff(old, new):
        for number, part in enumerate(_parts(text)):
            cells.append(Cell(("" if sign == "=" or (prose and number) else sign) + part, tones[sign]))
    return flow_cells(cells, width)[:height]


def _parts(text: str) -> list[str]:
    parts = [plain(part.strip()) for part in text.split(",")]
    return [part + ("," if number < len(parts) - 1 else "") for number, part in enumerate(parts) if part]
