"""The one list of the interface: draws only the rows on screen, so a hundred thousand open at once.

Takes a number of rows and a function from row number to cells; posts :class:`VirtualList.Moved` when the
cursor moves and :class:`VirtualList.Chosen` when a row is clicked twice. Enter belongs to the screen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.app import ComposeResult
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from lora_tui.text import _
from lora_tui.tui.acting import Acting
from lora_tui.tui.actions import LIST
from lora_tui.tui.cells import TONES, Align, Cell, Cut, fit, wrap
from lora_tui.tui.marks import marks_of

Row = Sequence[Cell | str]


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        width: cells; with ``share`` the least it may have.
        title: heading, shown when any column of the list has one; a message id, translated when drawn.
        align: numbers go to the right.
        share: part of the cells that are left over; 0 keeps ``width``.
        since: the list's width from which the column is shown.
        cut: where text that does not fit loses its middle or its end.
        most: the greatest width of a sharing column; 0 has no bound.
    """

    width: int
    title: str = ""
    align: Align = "left"
    share: int = 0
    since: int = 0
    cut: Cut = "end"
    most: int = 0


class FromList(Message):
    """Something happened in a list."""

    def __init__(self, sender: VirtualList) -> None:
        super().__init__()
        self.list = sender

    @property
    def control(self) -> VirtualList:
        """The list, for handlers that name it by its id."""
        return self.list


class AtRow(FromList):
    """Something happened at a row of a list."""

    def __init__(self, sender: VirtualList, index: int) -> None:
        super().__init__(sender)
        self.index = index


FAR = 3
"""The part of a list, one in so many, by which it is scrolled at once over a slow link."""


