"""One grid in view: its page, the cell under the cursor, blinking, comparing. Part of the screen of grids."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.cells import cell_len

from lora_tui.drawing.chart import Curve, Marker
from lora_tui.errors import UserError
from lora_tui.grids.folder import GridFolder
from lora_tui.grids.looking import GridReader, Page
from lora_tui.grids.outputs import Shown
from lora_tui.grids.words import STATES
from lora_tui.records.notes import Notes, read_notes
from lora_tui.runs.folder import RunFolder
from lora_tui.scores.told import Scores, read_scores
from lora_tui.text import _, number, plain
from lora_tui.tui.cells import Cell, fit, wrap
from lora_tui.tui.grid_text import cell_facts, head_cells, place_words, setting_words
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.widgets.cell_grid import CellGrid
from lora_tui.tui.widgets.chart import LineChart, Picture
from lora_tui.tui.widgets.image_view import ImageView
from lora_tui.tui.widgets.lines import Lines
from lora_tui.tui.widgets.picture_grid import Tile
from lora_tui.tui.wording import error_words

if TYPE_CHECKING:
    from lora_tui.tui.screens.grids import GridsScreen

CURVES_FROM = 26
"""Lines of the terminal from which on curves stand below the pictures."""


_OF_CELLS = frozenset(
    ("blink", "mark", "compare", "next-page", "page-before", "read", "larger", "smaller")
)  # fmt: skip


class GridCells:
    """What is shown of one grid, read in threads."""

    def __init__(self, screen: GridsScreen) -> None:
        self._screen = screen
        self.folder: GridFolder | None = None
        self.page: Page | None = None
        self.notes: Notes | None = None
        self.scores: Scores | None = None
        self.marked: tuple[Page, Shown] | None = None
        self.blinking = False
        self.comparing = False
        self.trouble = ""
        self._legend = ""  # what the signs at the pictures of this page mean
        self._reader: GridReader | None = None
        self._wanted = 0
        self._busy: object = None  # what is being read now: a token of its own
        self._again = self._anew = False

    # -- reading

    @property
    def awaited(self) -> bool:
        """Whether a grid was opened and is not read yet: keys are for its cells and wait so long."""
        return self._reader is not None and self.page is None and not self.trouble

    def open(self, folder: GridFolder) -> None:
        """Show another grid; the one in view is only read again."""
        if folder != self.folder:
            self.forget()
            self.folder, self._reader = folder, GridReader(folder)
            self._screen.query_one("#grid-cells", CellGrid).show_table((), (), 1.0)
        self.look()

    def forget(self) -> None:
        """Show none."""
        self.folder = self.page = self.notes = self.scores = self.marked = self._reader = None
        self.blinking = self.comparing = False
        self.trouble, self._legend, self._wanted = "", "", 0
        self._busy = None  # a disk that does not answer keeps no other grid waiting

    def look(self, *, anew: bool = False) -> None:
        """Read what has come since; with ``anew`` also whether files are others now."""
        self._again, self._anew = True, self._anew or anew
        if self._reader is not None and self._busy is None and self._screen.is_attached:
            self._busy = turn = object()
            start_job(self._screen, partial(self._read, turn), "cells", alone=False)

    async def _read(self, turn: object) -> None:
        try:
            while self._busy is turn and self._again and (reader := self._reader) is not None:
                self._again = False
                anew, self._anew = self._anew, False
                try:
                    found = await in_thread(partial(_read_all, reader, self._wanted, anew=anew))
                except UserError as error:
                    if reader is not self._reader:
                        continue
                    self.trouble = error_words(error)
                    self._screen.tell(self.trouble, "error")
                    self.draw()
                    self._screen.resume_keys()
                    continue
                if reader is self._reader:
                    self.trouble = ""
                    self._take(*found)
        finally:
            if self._busy is turn:
                self._busy = None

    def _take(self, page: Page, notes: Notes | None, scores: Scores | None) -> None:
        before, noted, scored = self.page, self.notes, self.scores
        self.page, self.notes, self.scores = page, notes, scores
        self._legend = self._signs_told(page)
        table = self._table
        across, down = page.grid.shown[:2]
        same = before is not None and before.grid == page.grid and before.number == page.number
        if not same:
            first = page.cells[0].cell
            here = _place_of(_cell_at(before, table.cursor), page, table.cursor)
            labels = [[plain(value.label, limit=60) for value in axis.values] for axis in (across, down)]
            table.show_table(labels[0], labels[1], first.width / max(first.height, 1), cursor=here)
        elif before is not None and (noted, scored) == (notes, scores):
            changed = [
                at for at, (old, new) in enumerate(zip(before.cells, page.cells, strict=True))
                if old != new or before.stamps.get(old.key) != page.stamps.get(new.key)
            ]  # fmt: skip
            for at in changed:
                table.reload_row(at)
        if same and (noted, scored) != (notes, scores):
            table.reload()
        self.draw()
        self._screen.refresh_keys()
        if before is None:
            self._screen.resume_keys()

    # -- what is where

    @property
    def _table(self) -> CellGrid:
        return self._screen.query_one("#grid-cells", CellGrid)

    @property
    def here(self) -> Shown | None:
        """The cell under the cursor."""
        return self.at(self._table.cursor)

    def at(self, index: int) -> Shown | None:
        """The cell at a place of the page."""
        return _cell_at(self.page, index)

    @property
    def run(self) -> RunFolder | None:
        """The run whose files are compared."""
        return RunFolder(Path(self.page.grid.run)) if self.page is not None and self.page.grid.run else None

    @property
    def base_here(self) -> Shown | None:
        """What the cell under the cursor is compared to by blinking."""
        if self.page is None:
            return None
        place = self.page.baseline(self._table.cursor)
        return self.at(place) if place >= 0 else None

    def is_best(self, one: Shown) -> bool:
        """Whether a cell shows the file and strength that were noted as the best."""
        notes, run = self.notes, self.run
        if notes is None or run is None or not notes.best or notes.best_strength is None:
            return False
        path = run.root / notes.best
        return any(lora.path == path and lora.strength == notes.best_strength for lora in one.cell.loras)

    # -- drawing

    def tile(self, index: int) -> Tile:
        """A cell for the table."""
        one, page, folder = self.at(index), self.page, self.folder
        if one is None or page is None or folder is None:
            return Tile(None, (0, 0), (Cell(""),))
        sign = self._sign(one)
        shown = one
        if self.blinking and index == self._table.cursor and (base := self.base_here) is not None:
            shown = base
        marks = self._screen.shell.marks
        if shown.state == "drawn":
            return Tile(folder.picture(shown.key), page.stamps.get(shown.key, (0, 0)), (sign, Cell(marks.done)))
        if shown.state == "failed":
            return Tile(None, (0, 0), (sign, Cell(f"{marks.failed} {plain(shown.why, limit=120)}", "error")))
        return Tile(None, (0, 0), (sign, Cell(marks.todo, "muted")))

    def _sign(self, one: Shown) -> Cell:
        """What is so of a cell, in one character: marked, best, a copy of a training image, recommended, a tie."""
        marks, scores = self._screen.shell.marks, self.scores
        if self.marked is not None and self.marked[1].place == one.place:
            return Cell("*", "accent")
        if self.is_best(one):
            return Cell(marks.done, "success")
        if scores is not None:
            own, told = scores.cells.get(one.key), scores.recommendation
            if own is not None and own.copied:
                return Cell(marks.needs, "error")
            if told is not None and one.key in told.cells:
                return Cell("+", "success")
            if told is not None and one.key in told.tied_cells:
                return Cell("~", "warning")
        return Cell("")

    def _sign_words(self, sign: str) -> str:
        """What a sign at a picture says."""
        words = {"*": _("marked"), "+": _("recommended"), "~": _("too close to call: as good as what is recommended")}
        return words.get(sign, _("looks like a copy of a training image"))

    def _signs_told(self, page: Page) -> str:
        """A line of the signs that pictures of the page have, and of the measure whose name says least."""
        marks, found = self._screen.shell.marks, {self._sign(one).text for one in page.cells}
        words = {
            marks.done: _("best"), "+": _("recommended"), "~": _("too close to call"), marks.needs: _("a copy"),
        }  # fmt: skip
        told = [f"{sign} {text}" for sign, text in words.items() if sign in found]
        if self.scores is not None and any(own.nearest is not None for own in self.scores.cells.values()):
            told.append(_("nearest: training image"))
        return "  ".join(told)

    def moved(self) -> None:
        """The cursor is on another cell."""
        if self.blinking:
            self.blinking = False
            self._table.reload()
        self.draw()
        self._screen.refresh_keys()

    def draw(self) -> None:
        """Say and show what is so of the cell under the cursor."""
        screen = self._screen
        if not screen.is_mounted or screen.view == "list":
            return
        page, one, folder = self.page, self.here, self.folder
        line = screen.query_one("#grid-line" if screen.view == "cells" else "#full-line", Lines)
        if page is None or folder is None:
            line.show([(Cell(plain(folder.root.name) if folder is not None else "", "strong"),)])
            return
        width = max(line.size.width, 20)
        line.show([head_cells(page, self._name(page), screen.status_of(folder), width, screen.shell.marks)])
        if screen.view == "cells":
            self._draw_facts(page, one)
            self._draw_curves(one)
        elif one is not None:
            self._draw_full(page, one)
        screen.set_status(self.told())

    def _name(self, page: Page) -> str:
        run = self.run
        status = self._screen.workspace.status_of(run)
        if status is not None and status.number:
            return _("run {number}").format(number=status.number)
        return plain(page.grid.title, limit=60)

    def _draw_facts(self, page: Page, one: Shown | None) -> None:
        facts = self._screen.query_one("#cell-facts", Lines)
        if one is None:
            facts.show([])
            return
        width, best = max(facts.size.width - 1, 10), self.is_best(one)
        lines = cell_facts(
            page, one, width, self._screen.shell.marks, notes=self.notes, best=best, scores=self.scores
        )  # fmt: skip
        sign = self._sign(one)
        if sign.text and not best:
            told = wrap(f"{sign.text} {self._sign_words(sign.text)}", width, 2)
            at = len([words for label in place_words(page, one) for words in wrap(label, width, 2)])
            lines[at:at] = [(Cell(line, sign.tone),) for line in told]
        if self.blinking:
            lines.insert(0, (Cell(_("now: {what}").format(what=self._base_words()), "accent"),))
        facts.show(lines)

    def _draw_curves(self, one: Shown | None) -> None:
        """Likeness and fit to the prompt over the steps, at the strength of the cell under the cursor."""
        box, scores = self._screen.query_one("#grid-curves"), self.scores
        choice = scores.choice_of(one.key) if scores is not None and one is not None else None
        found = []
        if scores is not None and choice is not None:
            for measure, role in (("likeness", "smooth"), ("prompt", "validation")):
                along = next((c for c in scores.curves(measure, "step") if c.label == choice.strength), None)
                if along is not None and len(along.points) > 1:
                    found.append((role, along))
        tall = self._screen.size.height >= CURVES_FROM
        if box.display != (shown := bool(found) and tall):
            box.display = shown
        if not shown or choice is None:
            return
        steps = [point[0] for _role, curve in found for point in curve.points]
        curves = tuple(
            Curve.through(role, [x for x, _y in curve.points], [y for _x, y in curve.points]) for role, curve in found
        )
        marks = tuple(Marker(x, y, "+", role) for role, curve in found for x, y in curve.points)
        names = {"smooth": _("likeness"), "validation": _("prompt")}
        head = [Cell(_("CURVES  by step at {strength}  ").format(strength=plain(choice.strength)), "muted")]
        tones = {"smooth": "smooth", "validation": "level0"}
        head += [Cell(f"{names[role]}  ", tones[role]) for role, _curve in found]
        self._screen.query_one("#curve-line", Lines).show([head])
        cursor = float(choice.step) if choice.step else None
        picture = Picture(curves, marks, first=min(steps), last=max(max(steps), min(steps) + 1), cursor=cursor)
        self._screen.query_one("#curve-chart", LineChart).show(picture)

    def _draw_full(self, page: Page, one: Shown) -> None:
        marked = self.marked if self.comparing else None
        left = self._screen.query_one("#full-left")
        if left.display != (marked is not None):
            left.display = marked is not None
        if marked is not None:
            self._put("left", marked[0], marked[1])
        base = self.base_here
        self._put("right", page, base if self.blinking and base is not None else one)
        text = self._screen.query_one("#full-text", Lines)
        width, height = max(text.size.width, 20), max(text.size.height, 1)
        ellipsis = self._screen.shell.marks.ellipsis
        words = f"{one.why}  {one.cell.prompt}" if one.state == "failed" else one.cell.prompt
        settings = f"  {self._screen.shell.marks.dot}  ".join(setting_words(one))
        rows = [settings, *wrap(plain(words), width, max(height - 1, 1), ellipsis=ellipsis)]
        text.show([(Cell(row, "muted"),) for row in rows])

    def _put(self, side: str, page: Page, one: Shown) -> None:
        """A picture at one side of the full view, with what it is above it."""
        screen, folder = self._screen, self.folder
        image = screen.query_one(f"#full-{side}-image", ImageView)
        drawn = one.state == "drawn" and folder is not None
        image.show(folder.picture(one.key) if drawn and folder else None, page.stamps.get(one.key, (0, 0)))
        words = ", ".join(place_words(page, one))
        line = screen.query_one(f"#full-{side}-line", Lines)
        state = "" if drawn else f"  {_(STATES[one.state])}"
        sign = self._sign(one).text
        width = max(line.size.width, 10)
        ellipsis = screen.shell.marks.ellipsis
        shown = fit(f"{sign} {words}{state}{self._score_words(one)}".strip(), width, ellipsis=ellipsis).rstrip()
        gap = " " * max((width - cell_len(shown)) // 2, 0)
        line.show([(Cell(gap + shown, "accent" if self.blinking and side == "right" else "strong"),)])

    def _score_words(self, one: Shown) -> str:
        own = self.scores.cells.get(one.key) if self.scores is not None else None
        if own is None or own.likeness is None:
            return ""
        return "  " + _("likeness {value}").format(value=number(own.likeness, 2))

    def _base_words(self) -> str:
        base, page = self.base_here, self.page
        return ", ".join(place_words(page, base)) if base is not None and page is not None else ""

    def told(self) -> str:
        """The status line: what is marked, what stands there for another, else what the signs mean."""
        parts = [self.trouble] if self.trouble else []
        if self.marked is not None:
            words = ", ".join(place_words(*self.marked))
            parts.append(_("marked: {what}").format(what=words))
        if self.blinking:
            parts.append(_("the base model in its place: {what}").format(what=self._base_words()))
        if not parts and self._screen.progress.can_stop:
            parts.append(_("leaving this screen does not stop the drawing"))
        where = plain(str(self.folder.root)) if self.folder is not None else ""
        return "   ".join(parts) or self._legend or where

    # -- actions

    def refusal(self, name: str) -> str:
        """Why an action on cells cannot be done now."""
        if self._screen.view == "list" or name not in _OF_CELLS:
            return ""
        if self.page is None or self.here is None:
            return self.trouble or _("Reading the grid.")
        if name in ("larger", "smaller") and self._screen.view == "full":
            return _("It is as large as it fits.")
        if name == "blink" and self.base_here is None:
            return _("No column or row of this grid is without a LoRA; --baseline or strength 0 makes one.")
        if name == "compare" and self.marked is None:
            return _("Mark the cell to compare with first.")
        if name in ("next-page", "page-before") and self.page.pages < 2:
            return _("The grid has one page.")
        return ""

    def go_back(self) -> bool:
        """Leave comparing and blinking, one at a time."""
        if self._screen.view == "list":
            return False
        if self.blinking:
            self.action_blink()
            return True
        if self.comparing:
            self.comparing = False
            self.draw()
            return self._screen.view == "full"
        return False

    def action_left(self) -> None:
        self._table.go(-1)

    def action_right(self) -> None:
        self._table.go(1)

    def action_larger(self) -> None:
        self._table.resize_tiles(1)

    def action_smaller(self) -> None:
        self._table.resize_tiles(-1)

    def action_blink(self) -> None:
        self.blinking = not self.blinking
        self._table.reload_row(self._table.cursor)
        self.draw()

    def action_mark(self) -> None:
        one, page = self.here, self.page
        if one is None or page is None:
            return
        same = self.marked is not None and self.marked[1].place == one.place
        self.marked = None if same else (page, one)
        self.comparing = self.comparing and not same
        self._table.reload()
        self.draw()
        self._screen.refresh_keys()

    def action_compare(self) -> None:
        self.comparing = not (self.comparing and self._screen.view == "full")
        if self._screen.view != "full":
            self._screen.show_view("full")
        self.draw()

    def action_next_page(self) -> None:
        self._turn(1)

    def action_page_before(self) -> None:
        self._turn(-1)

    def _turn(self, step: int) -> None:
        if self.page is not None:
            self._wanted = (self.page.number + step) % self.page.pages
            self.look()


def _read_all(reader: GridReader, number: int, *, anew: bool) -> tuple[Page, Notes | None, Scores | None]:
    """A page with what was noted of its run and what was measured. Raises as :meth:`GridReader.read`."""
    page = reader.read(number, anew=anew)
    run = RunFolder(Path(page.grid.run)) if page.grid.run else None
    notes = read_notes(run) if run is not None else None
    return page, notes, read_scores(reader.folder.root)


def _cell_at(page: Page | None, index: int) -> Shown | None:
    return page.cells[index] if page is not None and 0 <= index < len(page.cells) else None


def _place_of(one: Shown | None, page: Page, before: int) -> int:
    """Where a page has the cell that the cursor was on: on another page, or where values were added."""
    if one is None:
        return 0
    last = len(page.cells) - 1
    places = (before, *range(last + 1)) if before <= last else range(last + 1)
    return next((at for at in places if page.cells[at].labels[:2] == one.labels[:2]), max(min(before, last), 0))
