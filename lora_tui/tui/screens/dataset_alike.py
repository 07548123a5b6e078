"""Images that are the same or nearly the same, side by side: keep one, or say that all are fine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen

from lora_tui.text import _, bytes_text, count, ngettext, plain
from lora_tui.tui.acting import Acting, WithKeys, hints_of
from lora_tui.tui.actions import ALIKE
from lora_tui.tui.cells import Cell
from lora_tui.tui.file_rows import FileRow
from lora_tui.tui.marks import marks_of
from lora_tui.tui.screens.dataset_facts import caption_of
from lora_tui.tui.screens.dataset_find import sharpness_of
from lora_tui.tui.threads import in_stoppable_thread, start_job
from lora_tui.tui.widgets.footer import Keys
from lora_tui.tui.widgets.image_view import ImageView
from lora_tui.tui.widgets.lines import Lines

if TYPE_CHECKING:
    from lora_tui.tui.screens.dataset_acts import Acts

LEAST_COLUMNS = 24
"""Cells of one picture at least; as many stand side by side as that allows."""

MOST_PIXELS = 40_000_000
"""Of a picture of which it is found out whether it is enlarged."""


@dataclass(frozen=True)
class Group:
    """Images that are alike; ``copies`` are those whose files hold the same bytes as another's."""

    rows: tuple[FileRow, ...]
    copies: frozenset[Path]


def groups_of(rows: Sequence[FileRow]) -> list[Group]:
    """The groups that the checks found, without images that are left out."""
    by_path = {row.path: row for row in rows if row.counted}
    leads: dict[Path, Path] = {}  # from each image towards the one that stands for its group

    def head(path: Path) -> Path:
        while (up := leads.setdefault(path, path)) != path:
            leads[path] = leads[up]
            path = up
        return path

    copies: set[Path] = set()
    for row in by_path.values():
        for problem in row.problems:
            if problem.code not in ("image.identical", "image.similar") or not problem.others:
                continue
            members = [path for path in (row.path, *problem.others) if path in by_path]
            if problem.code == "image.identical":
                copies.update(members)
            for path in members:
                leads[head(path)] = head(row.path)
    groups: dict[Path, list[FileRow]] = {}
    for path, row in by_path.items():
        if path in leads:
            groups.setdefault(head(path), []).append(row)
    return [
        Group(tuple(some), frozenset(row.path for row in some if row.path in copies))
        for some in groups.values()
        if len(some) > 1
    ]


class Side(Vertical):
    """One picture with its facts below."""

    def compose(self) -> ComposeResult:
        yield ImageView(align="center")
        yield Lines()