class VirtualList(Acting, ScrollView, can_focus=True, inherit_bindings=False):
    """Rows drawn on demand, with a cursor."""

    ACTS = LIST
    COMPONENT_CLASSES = {f"tone--{tone}" for tone in TONES} | {
        "virtual-list--cursor",
        "virtual-list--cursor-blurred",
        "virtual-list--title",
    }
    DEFAULT_CSS = """
    VirtualList {
        overflow-x: hidden;
        overflow-y: auto;
        scrollbar-gutter: stable;
        scrollbar-size-vertical: 1;
        scrollbar-size-horizontal: 0;
        height: 1fr;
    }
    """

    cursor: reactive[int] = reactive(0, repaint=False)

    class Moved(AtRow):
        """The cursor is on another row (or on none: -1); stale ones are dropped."""

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, VirtualList.Moved) and message.list is self.list

    class Chosen(AtRow):
        """A row was clicked while the cursor was on it."""

    class Edge(FromList):
        """The cursor was moved beyond the first or the last row."""

        def __init__(self, sender: VirtualList, *, down: bool) -> None:
            super().__init__(sender)
            self.down = down

    def __init__(
        self,
        columns: Sequence[Column],
        row: Callable[[int], Row],
        *,
        count: int = 0,
        empty: str = "",
        gap: int = 2,
        marker: bool = True,
        quiet: bool = False,
        id: str | None = None,  # noqa: A002 - Textual's own name
        classes: str | None = None,
    ) -> None:
        """Set up the list.

        Args:
            row: gives the cells of a row, already safe to show; a single cell runs through all columns.
            empty: said when there is no row.
            gap: cells between columns.
            marker: whether the cursor's row begins with a mark.
            quiet: draw the cursor only while the list has the focus.
        """
        super().__init__(id=id, classes=classes)
        self.columns = tuple(columns)
        self._row = row
        self._count = count
        self._empty = empty
        self._gap = gap
        self._marker = marker
        self._quiet = quiet
        self._driven = False
        self.passes: Callable[[int], bool] | None = None
        """Whether the cursor passes over a row: a heading, of which nothing can be done."""
        self._strips: dict[int, Strip] = {}
        self._looks: dict[tuple[str, bool], Style] = {}
        self._widths: tuple[tuple[int, int], ...] = ()
        self.set_reactive(VirtualList.cursor, 0 if count else -1)

    @property
    def count(self) -> int:
        """The number of rows."""
        return self._count

    @property
    def driven(self) -> bool:
        """Whether a text field moves the cursor: it then looks as with the focus, and never takes it."""
        return self._driven

    @driven.setter
    def driven(self, value: bool) -> None:
        self._driven = value
        self.can_focus = not value
        self._forget_strips()
        self.refresh()

    @property
    def _live(self) -> bool:
        return self.has_focus or self._driven

    @property
    def _titles(self) -> int:
        return int(any(column.title for column in self.columns))

    def compose(self) -> ComposeResult:
        return ()

    def on_mount(self) -> None:
        self.take_keys()
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self.reload())
        self._resize_content()

    # -- data

    def set_count(self, count: int, *, cursor: int | None = None, empty: str | None = None) -> None:
        """Show ``count`` rows; the cursor goes to ``cursor``, or stays as near as it can."""
        self._count = count
        if empty is not None:
            self._empty = empty
        wanted = self.cursor if cursor is None else cursor
        self._forget_strips()
        self._resize_content()
        target = min(max(wanted, 0), count - 1)
        moved = target != self.cursor
        self.cursor = target
        if not moved:
            self._keep_in_view()
            self.post_message(self.Moved(self, target))
        self.refresh()

    def set_columns(self, columns: Sequence[Column]) -> None:
        """Use other columns."""
        self.columns = tuple(columns)
        self.reload()

    def reload(self) -> None:
        """Ask for every visible row again: their content changed, their number did not."""
        self._forget_strips()
        self._widths = ()
        self.refresh()

    def reload_row(self, index: int) -> None:
        """Ask for one row again."""
        self._strips.pop(index, None)
        self._refresh_row(index)

    def set_empty(self, text: str) -> None:
        """What to say when there are no rows."""
        if text != self._empty:
            self._empty = text
            self.refresh()

    # -- cursor

    def validate_cursor(self, value: int) -> int:
        value = min(max(value, 0), self._count - 1)
        if self.passes is None or value < 0 or not self.passes(value):
            return value
        after, before = range(value + 1, self._count), range(value - 1, -1, -1)
        ways = (after, before) if value >= self.cursor else (before, after)
        return next((row for way in ways for row in way if not self.passes(row)), value)

    def watch_cursor(self, old: int, new: int) -> None:
        self._strips.pop(old, None)
        self._strips.pop(new, None)
        self._refresh_row(old)
        self._refresh_row(new)
        self._keep_in_view()
        self.post_message(self.Moved(self, new))

    def action_up(self) -> None:
        if self.cursor <= 0:
            self.post_message(self.Edge(self, down=False))
        self.cursor -= 1

    def action_down(self) -> None:
        if self.cursor >= self._count - 1:
            self.post_message(self.Edge(self, down=True))
        self.cursor += 1

    def action_page_up(self) -> None:
        self.cursor -= max(self._page - 1, 1)

    def action_page_down(self) -> None:
        self.cursor += max(self._page - 1, 1)

    def action_first(self) -> None:
        self.cursor = 0

    def action_last(self) -> None:
        self.cursor = self._count - 1

    def on_click(self, event: events.Click) -> None:
        index = self._index_at(event.y)
        if index is None:
            return
        if index == self.cursor and event.chain >= 2:
            self.post_message(self.Chosen(self, index))
        self.cursor = index

    def on_focus(self) -> None:
        self._looks.clear()
        self._repaint_cursor()

    def on_blur(self) -> None:
        self._looks.clear()
        self._repaint_cursor()

    # -- drawing

    def on_resize(self) -> None:
        self._widths = ()
        self._forget_strips()
        self._resize_content()
        self._keep_in_view()
        self.refresh()  # it may have been painted in its new size with the columns of the old one

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """All rows, up to a limit in shares of the screen, which a box that is as high as its content leaves out."""
        rows, most = self.virtual_size.height, self.styles.max_height
        return min(rows, int(most.resolve(container, viewport))) if most and most.symbol == "vh" else rows

    def notify_style_update(self) -> None:
        self._forget_strips()
        super().notify_style_update()

    def _forget_strips(self) -> None:
        self._strips.clear()
        self._looks.clear()

    def render_line(self, y: int) -> Strip:
        width = self._inner_width
        if y < self._titles:
            return self._title_strip(width)
        index = self._index_at(y)
        if index is None and self._count:
            return Strip.blank(width, self._toned("", False))
        if index is None:
            return self._empty_strip(y - self._titles, width)
        strip = self._strips.get(index)
        if strip is None:
            strip = self._row_strip(index, width)
            if len(self._strips) > 512:
                self._strips.clear()
            self._strips[index] = strip
        return strip

    def _row_strip(self, index: int, width: int) -> Strip:
        here = index == self.cursor and (self._live or not self._quiet)
        marks = marks_of(self.app)
        base = self._toned("", here)
        segments: list[Segment] = []
        used = 0
        if self._marker:
            segments.append(self._lead(here))
            used = 2
        cells = self._row(index)
        if len(cells) == 1 and len(self.columns) > 1:
            return self._whole_row(cells[0], segments, width, here)
        for position, (number, cell_width) in enumerate(self._layout(width)):
            if position:
                segments.append(Segment(" " * self._gap, base))
                used += self._gap
            column = self.columns[number]
            cell = cells[number] if number < len(cells) else ""
            text, tone = (cell, "") if isinstance(cell, str) else cell
            shown = fit(text, cell_width, align=column.align, cut=column.cut, ellipsis=marks.ellipsis)
            segments.append(Segment(shown, self._toned(tone, here)))
            used += cell_width
        return Strip(segments, used).adjust_cell_length(width, base)

    def _row_base(self, here: bool) -> Style:
        """The style of a row, of the cursor's when it is ``here``."""
        if not here:
            return self.rich_style
        name = "virtual-list--cursor" if self._live else "virtual-list--cursor-blurred"
        return self.rich_style + self.get_component_rich_style(name, partial=True)

    def _lead(self, here: bool) -> Segment:
        """The two cells before a row: the cursor's mark, another one while the keys go elsewhere."""
        marks = marks_of(self.app)
        mark = (marks.cursor if self._live else marks.resting) if here else " "
        return Segment(mark + " ", self._toned("accent" if self._live else "muted", here))

    def _toned(self, tone: str, here: bool) -> Style:
        """The style of a cell, in the cursor's row when it is ``here``; made once, for there are hundreds."""
        style = self._looks.get((tone, here))
        if style is None:
            base = self._row_base(here)
            if tone and here and self.app.current_theme.ansi:
                # Of sixteen colours none but the cursor's own can be counted on to be read on it.
                style = base + Style(bold=True) if tone in ("strong", "focus") else base
            else:
                style = base + self._tone(tone) if tone else base
            self._looks[tone, here] = style
        return style

    def _whole_row(self, cell: Cell | str, lead: list[Segment], width: int, here: bool) -> Strip:
        """A row of a single cell runs through all columns: a heading, a remark."""
        text, tone = (cell, "") if isinstance(cell, str) else cell
        shown = fit(text, width - (2 if self._marker else 0), ellipsis=marks_of(self.app).ellipsis)
        return Strip([*lead, Segment(shown, self._toned(tone, here))], width)

    def _title_strip(self, width: int) -> Strip:
        style = self.rich_style + self.get_component_rich_style("virtual-list--title", partial=True)
        parts = ["  "] if self._marker else []
        for position, (number, cell_width) in enumerate(self._layout(width)):
            if position:
                parts.append(" " * self._gap)
            column = self.columns[number]
            parts.append(fit(_(column.title), cell_width, align=column.align))
        text = "".join(parts)
        return Strip([Segment(text, style)]).adjust_cell_length(width, style)

    def _empty_strip(self, y: int, width: int) -> Strip:
        base = self.rich_style
        margin = 2 if self._marker else 0
        lines = wrap(self._empty, width - margin) if self._empty else []
        text = " " * margin + lines[y] if 0 <= y < len(lines) else ""
        return Strip([Segment(text, base + self._tone("muted"))]).adjust_cell_length(width, base)

    def _tone(self, tone: str) -> Style:
        return self.get_component_rich_style(f"tone--{tone}", partial=True)

    def _layout(self, width: int) -> tuple[tuple[int, int], ...]:
        """The columns shown in ``width`` cells: (number of the column, its width)."""
        if not self._widths:
            self._widths = lay_out(self.columns, width - (2 if self._marker else 0), self._gap)
        return self._widths

    # -- geometry

    def over_columns(self, words: Mapping[int, str], taken: int) -> str:
        """Words for a line above the list that begins with ``taken`` cells of other text: each ends where its column
        does (number of the column to word); those of columns that are not shown, or without room, are left out."""
        text, place = "", 2 if self._marker else 0
        for position, (number, width) in enumerate(self._layout(self._inner_width)):
            place += width + (self._gap if position else 0)
            word = words.get(number, "")
            blank = place - taken - cell_len(text) - cell_len(word)
            if word and blank > (0 if text else 1):
                text += " " * blank + word
        return text

    @property
    def row_width(self) -> int:
        """Cells that a row has for its content, the cursor's mark not counted."""
        return max(self._inner_width - (2 if self._marker else 0), 0)

    @property
    def _inner_width(self) -> int:
        """Cells beside the scrollbar, whose place is kept free so that columns never move."""
        return self.scrollable_content_region.width

    @property
    def _page(self) -> int:
        return max(self.size.height - self._titles, 1)

    def _index_at(self, y: int) -> int | None:
        index = self.scroll_offset.y + y - self._titles
        return index if y >= self._titles and 0 <= index < self._count else None

    def _resize_content(self) -> None:
        wanted, height = Size(max(self._inner_width, 1), self._count + self._titles), self.styles.height
        if not self.size or height is None or height.is_auto:
            self.virtual_size = wanted
        elif wanted != self.virtual_size:
            # Where the rows do not decide how high the list is, Textual need not lay the whole screen out again.
            self.set_reactive(VirtualList.virtual_size, wanted)
            self._scroll_update(wanted)

    def _keep_in_view(self) -> None:
        if self.cursor < 0 or not self.size.height:
            return
        top = self.scroll_offset.y
        # Over a slow link the rows move seldom and far: a key mostly costs two rows, and not the whole list.
        slow = bool(getattr(getattr(self.app, "settings", None), "slow", False))
        further = self._page // FAR if slow else 0
        if self.cursor < top:
            wanted = max(self.cursor - further, 0)
        elif self.cursor >= top + self._page:
            wanted = min(self.cursor + further, self._count - 1) - self._page + 1
        else:
            return
        self.scroll_to(y=wanted, animate=False, immediate=True, force=True)

    def _refresh_row(self, index: int) -> None:
        y = index - self.scroll_offset.y + self._titles
        if index >= 0 and 0 <= y < self.size.height:
            self.refresh(Region(0, y, self._inner_width, 1))

    def _repaint_cursor(self) -> None:
        self._strips.pop(self.cursor, None)
        self._refresh_row(self.cursor)


