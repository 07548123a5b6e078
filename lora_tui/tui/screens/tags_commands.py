"""The command line of the tag editor: operations of the language, and commands of the editor itself."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

from lora_tui.captions.query.lexer import QueryError
from lora_tui.captions.query.saved import forget_filter, save_filter
from lora_tui.captions.verbs import VERBS
from lora_tui.captions.words import NoSuchVerb, OperationError, near
from lora_tui.errors import UserError
from lora_tui.text import _, plain
from lora_tui.tui.mishap import failure_words
from lora_tui.tui.screens.tags_variants import parsed
from lora_tui.tui.tags.editor import Stretch
from lora_tui.tui.tags.offers import COMMANDS, operation_offers, substitution
from lora_tui.tui.threads import in_thread
from lora_tui.tui.widgets.prompt import Prompt
from lora_tui.tui.wording import error_words

if TYPE_CHECKING:
    from lora_tui.tui.screens.tags import TagsScreen
    from lora_tui.tui.tags.editor import Editor


class Commands:
    """What is typed behind the colon."""

    def __init__(self, screen: TagsScreen) -> None:
        self.screen = screen

    @property
    def _editor(self) -> Editor:
        assert self.screen.editor is not None
        return self.screen.editor

    def action_command(self) -> None:
        self.ask()

    def ask(self, value: str = "") -> None:
        """Ask for a command, with one begun."""
        editor = self._editor
        spoken = editor.stretch(self.screen.panes.number).spoken
        offers = operation_offers(editor.asking.completer)

        def would(text: str) -> tuple[str, Stretch]:
            return substitution(text) or text.strip(), editor.stretch(self.screen.panes.number)

        self.screen.finding.ask(
            f": ({spoken})", self.command, kind="command", value=value, offers=offers, would=would, selected=False
        )
        if not value:
            self.screen.query_one(Prompt).remark(_("“help” lists all of them, with a search."))

    def check(self, text: str) -> UserError | None:
        """What is wrong with a command, none when it can be done."""
        from lora_tui.captions.language import parse_operation

        name, _blank, rest = text.strip().partition(" ")
        try:
            if name in ("filter", "mark", "unmark"):
                if rest.strip():
                    self._editor.hints(rest)
            elif name in ("undo", "redo"):
                if rest.strip() not in ("", "all") and not rest.strip().isdecimal():
                    return OperationError(_("A number is expected here."), len(name) + 1)
            elif name == "revert":
                what = rest.strip()
                if not (what.isdecimal() or what == "file" or what.startswith("tag ")):
                    return OperationError(_("A number, file, or tag with a tag is expected here."), len(name) + 1)
            elif name == "ending":
                if rest.strip():
                    parsed(rest)
            elif name == "quick":
                if rest.partition(" ")[0] not in tuple("123456789"):
                    return OperationError(_("A digit from 1 to 9 is expected here."), len(name) + 1)
            elif name in ("save-filter", "pin-filter", "forget-filter"):
                if not rest.strip():
                    return OperationError(_("A name is expected here."), len(name) + 1)
            elif name in ("w", "diff", "sheet", "help") or substitution(text):
                if substitution(text):
                    parse_operation(substitution(text))
            else:
                parse_operation(text, folder=self._editor.corpus.root)
        except NoSuchVerb as error:
            meant = near(error.word, [*VERBS, *COMMANDS])
            remedy = _("Did you mean “{word}”?").format(word=meant) if meant else _("“help” lists what there is.")
            return OperationError(error.message, error.column, remedy=remedy)
        except QueryError as error:
            return OperationError(error.message, error.column + len(name) + 1, remedy=error.remedy)
        except OperationError as error:
            inner = name == "ending"  # what is wrong lies behind the name of the command
            return OperationError(error.message, error.column + len(name) + 1, remedy=error.remedy) if inner else error
        except UserError as error:
            return error
        return None

    def command(self, text: str) -> None:
        """Do a typed command on the scope."""
        name, _blank, rest = text.strip().partition(" ")
        rest = rest.strip()
        if not name:
            return
        if name in COMMANDS and name != "s":
            self._command(name, rest)
        else:
            self.screen.edits.run(substitution(text) or text.strip())

    def _command(self, name: str, rest: str) -> None:
        edits = self.screen.edits
        if name == "filter":
            self.screen.finding.filter_by(rest)
        elif name in ("mark", "unmark"):
            self.screen.guide(partial(self._mark_found, rest, name == "mark"))
        elif name in ("undo", "redo"):
            way: Literal["undo", "redo"] = "undo" if name == "undo" else "redo"
            if rest == "all":
                self.screen.guide(partial(self.screen.turns.turn_all, way))
            else:
                self.screen.turns.turn(way, int(rest or 1))
        elif name == "ending":
            self.screen.variants.command(rest)
        elif name == "w":
            edits.action_save()
        elif name == "save-filter":
            self.keep_filter(rest)
        elif name == "pin-filter":
            self.keep_filter(rest, pinned=True)
        elif name == "quick":
            digit, _blank, tag = rest.partition(" ")
            self.screen.again.put(digit, tag.strip().strip('"'))
        elif name == "forget-filter":
            self._forget_filter(rest)
        elif name == "help":
            self.screen.guide(self._help)
        elif name == "diff":
            self.screen.past.action_diff()
        elif name == "sheet":
            self.screen.guides.action_sheet()
        elif name == "revert":
            self._revert(rest)

    def _revert(self, what: str) -> None:
        past = self.screen.past
        if what.isdecimal():
            past.revert(int(what))
        elif what == "file":
            past.action_undo_file()
        else:
            past.undo_tag(what.removeprefix("tag ").strip().strip('"'))

    async def _mark_found(self, text: str, on: bool) -> None:
        editor = self._editor
        try:
            found = await in_thread(editor.select, text)
        except Exception as error:
            self.screen.tell(failure_words(self.screen.shell, error), "error")
            return
        numbers = set(range(len(editor.corpus.entries))) if found is None else found
        editor.marks = editor.marks | numbers if on else editor.marks - numbers
        self.screen.panes.refresh_tags()
        self.screen.finding.tell_marks(len(editor.marks))

    async def _help(self) -> None:
        from lora_tui.tui.screens.tags_operations import OperationsHelp

        name = await self.screen.app.push_screen_wait(OperationsHelp())
        if name is not None:
            self.ask(name + " ")

    def _forget_filter(self, name: str) -> None:
        try:
            forget_filter(self._editor.asking.folder, name)
        except UserError as error:
            self.screen.tell(error_words(error), "error")
            return
        self.screen.tell(_("The filter {name} is kept no longer.").format(name=plain(name)), "success")

    def keep_filter(self, name: str, *, pinned: bool = False) -> None:
        """Keep the filter in use under a name, or the images that it finds now."""
        editor = self._editor
        if not editor.filter and not pinned:
            self.screen.tell(_("There is no filter that could be kept."), "warning")
            return
        try:
            images = [editor.entry(number).name for number in editor.visible] if pinned else None
            save_filter(editor.asking.folder, name, editor.filter, images=images)
        except UserError as error:
            self.screen.tell(error_words(error), "error")
            return
        kept = _("These images are kept: in:@{name}") if pinned else _("The filter is kept: in:@{name}")
        self.screen.tell(kept.format(name=plain(name)), "success")
