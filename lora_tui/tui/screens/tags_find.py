"""What finds in the tag editor: filter, marks, panes, the line at the bottom and the commands typed into it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection
from functools import partial
from typing import TYPE_CHECKING

from lora_tui.captions.quoting import quoted
from lora_tui.errors import UserError
from lora_tui.text import _, count, ngettext, plain
from lora_tui.tui.mishap import failure_words
from lora_tui.tui.tags.editor import AT_ONCE, Stretch
from lora_tui.tui.tags.foretold import foretold
from lora_tui.tui.tags.kept import History
from lora_tui.tui.tags.offers import COMMANDS, Offering, filter_offers
from lora_tui.tui.threads import in_stoppable_thread, in_thread, start_job
from lora_tui.tui.widgets.prompt import Prompt
from lora_tui.tui.widgets.virtual_list import VirtualList

if TYPE_CHECKING:
    from lora_tui.tui.screens.tags import TagsScreen
    from lora_tui.tui.tags.editor import Editor

TYPING_SECONDS = 0.12
"""How long typing rests before the filter is tried."""

PANES = ("files", "tags", "vocab")


class Finding:
    """Where to look and what to choose."""

    def __init__(self, screen: TagsScreen) -> None:
        self.screen = screen
        self._histories = {kind: History(kind) for kind in ("filter", "command", "tags")}
        self._done: Callable[[str], object] = lambda _text: None
        self._kind = ""
        self._focus = "files"
        self._would: Callable[[str], tuple[str, Stretch]] | None = None
        self._about: Callable[[str], str] | None = None
        self._taken_twice = ""
        #: The image under the cursor before the list became empty, and in whose numbers.
        self._left: tuple[Editor | None, int] = (None, -1)

    @property
    def _editor(self) -> Editor:
        assert self.screen.editor is not None
        return self.screen.editor

    @property
    def _prompt(self) -> Prompt:
        return self.screen.query_one(Prompt)

    # -- the line at the bottom

    def ask(
        self,
        label: str,
        done: Callable[[str], object],
        *,
        kind: str,
        value: str = "",
        offers: Offering | None = None,
        final: bool = False,
        would: Callable[[str], tuple[str, Stretch]] | None = None,
        about: Callable[[str], str] | None = None,
        selected: bool = True,
    ) -> None:
        """Ask for a line; ``done`` gets it.

        Args:
            kind: ``filter``, ``command``, ``tags`` or ``find``.
            would: the operation that a line means, and on what; what it would change is told while it is typed.
            about: what is to be said of the line itself.
            selected: whether typing replaces ``value``; else it goes on behind it.
        """
        self._about = about
        self._would = would
        self._done, self._kind, self._focus = done, kind, self.screen.panes.focus
        before = self._histories[kind].lines if kind in self._histories else ()
        self._prompt.ask(label, value=value, offers=offers, before=before, final=final, selected=selected)
        self.screen.refresh_keys()

    @property
    def pane(self) -> str:
        """The pane that has the focus, or that the line which is asked has it from."""
        return self._focus if self._prompt.is_open else self.screen.panes.focus

    def leave_prompt(self) -> None:
        """Esc: nothing is taken."""
        self._prompt.close()
        self.screen.refresh_keys()
        if self._kind == "find":
            self.screen.panes.find("")
        self._to(self._focus)

    def done(self, text: str) -> None:
        """Enter. Keys that were typed ahead wait for what comes of it, and go with a line that is refused."""
        if self._kind == "filter":
            self.screen.guide(partial(self._filter_typed, text))
            return
        if self._kind == "command" and (problem := self._flaw(text)) is not None:
            self._refuse(problem)
            return
        self._prompt.close()
        self._to(self._focus)
        if self._kind in self._histories:
            self._histories[self._kind].add(text)
        self._done(text)

    def typed(self, text: str) -> None:
        """Another letter: the filter is tried, a command is checked."""
        if not self._prompt.is_open:
            return
        if self._kind == "filter":
            start_job(self.screen, partial(self._try_filter, text), "try")
        elif self._kind == "find":
            self.screen.panes.find(text)
        elif self._kind == "command":
            problem = self._flaw(text) if text.strip() else None
            name = text.strip().partition(" ")[0]
            if problem is None and name in COMMANDS and name != "s":
                self._prompt.remark(_(COMMANDS[name]))
            elif problem is not None:
                self.say_error(problem)
            else:
                self._foretell(text)
        elif self._kind == "tags":
            self._foretell(text)

    def _flaw(self, text: str) -> Exception | None:
        """What is wrong with a typed command."""
        try:
            return self.screen.commands.check(text)
        except Exception as error:
            return error

    def _foretell(self, text: str) -> None:
        """Say what a line would change, once typing rests."""
        self._prompt.remark(self._about(text) if self._about is not None else "", "warning")
        if self._would is not None and text.strip():
            start_job(self.screen, partial(self._try_edit, text, *self._would(text)), "try")

    async def _try_edit(self, text: str, operation: str, stretch: Stretch) -> None:
        await asyncio.sleep(TYPING_SECONDS)
        if not operation or len(stretch.numbers) > AT_ONCE:
            return
        stop = threading.Event()
        try:
            found = await in_thread(self._editor.prepare, operation, stretch, stop.is_set)
            words, tone = foretold(found), "muted"
        except UserError as error:
            if error.code != "captions.regex_slow":
                return  # a line that is half typed; Enter tells what is wrong with it
            words, tone = failure_words(self.screen.shell, error), "warning"
        except Exception as error:
            words, tone = failure_words(self.screen.shell, error), "error"
        finally:
            stop.set()  # typed on: nobody waits for it any more
        if self._prompt.is_open and self._prompt.value == text:
            about = self._about(text) if self._about is not None else ""
            self._prompt.remark(f"{about}   {words}" if about else words, "warning" if about else tone)

    def _refuse(self, error: Exception) -> None:
        """The line cannot be done: say why; what was typed for after it is not meant for the line."""
        self.screen.shell.forget_keys()
        self.say_error(error)

    def say_error(self, error: Exception) -> None:
        """Say below the line what is wrong with it."""
        if not isinstance(error, UserError):
            self._prompt.remark(failure_words(self.screen.shell, error), "error")
            return
        column = getattr(error, "column", -1)
        words = error.message if not error.remedy else f"{error.message} {error.remedy}"
        self._prompt.remark(plain(words), "warning", column)

    # -- filter

    def action_filter(self) -> None:
        if self.screen.panes.focus == "vocab":
            self.action_find()
            return
        editor = self._editor
        self.ask(
            _("filter"),
            lambda _text: None,
            kind="filter",
            value=editor.filter,
            offers=filter_offers(editor.asking.completer),
        )

    async def _try_filter(self, text: str) -> None:
        await asyncio.sleep(TYPING_SECONDS)
        editor = self._editor
        if not text.strip():
            self._prompt.remark(_("Such as: 1girl -solo, is:untagged, tags>40, tokens>75, pos(smile)=1"))
            return
        try:
            found = await in_stoppable_thread(editor.select, text)
            hint = await in_thread(editor.hints if found else editor.hint_of_nothing, text)
        except Exception as error:
            if self._prompt.value == text:
                self.say_error(error)
            return
        if self._prompt.value == text and found is not None:
            shown = ngettext("{count} image", "{count} images", len(found)).format(count=count(len(found)))
            self._prompt.remark(f"{shown}   {hint}" if hint else shown)

    async def _filter_typed(self, text: str) -> None:
        editor = self._editor
        try:
            found = await in_stoppable_thread(editor.select, text)
        except Exception as error:
            self._refuse(error)
            return
        if found is not None and not found and editor.joined(text) and text != self._taken_twice:
            self._taken_twice = text  # once more, and it is meant so
            self.screen.shell.forget_keys()
            self._prompt.remark(await in_thread(editor.hint_of_nothing, text), "warning")
            return
        self._histories["filter"].add(text)
        self._prompt.close()
        self._to("files")
        if editor is self.screen.editor:
            self.take_filter(text, found)
            if not found and text.strip() and (hint := await in_thread(editor.hint_of_nothing, text)):
                self.screen.tell(hint, "warning")

    def take_filter(self, text: str, found: Collection[int] | None) -> None:
        """Show what a filter found; the cursor stays on its image where it can, else on the next that is there."""
        panes, editor = self.screen.panes, self._editor
        if panes.number >= 0:
            self._left = editor, panes.number
        editor.show(text, found)
        if editor.scope == "shown" and editor.shown is None:
            editor.scope = "here"
        of, number = self._left
        panes.show_all(editor.nearest(number) if of is editor else None)
        self.screen.refresh_keys()

    def filter_by(self, text: str) -> None:
        """Filter by a text that is right already."""
        self.screen.guide(partial(self._filter_by, text))

    async def _filter_by(self, text: str) -> None:
        try:
            found = await in_thread(self._editor.select, text)
        except Exception as error:
            self.screen.tell(failure_words(self.screen.shell, error), "error")
            return
        self.take_filter(text, found)

    def action_refilter(self) -> None:
        self.filter_by(self._editor.filter)

    def action_find(self) -> None:
        self._to("vocab")
        self.ask(_("find a tag"), lambda _text: None, kind="find", value=self.screen.panes.words)
        self._focus = "vocab"

    # -- marks

    def action_mark(self) -> None:
        panes, editor = self.screen.panes, self._editor
        if panes.number < 0:
            return
        editor.mark(panes.number)
        panes.refresh_tags()
        panes.pane("files").action_down()

    def action_mark_range(self) -> None:
        marked = self._editor.mark_range(self.screen.panes.number)
        self.screen.panes.refresh_tags()
        self.tell_marks(marked)

    def action_mark_all(self) -> None:
        editor = self._editor
        editor.marks.update(editor.visible)
        self.screen.panes.refresh_tags()
        self.tell_marks(len(editor.visible))

    def action_mark_invert(self) -> None:
        editor = self._editor
        editor.marks ^= set(editor.visible)
        self.screen.panes.refresh_tags()
        self.tell_marks(len(editor.marks))

    def action_mark_none(self) -> None:
        self._editor.marks.clear()
        self.screen.panes.refresh_tags()

    def tell_marks(self, marked: int) -> None:
        self.screen.tell(ngettext("{count} image marked", "{count} images marked", marked).format(count=count(marked)))

    def action_scope(self) -> None:
        self._editor.next_scope()
        self.screen.say()

    # -- moving

    def _to(self, pane: str) -> None:
        self.screen.set_focus(self.screen.query_one(f"#{pane if pane in (*PANES, 'scores') else 'files'}", VirtualList))

    def _step_pane(self, step: int) -> None:
        focus = self.screen.panes.focus
        panes = (*PANES, "scores") if self.screen.scores.on else PANES
        place = panes.index(focus) if focus in panes else 0
        self._to(panes[(place + step) % len(panes)])

    def action_next_pane(self) -> None:
        self._step_pane(1)

    def action_previous_pane(self) -> None:
        self._step_pane(-1)

    def action_pane_left(self) -> None:
        if self.screen.panes.focus == "tags":
            self._to("files")

    def action_pane_right(self) -> None:
        if self.screen.panes.focus in ("files", "vocab"):
            self._to("tags")

    def action_next_image(self) -> None:
        self.screen.panes.pane("files").action_down()

    def action_previous_image(self) -> None:
        self.screen.panes.pane("files").action_up()

    def go(self, step: int, wanted: Callable[[int], object], none: str) -> None:
        """To the next image of the list for which something holds; looks in a thread."""
        self.screen.guide(partial(self._go, step, wanted, none))

    async def _go(self, step: int, wanted: Callable[[int], object], none: str) -> None:
        editor, files = self._editor, self.screen.panes.pane("files")
        visible, start = editor.visible, files.cursor

        def look() -> int:
            for away in range(1, len(visible) + 1):
                place = (start + step * away) % len(visible)
                if wanted(visible[place]):
                    return place
            return -1

        place = await in_thread(look)
        if place >= 0 and visible is editor.visible:
            files.cursor = place
        elif place < 0:
            self.screen.tell(none, "success")

    def action_view(self) -> None:
        self.screen.look.turn()

    def action_zoom(self) -> None:
        self.screen.toggle_class("-zoom")
        self.screen.call_after_refresh(self.screen.look.show)

    def action_open(self) -> None:
        """Enter: what it does is said by where the cursor is."""
        screen, panes = self.screen, self.screen.panes
        if screen.edits.pending is not None:
            screen.edits.accept()
        elif panes.focus == "files":
            self.action_zoom()
        elif panes.focus == "vocab" and panes.tag:
            wanted = screen.prose.filter() if screen.prose.phrase else f"tag:{quoted(panes.tag)}"
            self.filter_by("" if self._editor.filter == wanted else wanted)
        elif panes.focus == "scores":
            screen.scores.action_accept_score()
        elif screen.writing.is_prose and not self._editor.marks:
            screen.writing.action_write()
        elif panes.tag:
            screen.verbs.action_rename()

    def action_order(self) -> None:
        self.screen.tell(_("vocabulary: {order}").format(order=self.screen.panes.next_order()))