def lay_out(columns: Sequence[Column], width: int, gap: int) -> tuple[tuple[int, int], ...]:
    """Which columns fit in ``width`` cells and how wide each is: (number, width) in order.

    Sharing columns divide what fixed ones leave; when even that is too little, the last columns go first.
    """
    shown = [number for number, column in enumerate(columns) if width >= column.since]
    while len(shown) > 1 and sum(columns[n].width for n in shown) + gap * (len(shown) - 1) > width:
        fixed = [n for n in shown if not columns[n].share]
        shown.remove(fixed[-1] if fixed else shown[-1])
    widths = {n: columns[n].width for n in shown}
    spare = width - sum(widths.values()) - gap * max(len(shown) - 1, 0)
    sharing = [n for n in shown if columns[n].share]
    while spare > 0 and sharing:
        total = sum(columns[n].share for n in sharing)
        given = 0
        for n in sharing:
            part = max(spare * columns[n].share // total, 0)
            if columns[n].most:
                part = min(part, columns[n].most - widths[n])
            widths[n] += part
            given += part
        spare -= given
        sharing = [n for n in sharing if not columns[n].most or widths[n] < columns[n].most]
        if not given:
            if sharing:
                widths[sharing[0]] += spare
            break
    return tuple((n, max(min(widths[n], width), 0)) for n in shown)
