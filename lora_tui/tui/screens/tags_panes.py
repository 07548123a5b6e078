"""The panes of the tag editor: which rows they show, and keeping them right while captions change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from rich.cells import cell_len

from lora_tui.captions.vocabulary import Row
from lora_tui.text import _, count, plain
from lora_tui.tui.cells import Cell
from lora_tui.tui.file_rows import part_of
from lora_tui.tui.tags import rows as making
from lora_tui.tui.tags.rows import CATEGORIES, ORDERS, TagRow
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.widgets.image_view import ImageView
from lora_tui.tui.widgets.lines import Lines
from lora_tui.tui.widgets.virtual_list import Column, VirtualList

if TYPE_CHECKING:
    from lora_tui.captions.document import CaptionDocument
    from lora_tui.tui.screens.tags import TagsScreen
    from lora_tui.tui.tags.editor import Editor

T = TypeVar("T")

REVIEW_COLUMN = Column(1)
"""Taken from the files once somebody reviews."""

TAG_COLUMNS = (Column(1), Column(12, share=1))
BAR_COLUMNS = (Column(4, since=30), Column(10, since=46))
WEIGHT_COLUMN, KIND_COLUMN = Column(6, align="right", since=30), Column(9, align="right", since=24)
"""Of one image the tags have what width there is; weights and categories take some only where there are any."""

MOST_COUNTED = 500_000
"""Characters of a caption whose tokens are counted: a tenth of a second's work."""

MANY = 3000
"""Images whose tags, or tags that, are counted in a thread."""

REST_SECONDS = 0.1
"""How long marks and edits rest before tags of that many are counted again."""


def word_columns(*, scoped: bool = False) -> tuple[Column, ...]:
    """The columns of the vocabulary: tag, how many images have it (``scoped``: of those shown, too), a bar."""
    counts = (Column(7, align="right"),) * (2 if scoped else 1)
    return (Column(12, share=1), *counts, Column(8, since=38))


def file_columns(*, reviewed: bool = False) -> tuple[Column, ...]:
    """The columns of the files: mark, whether it was ``reviewed``, name, tags, tokens, flags."""
    rest = Column(10, share=1, cut="middle"), Column(5, align="right"), Column(6, align="right", since=30), Column(4)
    return (Column(1), *((REVIEW_COLUMN,) if reviewed else ()), *rest)