class AlikeReview(WithKeys, Acting, ModalScreen[None], inherit_bindings=False):
    """Group after group; what is decided is done at once, and can be taken back on the screen below."""

    ACTS = ALIKE
    DEFAULT_CSS = """
    AlikeReview { background: $background; }
    AlikeReview #head { height: 1; padding: 0 1; }
    AlikeReview Horizontal { height: 1fr; }
    AlikeReview Side { height: 100%; width: 1fr; padding: 0 1 0 0; }
    AlikeReview Side Lines { height: 6; }
    """

    def __init__(self, acts: Acts, groups: Sequence[Group]) -> None:
        super().__init__()
        self._acts, self._groups = acts, list(groups)
        self._number = self._place = self._columns = 0
        self._sharp: dict[str, int] = {}
        self._tags: dict[Path, int] = {}
        self._enlarged: dict[Path, int] = {}  # pixels that it was enlarged from, 0 where it was not
        self._said = ""  # what was done last
        self._chose = False  # a person has moved the cursor in this group

    def compose(self) -> ComposeResult:
        yield Lines(id="head")
        yield Horizontal()
        yield Keys()

    def on_mount(self) -> None:
        self.take_keys()
        self.query_one(Keys).show(hints_of(self.app, ALIKE))
        start_job(self, self._measure, "measure")

    async def _measure(self) -> None:
        rows = [row for group in self._groups for row in group.rows]
        self._tags = await in_stoppable_thread(_tags_of, rows)
        self._measured()
        images = [row.image for row in rows if row.image is not None]
        self._sharp = await in_stoppable_thread(sharpness_of, images)
        self._measured()

    def _look_closer(self) -> None:
        """Find out which of the larger ones of this group are enlarged; asked once for each group that is shown."""
        rows = [row for row in self._group.rows if row.image is not None]
        if any(row.path not in self._enlarged for row in rows):
            start_job(self, partial(self._find_enlarged, rows), "enlarged")

    async def _find_enlarged(self, rows: list[FileRow]) -> None:
        self._enlarged |= await in_stoppable_thread(_enlarged_of, rows)
        if self._groups and self._group.rows[0] in rows:
            self._measured()

    def _measured(self) -> None:
        if self._chose:
            self._show()
        else:
            self._begin()

    async def on_resize(self, _event: events.Resize) -> None:
        columns = max((self.app.size.width) // LEAST_COLUMNS, 2)
        most = max((len(group.rows) for group in self._groups), default=2)
        columns = min(columns, most)
        if columns != self._columns:
            self._columns = columns
            sides = self.query_one(Horizontal)
            await sides.remove_children()
            await sides.mount(*(Side() for _side in range(columns)))
        self._show()

    # -- showing

    @property
    def _group(self) -> Group:
        return self._groups[self._number]

    def _worth(self, row: FileRow) -> tuple[bool, int, int, float]:
        """Whether it has a caption, pixels, sharpness, bytes a pixel: more is better, the first before the others.

        A caption is somebody's work, which would be left out together with its image. Pixels that were only made by
        enlarging count for a little less than those that they were made from.
        """
        if row.image is None:
            return False, 0, 0, 0.0
        area = _area(row)
        captioned = self._tags.get(row.path, int(row.image.caption_path is not None)) > 0
        own = self._enlarged.get(row.path, 0) - 1 if self._enlarged.get(row.path) else area
        return captioned, own, self._sharp.get(str(row.path), 0), row.image.facts.size / max(area, 1)

    def _begin(self) -> None:
        """Another group: the cursor goes to its best image."""
        self._chose = False
        worths = [self._worth(row) for row in self._group.rows]
        self._place = worths.index(max(worths))
        self._look_closer()
        self._show()

    def _show(self) -> None:
        if not self._groups:
            return
        rows, start = self._group.rows, self._place // max(self._columns, 1) * self._columns
        head = _("group {number} of {total}").format(number=count(self._number + 1), total=count(len(self._groups)))
        more = _("{number} of {total}").format(number=count(self._place + 1), total=count(len(rows)))
        cells = [Cell(head, "strong"), Cell("   " + more, "muted")]
        if self._said:
            cells.append(Cell("   " + self._said, "success"))
        self.query_one("#head", Lines).show([cells])
        for position, side in enumerate(self.query(Side)):
            number = start + position
            if number < len(rows):
                self._fill(side, number)
            else:
                side.query_one(ImageView).show(None)
                side.query_one(Lines).show([])

    def _fill(self, side: Side, number: int) -> None:
        row, marks, here = self._group.rows[number], marks_of(self.app), number == self._place
        if row.image is None:
            return
        side.query_one(ImageView).show(row.path, row.stamp)
        facts, worth = row.image.facts, self._worth(row)
        worths = [self._worth(other) for other in self._group.rows]

        def line(index: int, text: str, word: str) -> list[Cell]:
            values = {one[index] for one in worths}
            best = len(values) > 1 and worth[index] == max(values)
            return [Cell(text), Cell(f"  {marks.done} {word}" if best else "", "success")]

        size = f"{bytes_text(facts.size)}, {facts.format}"
        lines = [
            [Cell((marks.cursor if here else " ") + " ", "accent"), Cell(row.name, "accent" if here else "strong")],
            line(0, self._caption_words(row), _("captioned")),
            self._size_line(row, line(1, f"{facts.width} x {facts.height} px", _("more pixels"))),
            line(2, _("sharpness {value}").format(value=round(worth[2] / 2.55)), _("sharper")),
            line(3, size, _("less compressed")),
        ]
        if row.path in self._group.copies:
            lines.append([Cell(_("there is a copy of this file"), "warning")])
        side.query_one(Lines).show(lines)

    def _size_line(self, row: FileRow, line: list[Cell]) -> list[Cell]:
        """Of one that holds no more than a smaller one, enlarged or soft, the line says so.

        A smaller one that is worth more has no more pixels.
        """
        if self._enlarged.get(row.path):
            return [line[0], Cell("  " + _("no more detail"), "warning")]
        return line if _area(row) == max(map(_area, self._group.rows)) else line[:1]

    def _caption_words(self, row: FileRow) -> str:
        if row.image is None or row.image.caption_path is None:
            return _("no caption")
        tags = self._tags.get(row.path)
        return "" if tags is None else ngettext("{count} tag", "{count} tags", tags).format(count=count(tags))

    # -- moving

    def _turn(self, step: int) -> None:
        self._number = (self._number + step) % len(self._groups)
        self._begin()

    def action_next(self) -> None:
        self._turn(1)

    def action_previous(self) -> None:
        self._turn(-1)

    def action_left(self) -> None:
        self._step(-1)

    def action_right(self) -> None:
        self._step(1)

    def _step(self, step: int) -> None:
        self._chose = True
        self._place = min(max(self._place + step, 0), len(self._group.rows) - 1)
        self._show()

    @on(Keys.Pressed)
    async def _hint_pressed(self, event: Keys.Pressed) -> None:
        event.stop()
        await self.action_act(event.action)

    # -- deciding

    def _others(self) -> list[Path]:
        return [row.path for number, row in enumerate(self._group.rows) if number != self._place]

    def _decided(self) -> None:
        """On to what is left; back to the dataset where nothing is."""
        del self._groups[self._number]
        if not self._groups:
            self.dismiss(None)
            return
        self._number %= len(self._groups)
        self._begin()

    def action_keep(self) -> None:
        others = self._others()
        name = plain(self._group.rows[self._place].name, limit=30)
        words = _("{name} kept, {number} left out").format(name=name, number=count(len(others)))
        self._acts.leave_out(others, out=True, words=words)
        self._said = words
        self._decided()

    def action_trash(self) -> None:
        start_job(self, partial(self._acts.ask_trash, self._others(), self._trashed), "ask")

    def _trashed(self) -> None:
        self._said = ""
        self._decided()

    def action_fine(self) -> None:
        self._acts.keep_alike([row.path for row in self._group.rows])
        self._said = ""
        self._decided()

    def action_leave(self) -> None:
        self.dismiss(None)


def _area(row: FileRow) -> int:
    return row.image.facts.width * row.image.facts.height if row.image is not None else 0


def _enlarged_of(rows: Sequence[FileRow], should_stop: Callable[[], bool]) -> dict[Path, int]:
    """For each image the pixels that it was enlarged from, by the sizes of the others; 0 for all that were not."""
    from lora_tui.dataset.buckets import Size
    from lora_tui.dataset.enlarged import LEAST_FACTOR, is_enlarged
    from lora_tui.dataset.eyes import eyes_now
    from lora_tui.dataset.load import WHITE
    from lora_tui.errors import UserError

    found: dict[Path, int] = {}
    for row in sorted(rows, key=_area):
        smaller = {found.get(one.path) or _area(one): one for one in rows if _area(one) < _area(row)}
        found[row.path] = 0
        sizes = [size for size in smaller if size * LEAST_FACTOR**2 <= _area(row)]
        if row.image is None or row.image.crop is not None or not sizes or _area(row) > MOST_PIXELS or should_stop():
            continue
        facts, size = row.image.facts, max(sizes)
        scale = (size / _area(row)) ** 0.5
        try:
            picture = eyes_now().picture(row.path, WHITE, Size(facts.width, facts.height))
        except UserError:
            continue
        if is_enlarged(picture, Size(max(round(facts.width * scale), 1), max(round(facts.height * scale), 1))):
            found[row.path] = size
    return found


def _tags_of(rows: Sequence[FileRow], should_stop: Callable[[], bool]) -> dict[Path, int]:
    """How many tags each image's caption has, 0 without one; those not read once it should stop are left out."""
    found: dict[Path, int] = {}
    for row in rows:
        if should_stop():
            break
        caption = row.image.caption_path if row.image is not None else None
        found[row.path] = len(caption_of(caption)[1]) if caption is not None else 0
    return found
