"""The images of the project before they are tagged and trained: as a list or as pictures, filtered, sorted, marked.

This file composes and routes. Of its parts ``dataset_facts`` shows the one under the cursor, ``dataset_find`` filters,
sorts and marks, ``dataset_acts`` leaves out, moves and brings back, ``dataset_fixes`` mends captions,
``dataset_crops`` has parts of images chosen; ``dataset_alike``
reviews duplicates and ``dataset_numbers`` counts.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from lora_tui.text import N_, _, bytes_text, count, ngettext, plain
from lora_tui.tui.cells import Cell
from lora_tui.tui.covering import CoveringCompositor
from lora_tui.tui.file_list import FileList
from lora_tui.tui.file_orders import ORDERS, Order
from lora_tui.tui.file_rows import FileRow, build_rows
from lora_tui.tui.outside import outside_line
from lora_tui.tui.road import TONE_OF_MARK, gravity_words
from lora_tui.tui.screens.base import BaseScreen
from lora_tui.tui.screens.dataset_acts import Acts
from lora_tui.tui.screens.dataset_crops import Cropping
from lora_tui.tui.screens.dataset_facts import FactsPane
from lora_tui.tui.screens.dataset_find import Finding
from lora_tui.tui.screens.dataset_fixes import Mending
from lora_tui.tui.screens.dataset_origin import Asking
from lora_tui.tui.screens.dataset_prepare_door import Preparing
from lora_tui.tui.screens.dataset_tagging import Tagging
from lora_tui.tui.threads import in_turn, start_job
from lora_tui.tui.widgets.footer import KeyHint
from lora_tui.tui.widgets.image_view import ImageView
from lora_tui.tui.widgets.lines import Lines
from lora_tui.tui.widgets.picture_grid import PictureGrid, Tile
from lora_tui.tui.widgets.prompt import Prompt
from lora_tui.tui.widgets.virtual_list import Column, VirtualList
from lora_tui.tui.workspace import Change, Images

COLUMNS = (
    Column(1),
    Column(1),
    Column(12, N_("file"), share=1, cut="middle"),
    Column(2, since=30),
    Column(9, N_("size"), align="right"),
    Column(9, N_("bucket"), align="right", since=53),
    Column(8, N_("repeats"), align="right", since=62),
    Column(5, N_("type"), since=75),
    Column(7, N_("bytes"), align="right", since=83),
)
MEASURED = 12
"""Cells of the column for what the list is ordered by, where no other column has it."""


def columns_for(order: Order) -> tuple[Column, ...]:
    """The columns of the list: what it is ordered by stands right behind the names."""
    if order.shown is None:
        return COLUMNS
    rest = (replace(one, since=max(one.since, 40) + MEASURED) for one in COLUMNS[4:])
    return (*COLUMNS[:4], Column(MEASURED, order.title, align="right"), *rest)


class DatasetScreen(BaseScreen):
    """Files at the left, the one under the cursor at the right.

    Attributes:
        images: what the rows were made of; none until it is read.
        files: all that can be shown; ``rows`` are its rows.
        shown: the numbers of those that are, in their order.
    """

    ACTS = "dataset"
    CSS_PATH = "dataset.tcss"

    def __init__(self) -> None:
        super().__init__()
        self._compositor = CoveringCompositor()  # the line that is asked lies over the panes
        self.images: Images | None = None
        self.files = FileList()
        self.shown: list[int] = []
        self._wrong_here = self._images_here = 0
        self._seen: tuple[FileList, list[int]] = (self.files, self.shown)  # the rows that the list was told last
        self._wanted: Path | None = None
        self._drawn = ORDERS[0]  # the order that the columns are for
        self._place: int | None = None  # where the cursor stood when the rows were put away to be read again
        self.facts = FactsPane(self)
        self.finding = Finding(self)
        self.acts = Acts(self)
        self.mending = Mending(self)
        self.preparing = Preparing(self)
        self.cropping = Cropping(self)
        self.asking = Asking(self)
        self.tagging = Tagging(self)

    def doers(self) -> tuple[object, ...]:
        looks = self, self.facts, self.finding
        return *looks, self.acts, self.mending, self.preparing, self.cropping, self.asking, self.tagging

    @property
    def takes_keys(self) -> bool:
        return super().takes_keys and not self.query_one(Prompt).deciding

    def waits_for(self, key: str) -> bool:
        """To take back what is still being done is to take back what was done before it."""
        is_undo = key in self.shell.keymap.keys("dataset.undo")
        return is_undo and bool(self.acts.doing) and not self.query_one(Prompt).is_open

    # -- composing

    def compose_body(self) -> ComposeResult:
        grid = PictureGrid(self.tile, id="grid")
        grid.display = False
        outside = Lines(id="outside")
        outside.display = False
        yield outside
        with Horizontal():
            with Vertical(id="left"):
                yield VirtualList(COLUMNS, self.cells, gap=1, id="files")
                yield grid
            with Vertical(id="right"):
                yield ImageView(id="picture")
                yield Lines(id="facts")
        yield Prompt(id="prompt")

    def on_unmount(self) -> None:
        self.finding.close()

    def workspace_changed(self, changed: frozenset[Change]) -> None:
        if changed & {"scan", "project", "config"}:
            self.facts.forget()
            images = self.workspace.images or self.workspace.early
            if images is not None and images is not self.images:
                start_job(self, partial(self._take, images), "rows")
            elif images is None:
                if self._wanted is None and self.here is not None:
                    self._wanted, self._place = self.here.path, self.listed.cursor  # they are read again
                self.images, self.files, self.shown = None, FileList(), []
                self.select()
            elif "config" in changed:  # other buckets
                self.listed.reload()
                self.finding.buckets_changed()
                self.facts.show()
            self._show_outside()
            self.say()

    @on(Lines.Resized, "#outside")
    def _show_outside(self) -> None:
        """Whose images these are, where they are none of the project."""
        line = outside_line(self.workspace, self.size.width, self.shell.marks.ellipsis)
        outside = self.query_one("#outside", Lines)
        outside.display = bool(line)
        outside.show([line])

    async def _take(self, images: Images) -> None:
        """Make the rows in a thread; the cursor stays on its file."""
        files = await in_turn(self._files_of, images)
        here = self.here
        place = self.listed.cursor if here is not None else self._place
        self.images, self.files = images, files
        self.finding.marks = {path for path in self.finding.marks if files.has_image(path)}
        self.facts.forget(captions=True)
        self.select(self._wanted or (here.path if here else None), place)
        if images.scan.complete or files.number(self._wanted) is not None:
            self._wanted = None
        if images.scan.complete:
            self.asking.remind()

    def _files_of(self, images: Images) -> FileList:
        """The rows, in the order that is asked for."""
        files, finding = FileList(build_rows(images, self.workspace.root)), self.finding
        files.arrange(finding.order.name, finding.backwards, finding.measures)
        return files

    def go_to(self, place: str) -> None:
        path = Path(place)
        self.query_one(Prompt).close()
        while self.finding.clear():
            pass
        if self.rows and (self.workspace.early is None or self.files.number(path) is not None):
            self.select(path)
        else:  # they are being made
            self._wanted = path

    # -- the list

    @property
    def listed(self) -> VirtualList:
        """The list or the grid, whichever is seen."""
        grid = self.query_one("#grid", PictureGrid)
        return grid if grid.display else self.query_one("#files", VirtualList)

    @property
    def rows(self) -> tuple[FileRow, ...]:
        """All that can be shown, ordered by name."""
        return self.files.rows

    @property
    def here(self) -> FileRow | None:
        """The row under the cursor."""
        index = self.listed.cursor
        return self.rows[self.shown[index]] if 0 <= index < len(self.shown) else None

    def targets(self) -> list[FileRow]:
        """The images that an act is about: the marked ones, the one under the cursor where none is."""
        marks = self.finding.marks
        if marks:
            return self.files.of(marks)
        return [self.here] if self.here is not None and self.here.image is not None else []

    @property
    def has_targets(self) -> bool:
        """Whether there is an image that an act would be about."""
        return bool(self.finding.marks) or (self.here is not None and self.here.image is not None)

    def select(self, path: Path | None = None, place: int | None = None) -> None:
        """Order and filter; the cursor goes to ``path``, to ``place`` where that is not there any more, and to the
        first image where neither is known."""
        finding = self.finding
        if path is None and self.here is not None:
            path = self.here.path
        before = self._seen
        self.shown = self.files.select(
            words=finding.words,
            found=finding.found if finding.found is not None or not finding.text else frozenset(),
            only_problems=finding.only_problems,
            order=finding.order.name,
            backwards=finding.backwards,
            measures=finding.measures,
        )
        if path is None and place is None:
            place = self.files.first_image(self.shown)
        cursor = self.files.place(path, self.shown, place or 0)
        files = self.query_one("#files", VirtualList)
        if finding.order is not self._drawn:  # another one may be asked for that is still being measured
            self._drawn = finding.order
            files.set_columns(columns_for(finding.order))
        self._images_here, self._wrong_here = self.files.tally(self.shown)
        self._seen = self.files, self.shown
        if not self.shown or before[0] is not self.files or before[1] != self.shown or cursor != self.listed.cursor:
            self.listed.set_count(len(self.shown), cursor=cursor, empty=self._empty_words())
            self.listed.reload()
        self.say()
        self.refresh_keys()

    def _empty_words(self) -> str:
        work = self.workspace
        if self.rows:
            key = self.shell.keymap.shown("app.back")
            return _("No file fits. {key} shows all again.").format(key=key)
        if work.images is None:
            return _("Reading images.") if work.scanned >= 0 or work.project is None else _("No images could be read.")
        folders = ", ".join(plain(entry.path) for entry in work.config.datasets) if work.config else ""
        return _("No images yet. Put pictures into {folder}, each with a caption of the same name beside it.").format(
            folder=folders or plain(str(work.root))
        )

    def _signs(self, row: FileRow) -> tuple[Cell, Cell, Cell]:
        """Whether it is marked, how it stands, and what a person did with it."""
        marks = self.shell.marks
        sign = Cell(getattr(marks, row.mark) if row.mark else " ", TONE_OF_MARK.get(row.mark, ""))
        if row.excluded:
            sign = Cell("-", "muted")
        cropped = "c" if row.image is not None and row.image.crop is not None else " "
        done = Cell(cropped + (marks.done if row.reviewed else " "), "success")
        return Cell("*" if row.path in self.finding.marks else " ", "accent"), sign, done

    def cells(self, index: int) -> list[Cell]:
        """A row of the list."""
        row = self.rows[self.shown[index]]
        mark, sign, done = self._signs(row)
        cells = [mark, sign, Cell(row.name, "muted" if row.excluded else ""), done]
        if self._drawn.shown is not None:
            cells.append(Cell(self._drawn.words(row, self.finding.measures)))
        if row.image is None:
            return cells
        facts, bucket = row.image.facts, self.facts.bucket(row)
        cells += [
            Cell(f"{facts.width}x{facts.height}", "muted"),
            Cell(f"{bucket.width}x{bucket.height}" if bucket and not row.excluded else "", "muted"),
            Cell("" if row.excluded else str(row.image.repeats), "muted"),
            Cell(facts.format, "muted"),
            Cell(bytes_text(facts.size), "muted"),
        ]
        return cells

    def tile(self, index: int) -> Tile:
        """A picture of the grid."""
        row = self.rows[self.shown[index]]
        signs = [cell for cell in self._signs(row) if cell.text.strip()]
        line = [Cell("".join(cell.text.strip() for cell in signs), signs[0].tone)] if signs else []
        line += [Cell(" "), Cell(row.name, "muted" if row.excluded else "")]
        return Tile(row.path if row.image is not None else None, row.stamp, line, row.part)

    def say(self) -> None:
        """The status line: how many, which of them, in what order."""
        work = self.workspace
        total = len(self.images.scan.images) if self.images else 0
        if self.images is None or not self.images.scan.complete:
            text = self._empty_words() if self.images is None else _("Reading images.")
            if work.scanned > 0:
                text = _("reading images: {count} so far").format(count=count(work.scanned))
        else:
            text = ngettext("{count} image", "{count} images", total).format(count=count(total))
            if self._images_here != total:
                text = _("{shown} of {total} images").format(shown=count(self._images_here), total=count(total))
            tally = self.images.tally
            parts = [text, *gravity_words(tally.errors, tally.warnings, tally.notes)]
            if out := len(self.images.scan.excluded):
                parts.append(ngettext("{count} left out", "{count} left out", out).format(count=count(out)))
            if not self.images.checked:
                parts.append(_("checking captions and sizes"))
            elif not self.images.decoded and self.images.decodable:
                parts.append(_("looking for damage and near-duplicates"))
            elif not self.images.decodable:
                parts.append(_("not searched for damage"))
            text = _(", ").join(parts)
        if work.config_name:  # each configuration has datasets of its own
            text = f"{work.config_name}: {text}"
        is_done = self.images is not None and (self.images.decoded or not self.images.decodable)
        hint = self.asking.hint if is_done else ""  # what is going on needs the whole line
        self.set_status(text, _(", ").join(self.finding.spoken()) or hint)

    # -- from the widgets

    @on(VirtualList.Moved, "#files, #grid")
    def _moved(self, event: VirtualList.Moved) -> None:
        if event.list is self.listed:
            self.facts.moved()

    @on(VirtualList.Chosen, "#files, #grid")
    def _chosen(self) -> None:
        self.facts.action_zoom()

    @on(Prompt.Typed)
    def _typed(self, event: Prompt.Typed) -> None:
        event.stop()
        self.finding.typed(event.text)

    @on(Prompt.Done)
    def _done(self, event: Prompt.Done) -> None:
        event.stop()
        self.finding.done(event.text)

    @on(Prompt.Completed)
    def _completed(self) -> None:
        self.call_later(self.shell.give_keys)

    @on(Lines.Resized, "#facts")
    def _resized_facts(self) -> None:
        self.facts.show()

    # -- actions

    def key_hints(self) -> list[KeyHint]:
        prompt = self.query_one(Prompt)
        return prompt.hints() if prompt.is_open else super().key_hints()

    def refusal(self, action_id: str) -> str:
        name = action_id.partition(".")[2]
        if name == "next-problem" and not self._wrong_here:
            return _("No file in the list has a problem.")
        if name == "read" and self.here is None:
            return _("There is nothing to read here.")
        if name in ("zoom", "mark") and (self.here is None or self.here.image is None):
            return _("There is no picture here.")
        if name in ("larger", "smaller", "left", "right") and not isinstance(self.listed, PictureGrid):
            key = self.shell.keymap.shown("dataset.grid")
            return _("{key} shows the images as pictures.").format(key=key)
        return self.tagging.refusal(name) or self.acts.refusal(name)

    def action_grid(self) -> None:
        """Pictures side by side instead of the list, and back; the cursor stays on its file."""
        before = self.listed
        focused, cursor = before.has_focus, before.cursor
        grid, files = self.query_one("#grid", PictureGrid), self.query_one("#files", VirtualList)
        now, hidden = (files, grid) if grid.display else (grid, files)
        now.display, hidden.display = True, False
        self.set_class(now is grid, "-grid")
        now.set_count(len(self.shown), cursor=cursor, empty=self._empty_words())
        now.reload()
        if focused:
            self.set_focus(now)
        self.refresh_keys()
        self.call_after_refresh(self.facts.show)

    def action_larger(self) -> None:
        self.query_one("#grid", PictureGrid).resize_tiles(1)

    def action_smaller(self) -> None:
        self.query_one("#grid", PictureGrid).resize_tiles(-1)

    def action_left(self) -> None:
        self.listed.cursor -= 1

    def action_right(self) -> None:
        self.listed.cursor += 1

    def go_back(self) -> bool:
        if self.query_one(Prompt).is_open:
            self.finding.leave_prompt()
        elif self.has_class("-zoom"):
            self.facts.action_zoom()
        else:
            return self.finding.stop() or self.finding.clear()
        return True