class Panes:
    """The rows of files, tags and vocabulary."""

    def __init__(self, screen: TagsScreen) -> None:
        self.screen = screen
        self.words = ""
        self.order = 0
        self.revision = -1
        self._tags: list[TagRow | None] = []
        self._number = 0
        self._vocabulary: list[Row] = []
        self._most = 1
        self._counted: tuple[object, ...] = ()
        self._united: tuple[object, ...] = ()
        self._tokens: dict[int, tuple[CaptionDocument, int]] = {}

    # -- where the cursors are

    @property
    def _editor(self) -> Editor | None:
        return self.screen.editor

    def pane(self, name: str) -> VirtualList:
        """A list by its id."""
        return self.screen.query_one(f"#{name}", VirtualList)

    @property
    def number(self) -> int:
        """The image under the cursor, -1 for none."""
        editor = self._editor
        files = self.screen.query_one_optional("#files", VirtualList)
        index = files.cursor if files is not None else -1
        return editor.visible[index] if editor is not None and 0 <= index < len(editor.visible) else -1

    @property
    def focus(self) -> str:
        """The pane that has the focus."""
        focused = self.screen.focused
        return focused.id if isinstance(focused, VirtualList) and focused.id else "files"

    @property
    def tag(self) -> str:
        """The tag under the cursor of the vocabulary or of the tags; empty when there is none."""
        if self.focus == "vocab":
            index = self.pane("vocab").cursor
            return self._vocabulary[index].tag if 0 <= index < len(self._vocabulary) else ""
        if self.focus == "scores":
            return self.screen.scores.tag
        row = self.tag_row
        return row.tag if row is not None else ""

    @property
    def tag_row(self) -> TagRow | None:
        """The row under the cursor of the tags."""
        index = self.pane("tags").cursor
        return self._tags[index] if 0 <= index < len(self._tags) else None

    @property
    def tags(self) -> list[str]:
        """The tags of the pane."""
        return [row.tag for row in self._tags if row is not None]

    def on_screen(self) -> list[int]:
        """The images whose rows can be seen."""
        editor, files = self._editor, self.pane("files")
        if editor is None:
            return []
        top = files.scroll_offset.y
        return [*editor.visible[top : top + max(files.size.height, 1)], *([self.number] if self.number >= 0 else [])]

    # -- showing

    def show_all(self, number: int | None = None) -> None:
        """Show everything again, with the cursor on an image or where it was."""
        editor, files = self._editor, self.pane("files")
        if editor is None:
            self._tags, self._number, self._vocabulary, self._tokens = [], 0, [], {}
            files.set_count(0, empty=_("Reading captions."))
            self.pane("tags").set_count(0)
            self.pane("vocab").set_count(0)
            self.screen.query_one(ImageView).show(None)
            self.show_titles()
            return
        place = editor.place_of(number) if number is not None else files.cursor
        if editor.filter:
            empty = _("No image fits the filter. {key} shows all again.").format(
                key=self.screen.shell.keymap.shown("app.back")
            )
        else:
            empty = _("No images in this folder yet.")
        self._counted = self._united = ()
        files.set_count(len(editor.visible), cursor=max(place, 0), empty=empty)
        files.reload()
        self.refresh_tags()

    def refresh_tags(self) -> None:
        """Captions or marks changed: draw what is seen of them again."""
        editor = self._editor
        if editor is None:
            return
        self.revision = editor.corpus.revision
        self.pane("files").reload()
        self._show_tags()
        self._show_vocabulary()
        self.screen.look.show()
        self.show_titles()
        self.screen.say()

    def file_moved(self) -> None:
        """The cursor is on another image."""
        editor = self._editor
        if editor is None:
            return
        self.show_picture()
        if not editor.marks or not self._tags:
            self._show_tags()
        self.screen.look.show()
        self.show_titles()
        self.screen.say()

    def show_picture(self) -> None:
        """The picture of the image, and what is dim in it; known once the images have been read."""
        editor, picture, number = self._editor, self.screen.query_one(ImageView), self.number
        if editor is None or number < 0:
            picture.show(None)
            return
        image = self.screen.look.image(number)
        stamp = (image.facts.mtime_ns, image.facts.size) if image else (0, 0)
        picture.show(editor.corpus.root / editor.entry(number).name, stamp, part_of(image))  # what is described

    def _show_tags(self) -> None:
        """The tags of the image, or of all that are marked."""
        editor = self._editor
        if editor is None:
            return
        marks = editor.marks
        if len(marks) > MANY:
            key = ("union", len(marks), sum(marks), editor.corpus.revision)
            if key != self._united:
                self._united = key
                start_job(self.screen, partial(self._unite, editor), "union")
            return
        self._united = ()
        if marks:
            found = making.tags_of_several(editor, marks)
        else:
            found = making.tags_of_image(editor, self.number) if self.number >= 0 else []
        self._put_tags(found)

    async def _unite(self, editor: Editor) -> None:
        await asyncio.sleep(REST_SECONDS if self._tags else 0)
        marks = frozenset(editor.marks)
        found = await in_thread(_again, making.tags_of_several, editor, marks)
        if editor is self._editor and marks == editor.marks:
            self._put_tags(found)

    def _put_tags(self, found: list[TagRow]) -> None:
        rows = _with_borders(found)
        self._number = len(found)
        columns = self._columns(found)
        if columns != self.pane("tags").columns:
            self.pane("tags").set_columns(columns)
        old, cursor = self.tag_row, self.pane("tags").cursor
        self._tags = rows
        if old is not None and self._editor is not None and self._editor.marks and self.focus == "tags":
            cursor = next((i for i, row in enumerate(rows) if row is not None and row.tag == old.tag), cursor)
        if 0 <= cursor < len(rows) and rows[cursor] is None:
            cursor += 1
        keymap = self.screen.shell.keymap
        if self.screen.prose.on:
            bare = _("No caption yet. {key} writes one.").format(key=keymap.shown("tags.write"))
        else:
            bare = _("No caption yet. {key} adds tags.").format(key=keymap.shown("tags.add"))
        self.pane("tags").set_count(len(rows), cursor=cursor, empty=bare if self.number >= 0 else "")
        self.pane("tags").reload()
        self.show_titles()

    def put_cursor(self, tag: str, place: int = -1) -> None:
        """The cursor of the tags goes to a tag, of several of this name to the one at a place of the caption."""
        found = [(row.place != place, i) for i, row in enumerate(self._tags) if row is not None and row.tag == tag]
        if found:
            self.pane("tags").cursor = min(found)[1]

    def tag_moved(self, index: int) -> None:
        """The line of the zone is no tag: the cursor goes past it."""
        if 0 <= index < len(self._tags) and self._tags[index] is None:
            rows = self.pane("tags")
            step = 1 if index > self._last else -1
            rows.cursor = index + step
        self._last = index

    _last = 0

    # -- vocabulary

    def find(self, words: str) -> None:
        """Show only the tags of the vocabulary that these words find."""
        self.words = words
        self._counted = ()
        self._show_vocabulary()
        self.pane("vocab").cursor = 0

    def next_order(self) -> str:
        """Order the vocabulary in the next way; the words for it."""
        self.order = (self.order + 1) % len(ORDERS)
        self._counted = ()
        self._show_vocabulary()
        return _(ORDERS[self.order][1])

    def _show_vocabulary(self) -> None:
        editor = self._editor
        if editor is None:
            return
        if self.screen.prose.on:
            self._counted = ()
            self.screen.prose.show()
            return
        order = ORDERS[self.order][0]
        key = (editor.corpus.revision, editor.filter, len(editor.visible), self.words, order)
        if key == self._counted:
            return
        self._counted = key
        many = len(editor.corpus.index) if editor.shown is None and not self.words else len(editor.shown or ())
        if many > MANY:
            start_job(self.screen, partial(self._count, editor, self.words, order, key), "vocabulary")
        else:
            self.put_vocabulary(making.vocabulary(editor, self.words, order))

    async def _count(self, editor: Editor, words: str, order: str, key: tuple[object, ...]) -> None:
        await asyncio.sleep(REST_SECONDS if self._vocabulary and editor.shown is None else 0)
        found = await in_thread(_again, making.vocabulary, editor, words, order)
        if editor is self._editor and key == self._counted:
            self.put_vocabulary(found)

    @property
    def _is_scoped(self) -> bool:
        """Whether a filter is in use, whose images are counted beside all."""
        return self._editor is not None and self._editor.shown is not None

    def put_vocabulary(self, found: list[Row], empty: str = "") -> None:
        """List these tags or phrases; ``empty`` is said where there is none."""
        rows = self.pane("vocab")
        old = self._vocabulary[rows.cursor].tag if 0 <= rows.cursor < len(self._vocabulary) else ""
        self._vocabulary = found
        self._most = max((row.in_scope for row in found), default=1) or 1
        place = rows.cursor
        if not (0 <= place < len(found) and found[place].tag == old):
            place = next((index for index, row in enumerate(found[:2000]) if row.tag == old), place)
        if (columns := word_columns(scoped=self._is_scoped)) != rows.columns:
            rows.set_columns(columns)
        none = _("These images have no tags.") if self._is_scoped else _("No tags yet.")
        empty = empty or (_("No tag has these words.") if self.words else none)
        rows.set_count(len(found), cursor=max(place, 0), empty=empty)
        rows.reload()
        self.show_titles()

    # -- cells

    def _bar(self, share: float, width: int) -> str:
        full = round(2 * width * min(share, 1.0))
        if self.screen.shell.ascii_only:
            return "#" * max(full // 2, 1)
        return "█" * (full // 2) + "▌" * (full % 2) or "▏"

    def file_cells(self, index: int) -> list[Cell]:
        """A row of the files."""
        editor = self._editor
        if editor is None or index >= len(editor.visible):
            return [Cell("")]
        number = editor.visible[index]
        entry = editor.entry(number)
        marks = self.screen.shell.marks
        tokens = self.tokens(number)
        flag = making.flags(editor, number, tokens, empty=marks.empty, needs=marks.needs)
        tone = "error" if entry.problem is not None else "warning"
        if number in self.screen.in_use.unused:  # as the dataset screen marks those that are left out
            flag, tone = "-", "muted"
        marked, reviewed = number in editor.marks, self.screen.reviews.marks
        return [
            Cell("*" if marked else " ", "accent"),
            *([Cell(marks.done if number in reviewed else "", "success")] if reviewed else []),
            Cell(plain(entry.name), "strong" if marked else ""),
            Cell(str(len(entry.tags)), "muted"),
            Cell(str(tokens), "muted"),
            Cell(flag, tone),
        ]

    def tokens(self, number: int) -> int:
        """The tokens of a caption as it is trained; counted once for each text."""
        editor = self._editor
        document = editor.entry(number).document if editor is not None else None
        if editor is None or document is None:
            return 0
        known = self._tokens.get(number)
        if known is None or known[0] is not document:
            if len(self._tokens) > 4000:
                self._tokens.clear()
            known = self._tokens[number] = (document, editor.asking.most_tokens(document.text[:MOST_COUNTED]))
        return known[1]

    def tag_cells(self, index: int) -> list[Cell]:
        """A row of the tags."""
        row = self._tags[index] if index < len(self._tags) else None
        if row is None:
            rule, words = self.screen.shell.marks.rule, _("fixed up to here")
            rest = self.pane("tags").row_width - cell_len(words) - 5
            return [Cell(f"{rule * 3} {words} {rule * rest}", "muted")]
        digit = next((key for key, tag in self.screen.again.quick.items() if tag == row.tag), "")
        whole = row.have == row.of
        kind, tone = self._kind(row)
        if row.of == 1:
            cells = [Cell(digit, "accent"), Cell(plain(row.tag), tone)]
            beside = {WEIGHT_COLUMN: row.weight, KIND_COLUMN: kind}
            return cells + [Cell(beside[column], "muted") for column in self.pane("tags").columns[2:]]
        return [
            Cell(digit, "accent"),
            Cell(plain(row.tag), tone or ("strong" if whole else "")),
            Cell(f"{count(row.have)}/{count(row.of)}", "muted"),
            Cell(self._bar(row.have / max(row.of, 1), 3), "muted"),
            Cell(kind, "muted"),
        ]

    def _kind(self, row: TagRow) -> tuple[str, str]:
        """What a tag is, in words and in tone; most are just general, which nobody needs to read."""
        editor = self._editor
        if editor is None:
            return "", ""
        if row.tag == editor.asking.trigger:
            return _("trigger"), "accent"
        category = editor.asking.category(row.tag)
        words, tone = CATEGORIES.get(category, ("", ""))
        return (_(words), tone) if words and category != "general" else ("", tone)

    def _columns(self, found: list[TagRow]) -> tuple[Column, ...]:
        """The columns that these tags need."""
        if found and found[0].of > 1:
            return (*TAG_COLUMNS, Column(2 * len(count(found[0].of)) + 1, align="right", since=24), *BAR_COLUMNS)
        weights = (WEIGHT_COLUMN,) if any(row.weight for row in found) else ()
        kinds = (KIND_COLUMN,) if any(self._kind(row)[0] for row in found) else ()
        return (*TAG_COLUMNS, *weights, *kinds)

    def word_cells(self, index: int) -> list[Cell]:
        """A row of the vocabulary."""
        if index >= len(self._vocabulary):
            return [Cell("")]
        row = self._vocabulary[index]
        editor = self._editor
        scoped = len(self.pane("vocab").columns) == len(word_columns(scoped=True))
        _words, tone = CATEGORIES.get(editor.asking.category(row.tag) if editor is not None else "", ("", ""))
        return [
            Cell(plain(row.tag), tone),
            *([Cell(count(row.in_scope), "accent")] if scoped else []),
            Cell(count(row.total), "muted"),
            Cell(self._bar(row.in_scope / self._most, 8), "muted"),
        ]

    # -- titles

    def show_reviews(self, *, columns: bool) -> None:
        """Other captions are reviewed now; with ``columns`` the first of all, or none any more."""
        files = self.pane("files")
        if columns:
            files.set_columns(file_columns(reviewed=bool(self.screen.reviews.marks)))
        files.reload()
        self.show_titles()

    def show_titles(self) -> None:
        """The lines above the panes."""
        editor, focus = self._editor, self.focus
        if self.screen.query_one_optional("#files-title") is None:
            return
        total = len(editor.corpus.entries) if editor is not None else 0
        shown = len(editor.visible) if editor is not None else 0
        of = _("{shown} of {total}").format(shown=count(shown), total=count(total)) if shown != total else count(total)
        if editor is not None and len(self.screen.roots()) > 1:  # which of the folders; Ctrl+K d chooses
            of += "  " + plain(editor.corpus.root.name, limit=20)
        of += self.screen.reviews.title()
        first = 3 if self.screen.reviews.marks else 2
        over = {first: _("tags"), first + 1: _("tokens")}
        self._title("files", _("FILES"), of if editor is not None else "", focus, over=over)
        marks = len(editor.marks) if editor is not None else 0
        number = self._number
        if marks:
            about = _("union of {marks} marked, {tags}").format(marks=count(marks), tags=count(number))
        else:
            name = plain(editor.entry(self.number).name, limit=40) if editor is not None and self.number >= 0 else ""
            about = f"{count(number)}  {name}"
        tabs = [] if marks else self.screen.variants.tabs()
        self._title("tags", _("TAGS"), about, focus, tabs)
        words = f"  {plain(self.words, limit=20)}" if self.words else ""
        over = {1: _("shown"), 2: _("in all")} if editor is not None and editor.shown is not None else {}
        title, remark = self.screen.prose.title()
        self._title("vocab", title, count(len(self._vocabulary)) + words + remark, focus, over=over)
        view, others = self.screen.look.title(self.screen.query_one("#look-title").size.width)
        self._title("look", view, others, "")

    def _title(
        self,
        name: str,
        title: str,
        rest: str,
        focus: str,
        before: Sequence[Cell] = (),
        over: Mapping[int, str] | None = None,
    ) -> None:
        """``before`` stands between title and rest, ``over`` above the columns of the list."""
        cells = [Cell(title, "focus" if name == focus else ""), Cell("  "), *before, Cell(rest, "muted")]
        if over and rest:
            cells.append(Cell(self.pane(name).over_columns(over, sum(cell_len(cell.text) for cell in cells)), "muted"))
        self.screen.query_one(f"#{name}-title", Lines).show([cells])


def _with_borders(found: list[TagRow]) -> list[TagRow | None]:
    """The tags with none where one zone ends and another begins; the tags of several images have no zones."""
    if found and found[0].of > 1:
        return list(found)
    rows: list[TagRow | None] = []
    for before, row in zip([None, *found], found, strict=False):
        if before is not None and before.zone != row.zone:
            rows.append(None)
        rows.append(row)
    return rows


def _again(function: Callable[..., T], *given: object) -> T:
    """Call a function that counts while captions may change: a count that was disturbed is begun anew."""
    for _round in range(20):
        try:
            return function(*given)
        except RuntimeError:
            continue
    return function(*given)
