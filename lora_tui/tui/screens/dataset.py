"""The images of the project: a list with the facts that decide, the picture, its caption and its problems."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from lora_tui.errors import UserError
from lora_tui.text import N_, _, bytes_text, count, ngettext, plain
from lora_tui.tui.cells import Cell, wrap
from lora_tui.tui.file_rows import ORDERS, FileRow, build_rows, select
from lora_tui.tui.road import TONE_OF_MARK, gravity_words
from lora_tui.tui.screens.base import BaseScreen
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.widgets.image_view import ImageView
from lora_tui.tui.widgets.lines import Lines
from lora_tui.tui.widgets.text_field import TextField
from lora_tui.tui.widgets.text_view import TextView
from lora_tui.tui.widgets.virtual_list import Column, VirtualList
from lora_tui.tui.wording import sentences
from lora_tui.tui.workspace import Change, Images

if TYPE_CHECKING:
    from lora_tui.dataset.buckets import Fit, Size

CAPTION_REST_SECONDS = 0.03
"""How long the cursor rests before the caption is read: a held key reads few."""

CAPTION_SHOWN = 4000
"""Characters of a caption that are shown; files that are no captions can be long."""

CAPTION_LEAST = 2
"""Lines of the panel that problems leave to the caption."""

COLUMNS = (
    Column(1),
    Column(12, N_("file"), share=1, cut="middle"),
    Column(9, N_("size"), align="right"),
    Column(9, N_("bucket"), align="right", since=48),
    Column(8, N_("repeats"), align="right", since=57),
    Column(5, N_("type"), since=70),
    Column(7, N_("bytes"), align="right", since=78),
)


class DatasetScreen(BaseScreen):
    """Files at the left, the one under the cursor at the right."""

    ACTS = "dataset"
    CSS_PATH = "dataset.tcss"

    def __init__(self) -> None:
        super().__init__()
        self._images: Images | None = None
        self._rows: tuple[FileRow, ...] = ()
        self._visible: list[int] = []
        self._wrong_here = self._images_here = 0
        self._words = ""
        self._only_problems = False
        self._order = 0
        self._buckets: tuple[Size, ...] | None = None
        self._caption: tuple[Path, str, tuple[str, ...]] | None = None
        self._wanted: Path | None = None

    # -- composing

    def compose_body(self) -> ComposeResult:
        files = VirtualList(COLUMNS, self._cells, gap=1, id="files")
        field = TextField(placeholder=_("words in the file name"), list=files, id="filter")
        field.display = False
        with Horizontal():
            with Vertical(id="left"):
                yield field
                yield files
            with Vertical(id="right"):
                yield ImageView(id="picture")
                yield Lines(id="facts")

    def workspace_changed(self, changed: frozenset[Change]) -> None:
        if changed & {"scan", "project", "config"}:
            self._buckets = None
            if self.workspace.images is not None and self.workspace.images is not self._images:
                start_job(self, partial(self._take, self.workspace.images), "rows")
            elif self.workspace.images is None:
                self._images, self._rows = None, ()
                self._select()
            elif "config" in changed:  # other buckets
                self._list.reload()
                self._show_facts()
            self._say()

    async def _take(self, images: Images) -> None:
        """Make the rows in a thread; the cursor stays on its file."""
        rows = await in_thread(build_rows, images, self.workspace.root)
        here = self._here
        self._images, self._rows = images, rows
        self._select(self._wanted or (here.path if here else None))
        self._wanted = None

    def go_to(self, place: str) -> None:
        path = Path(place)
        self._words, self._only_problems = "", False
        field = self.query_one("#filter", TextField)
        field.display = False
        with self.prevent(TextField.Changed):
            field.value = ""
        if self._rows:
            self._select(path)
        else:  # they are being made
            self._wanted = path

    # -- the list

    @property
    def _list(self) -> VirtualList:
        return self.query_one("#files", VirtualList)

    @property
    def _here(self) -> FileRow | None:
        index = self._list.cursor
        return self._rows[self._visible[index]] if 0 <= index < len(self._visible) else None

    def _select(self, path: Path | None = None) -> None:
        """Order and filter; the cursor goes to ``path`` if it is still there."""
        if path is None and self._here is not None:
            path = self._here.path
        self._visible = select(
            self._rows, words=self._words, only_problems=self._only_problems, order=ORDERS[self._order][0]
        )
        cursor = next((at for at, number in enumerate(self._visible) if self._rows[number].path == path), 0)
        self._images_here = sum(self._rows[number].image is not None for number in self._visible)
        self._wrong_here = sum(self._rows[number].wrong for number in self._visible)
        self._list.set_count(len(self._visible), cursor=cursor, empty=self._empty_words())
        self._list.reload()
        self._say()
        self.refresh_keys()

    def _empty_words(self) -> str:
        work = self.workspace
        if self._rows:
            key = self.shell.keymap.shown("app.back")
            return _("No file fits. {key} shows all again.").format(key=key)
        if work.images is None:
            return _("Reading images.") if work.scanned >= 0 or work.project is None else _("No images could be read.")
        folders = ", ".join(plain(entry.path) for entry in work.config.datasets) if work.config else ""
        return _("No images yet. Put pictures into {folder}, each with a caption of the same name beside it.").format(
            folder=folders or plain(str(work.root))
        )

    def _cells(self, index: int) -> list[Cell]:
        row = self._rows[self._visible[index]]
        mark = row.mark
        cells = [Cell(getattr(self.shell.marks, mark) if mark else " ", TONE_OF_MARK.get(mark, "")), Cell(row.name)]
        if row.image is None:
            return cells
        facts = row.image.facts
        cells += [
            Cell(f"{facts.width}x{facts.height}", "muted"),
            Cell(self._bucket(row), "muted"),
            Cell(str(row.image.repeats), "muted"),
            Cell(facts.format, "muted"),
            Cell(bytes_text(facts.size), "muted"),
        ]
        return cells

    def _fit(self, row: FileRow) -> Fit | None:
        """How an image is brought to its bucket."""
        if row.image is None or self.workspace.config is None:
            return None
        from lora_tui.dataset.buckets import buckets_for, fit_image

        data = self.workspace.config.data
        if self._buckets is None:
            self._buckets = buckets_for(data)
        return fit_image(row.image.width, row.image.height, data, self._buckets)

    def _bucket(self, row: FileRow) -> str:
        fit = self._fit(row)
        return f"{fit.bucket.width}x{fit.bucket.height}" if fit else ""

    def _say(self) -> None:
        """The status line: how many, which of them, in what order."""
        work = self.workspace
        total = len(self._images.scan.images) if self._images else 0
        if self._images is None:
            text = self._empty_words()
            if work.scanned > 0:
                text = _("reading images: {count} so far").format(count=count(work.scanned))
        else:
            text = ngettext("{count} image", "{count} images", total).format(count=count(total))
            if self._images_here != total:
                text = _("{shown} of {total} images").format(shown=count(self._images_here), total=count(total))
            tally = self._images.tally
            parts = [text, *gravity_words(tally.errors, tally.warnings, tally.notes)]
            if not self._images.checked:
                parts.append(_("checking captions and sizes"))
            elif not self._images.decoded and self._images.decodable:
                parts.append(_("looking for damage and near-duplicates"))
            elif not self._images.decodable:
                parts.append(_("not searched for damage"))
            text = _(", ").join(parts)
        right = []
        if self._words.strip():
            right.append(_("filter: {words}").format(words=plain(self._words.strip(), limit=30)))
        if self._only_problems:
            right.append(_("only problems"))
        if self._order:
            right.append(_(ORDERS[self._order][1]))
        self.set_status(text, _(", ").join(right))

    # -- the file under the cursor

    @on(VirtualList.Moved, "#files")
    def _moved(self) -> None:
        row = self._here
        picture = self.query_one(ImageView)
        if row is None or row.image is None:
            picture.show(None)
        else:
            picture.show(row.path, (row.image.facts.mtime_ns, row.image.facts.size))
        if self._caption is None or row is None or self._caption[0] != row.path:
            self._caption = None
            start_job(self, partial(self._read_caption, row), "caption")
        self._show_facts()

    async def _read_caption(self, row: FileRow | None) -> None:
        if row is None or row.image is None or row.image.caption_path is None:
            return
        await asyncio.sleep(CAPTION_REST_SECONDS)
        text, tags = await in_thread(_caption_of, row.image.caption_path)
        if row is self._here:
            self._caption = (row.path, text, tags)
            self._show_facts()

    def _show_facts(self) -> None:
        panel = self.query_one("#facts", Lines)
        row = self._here
        width, height = panel.size.width, panel.size.height
        if row is None or not width:
            panel.show([])
            return
        lines: list[list[Cell]] = [[Cell(row.name, "strong")]]
        lines += [[Cell(text, "muted")] for text in self._fact_lines(row)]
        told = self._problem_lines(row, width)
        kept = max(height - len(lines) - min(len(self._caption_lines(row, width, height)), CAPTION_LEAST), 1)
        if len(told) > kept:
            key = self.shell.keymap.shown("dataset.read")
            told = [*told[: kept - 1], [Cell("  "), Cell(_("{key} reads on").format(key=key), "muted")]]
        lines += told
        lines += [[Cell(text)] for text in self._caption_lines(row, width, max(height - len(lines), 1))]
        panel.show(lines)

    def _problem_lines(self, row: FileRow, width: int) -> list[list[Cell]]:
        lines: list[list[Cell]] = []
        for problem in row.problems:
            tone = {"error": "error", "note": "muted"}.get(problem.severity, "warning")
            sign = self.shell.marks.of_severity(problem.severity)
            words = plain(sentences(problem.message, problem.remedy))
            for number, line in enumerate(wrap(words, width - 2, lines=3, ellipsis=self.shell.marks.ellipsis)):
                lead = Cell(f"{sign} ", tone) if number == 0 else Cell("  ")
                lines.append([lead, Cell(line, tone if number == 0 else "")])
        return lines

    def _fact_lines(self, row: FileRow) -> list[str]:
        fit = self._fit(row)
        if row.image is None or fit is None:
            return []
        facts = row.image.facts
        dot = f" {self.shell.marks.dot} "
        first = [f"{facts.width} x {facts.height} px", facts.format, bytes_text(facts.size)]
        if facts.alpha:
            first.append(_("transparency"))
        if facts.animated:
            first.append(_("animated"))
        kept = fit.bucket.width * fit.bucket.height / max(fit.resize.width * fit.resize.height, 1)
        second = [_("bucket {width}x{height}").format(width=fit.bucket.width, height=fit.bucket.height)]
        if kept < 0.995:
            second.append(_("{share}% cut").format(share=max(round(100 * (1 - kept)), 1)))
        repeats = row.image.repeats
        second.append(ngettext("{count} repeat", "{count} repeats", repeats).format(count=count(repeats)))
        return [dot.join(first), dot.join(second)]

    def _caption_lines(self, row: FileRow, width: int, room: int) -> list[str]:
        if row.image is None:
            return []
        if row.image.caption_path is None:
            return [_("No caption file.")]
        if self._caption is None or self._caption[0] != row.path:
            return []
        _path, text, tags = self._caption
        head = ngettext("caption, {count} tag", "caption, {count} tags", len(tags)).format(count=len(tags))
        lines = wrap(text, width, lines=max(room - 1, 1), ellipsis=self.shell.marks.ellipsis) if text else []
        return [_("{head}:").format(head=head) if lines else head, *lines]

    def on_resize(self) -> None:
        self.call_after_refresh(self._show_facts)

    # -- actions

    def refusal(self, action_id: str) -> str:
        if action_id == "dataset.next-problem" and not self._wrong_here:
            return _("No file in the list has a problem.")
        if action_id == "dataset.read" and self._here is None:
            return _("There is nothing to read here.")
        if action_id == "dataset.zoom" and (self._here is None or self._here.image is None):
            return _("There is no picture here.")
        return ""

    def action_read(self) -> None:
        row = self._here
        if row is None:
            return
        lines = [plain(str(row.path)), *self._fact_lines(row)]
        for problem in row.problems:
            lines += ["", plain(problem.message), *([plain(problem.remedy)] if problem.remedy else [])]
            lines += [f"  {plain(str(other))}" for other in problem.others]
        if self._caption is not None and self._caption[0] == row.path:
            lines += ["", *self._caption[1].split("\n")]
        self.app.push_screen(TextView(row.name, lines))

    def action_zoom(self) -> None:
        self.toggle_class("-zoom")
        self.call_after_refresh(self._show_facts)

    def action_filter(self) -> None:
        field = self.query_one("#filter", TextField)
        field.display = True
        field.focus()

    @on(TextField.Changed, "#filter")
    def _typed(self, event: TextField.Changed) -> None:
        event.stop()
        self._words = event.value
        self._select()

    @on(TextField.Submitted, "#filter")
    def _done(self, event: TextField.Submitted) -> None:
        event.stop()
        if not event.value.strip():
            self.query_one("#filter", TextField).display = False
        self._list.focus()

    def action_problems(self) -> None:
        self._only_problems = not self._only_problems
        self._select()

    def action_next_problem(self) -> None:
        start = self._list.cursor
        for step in range(1, len(self._visible) + 1):
            at = (start + step) % len(self._visible)
            if self._rows[self._visible[at]].wrong:
                self._list.cursor = at
                return

    def action_order(self) -> None:
        self._order = (self._order + 1) % len(ORDERS)
        self._select()

    def go_back(self) -> bool:
        field = self.query_one("#filter", TextField)
        if self.has_class("-zoom"):
            self.action_zoom()
        elif field.display:
            field.value = ""
            field.display = False
            self._list.focus()
        elif self._only_problems:
            self.action_problems()
        else:
            return False
        return True


def _caption_of(path: Path) -> tuple[str, tuple[str, ...]]:
    """A caption's text as it is trained, and its tags, both safe to show."""
    from lora_tui.captions.as_trained import caption_text
    from lora_tui.captions.files import read_caption

    try:
        document = read_caption(path)
    except UserError as error:
        return plain(error.message), ()
    text = readable(caption_text(document))
    return plain(text, limit=CAPTION_SHOWN), document.tags


def readable(text: str) -> str:
    """``text`` with the replacement character where bytes of its file are no UTF-8."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
