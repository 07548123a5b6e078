"""Edits that another program's change kept out: shown side by side, merged or dropped as a person decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size
from textual import on
from textual.app import ComposeResult

from lora_tui.captions.conflicts import Conflict, Way, conflicts, settle
from lora_tui.captions.document import CaptionDocument
from lora_tui.errors import UserError
from lora_tui.text import N_, _, count, ngettext, plain
from lora_tui.tui.acting import hints_of
from lora_tui.tui.actions import CONFLICTS
from lora_tui.tui.cells import Cell, wrap
from lora_tui.tui.tags.past import difference, in_words
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.widgets.dialog import Dialog
from lora_tui.tui.widgets.footer import KeyHint
from lora_tui.tui.widgets.lines import Line, Lines
from lora_tui.tui.widgets.virtual_list import Column, VirtualList
from lora_tui.tui.wording import error_words

if TYPE_CHECKING:
    from lora_tui.tui.screens.tags import TagsScreen
    from lora_tui.tui.tags.editor import Editor

WORDS: dict[Way, str] = {"merge": N_("both"), "ours": N_("edit"), "theirs": N_("disk")}
"""What becomes of a file, in a word."""

LABEL = 9
"""Cells in front of each of the states of a caption."""


class Conflicts:
    """The edits of the open folder that wait."""

    def __init__(self, screen: TagsScreen) -> None:
        self.screen = screen
        #: How many captions have an edit that waits.
        self.number = 0

    @property
    def _editor(self) -> Editor:
        assert self.screen.editor is not None
        return self.screen.editor

    def learn(self) -> None:
        """Count what waits, in a thread, and say it on the status line."""
        if self.screen.editor is not None:
            start_job(self.screen, self._learn, "conflicts")

    async def _learn(self) -> None:
        editor = self._editor
        number = await in_thread(_count, editor)
        if editor is self.screen.editor and number != self.number:
            self.number = number
            self.screen.say()

    def action_conflicts(self) -> None:
        self.screen.guide(self._settle)

    async def _settle(self) -> None:
        """Show what waits, and do what is chosen."""
        editor = self._editor
        self.screen.work(_("Comparing with the files on disk."))
        try:
            found = await in_thread(_found, editor)
        except UserError as error:
            self.screen.tell(error_words(error), "error")
            return
        finally:
            self.screen.work("")
        self.screen.panes.refresh_tags()
        if not found:
            self.number = 0
            self.screen.say()
            self.screen.tell(_("No edit waits."), "success")
            return
        chosen = await self.screen.app.push_screen_wait(ConflictDialog(found))
        if chosen and editor is self.screen.editor:
            await self._do(editor, chosen)

    async def _do(self, editor: Editor, chosen: list[tuple[Conflict, Way]]) -> None:
        self.screen.work(_("Changing {count} captions.").format(count=count(len(chosen))))
        try:
            done = await in_thread(settle, editor.session, chosen, editor.author)
        finally:
            self.screen.work("")
        editor.under_way.append(done)
        self.screen.panes.refresh_tags()
        number = len(chosen) - len(done.conflicts)
        text = ngettext("{count} caption settled", "{count} captions settled", number).format(count=count(number))
        key = self.screen.shell.keymap.shown("tags.undo")
        self.screen.tell(_("{done}   {key} undo").format(done=text, key=key), "success")
        await in_thread(done.finished.wait)
        self.learn()


def _count(editor: Editor) -> int:
    try:
        return len(conflicts(editor.session))
    except UserError:
        return 0


def _found(editor: Editor) -> list[Conflict]:
    """What waits, with the captions in memory as they are on disk now."""
    editor.settle()
    found = conflicts(editor.session)
    numbers = editor.corpus.captions()
    names = (editor.session.local_name(one.name) for one in found)
    editor.corpus.refresh([numbers[name] for name in names if name in numbers])
    return found


class ConflictDialog(Dialog[list[tuple[Conflict, Way]]]):
    """Dismissed with the captions that were decided, and how."""

    ALSO = CONFLICTS
    DEFAULT_CSS = """
    ConflictDialog > #box { width: 96%; height: 92%; }
    ConflictDialog VirtualList { height: 1fr; max-height: 100%; }
    ConflictDialog #sides { height: 8; margin-top: 1; }
    """

    def __init__(self, found: list[Conflict]) -> None:
        title = ngettext(
            "{count} caption was edited here and changed by another program",
            "{count} captions were edited here and changed by another program",
            len(found),
        )
        super().__init__(
            title.format(count=count(len(found))),
            _("Choose what becomes of each; nothing is written before Enter, and undo takes it back."),
        )
        self._found = found
        self._ways: list[Way | None] = [one.ways[0] if "merge" in one.ways else None for one in found]
        self.accept_words = _("apply")

    def compose_body(self) -> ComposeResult:
        columns = [Column(6), Column(14, share=1, most=30, cut="middle"), Column(20, share=3)]
        yield VirtualList(columns, self._row, count=len(self._found), id="found")
        yield Lines(id="sides")

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one(VirtualList).focus()
        self.call_after_refresh(self._say)

    def hints(self) -> list[KeyHint]:
        found = super().hints()
        found[1:1] = hints_of(self.app, CONFLICTS)
        return found

    def _row(self, index: int) -> list[Cell]:
        one, way = self._found[index], self._ways[index]
        name = Cell(plain(one.name.rpartition("/")[2]))
        if one.problem:
            return [Cell("x", "error"), name, Cell(one.problem, "error")]
        if way is None:
            return [Cell("?", "warning"), name, Cell(_("both changed the same words: choose"), "warning")]
        content = one.content(way)
        words = in_words(one.theirs, content) if content != one.theirs else _("stays as it is on disk")
        return [Cell(_(WORDS[way]), "accent"), name, Cell(words, "" if content != one.theirs else "muted")]

    @on(VirtualList.Moved)
    def _moved(self, event: VirtualList.Moved) -> None:
        event.stop()
        self._say()

    @on(Lines.Resized)
    def _resized(self) -> None:
        self._say()

    def _say(self) -> None:
        """The states of the caption under the cursor."""
        index, panel = self.query_one(VirtualList).cursor, self.query_one("#sides", Lines)
        if not 0 <= index < len(self._found) or not panel.size.width:
            return
        one, way = self._found[index], self._ways[index]
        lines: list[Line] = []
        room = max(panel.size.width - LABEL - 1, 20)
        for label, raw in ((_("before"), one.base), (_("edit"), one.ours), (_("disk"), one.theirs)):
            changed = [] if raw == one.base else difference(one.base, raw)
            cells = [Cell(text, tone) for text, tone in changed] or [Cell(_readable(raw), "muted")]
            lines += _labelled(label, cells, room)
        if way is not None:
            lines += _labelled(_("becomes"), [Cell(_readable(one.content(way)))], room)
        panel.show(lines[: panel.size.height])

    def _choose(self, way: Way, *, everywhere: bool = False) -> None:
        rows = self.query_one(VirtualList)
        for index in range(len(self._found)) if everywhere else (rows.cursor,):
            if 0 <= index < len(self._found) and way in self._found[index].ways:
                self._ways[index] = way
        rows.reload()
        self._say()
        if not everywhere:
            rows.action_down()

    def action_merge(self) -> None:
        self._choose("merge")

    def action_ours(self) -> None:
        self._choose("ours")

    def action_theirs(self) -> None:
        self._choose("theirs")

    def action_merge_all(self) -> None:
        self._choose("merge", everywhere=True)

    def action_ours_all(self) -> None:
        self._choose("ours", everywhere=True)

    def action_theirs_all(self) -> None:
        self._choose("theirs", everywhere=True)

    def action_wait(self) -> None:
        """Decide nothing about this one."""
        rows = self.query_one(VirtualList)
        if 0 <= rows.cursor < len(self._found):
            self._ways[rows.cursor] = None
            rows.reload()
            self._say()

    def refusal(self, action_id: str) -> str:
        index = self.query_one(VirtualList).cursor
        if action_id == "conflicts.merge" and 0 <= index < len(self._found) and self._found[index].merged is None:
            return _("Both changed the same words: choose the edit, or what is on disk.")
        return ""

    def action_accept(self) -> None:
        self.dismiss([(one, way) for one, way in zip(self._found, self._ways, strict=True) if way is not None])


def _readable(raw: bytes | None) -> str:
    return _("(no caption)") if raw is None else plain(CaptionDocument.parse(raw).text.rstrip("\r\n"))


def _labelled(label: str, cells: list[Cell], room: int) -> list[Line]:
    """One state of a caption in a few lines, its name in front of the first."""
    lines: list[list[Cell]] = [[]]
    used = 0
    for cell in cells:
        width = cell_len(cell.text)
        if used and used + width > room:
            lines.append([])
            used = 0
        first, *rest = wrap(cell.text, room, lines=2)
        lines[-1] += [Cell("  ")] * bool(used) + [Cell(first, cell.tone)]
        lines += [[Cell(piece, cell.tone)] for piece in rest]
        used += width + 2 if not rest else room
    names = [set_cell_size(label, LABEL), *[" " * LABEL] * (len(lines) - 1)]
    return [[Cell(name, "strong"), *line] for name, line in zip(names, lines, strict=True)]
