"""Editing on the parameter form: the editor of a value with its live check, switches, lists, undo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from textual import events

from lora_tui.config.validate import check_config
from lora_tui.errors import UserError
from lora_tui.text import _, plain
from lora_tui.tui.acting import keymap_of
from lora_tui.tui.cells import Cell
from lora_tui.tui.form import FormRow, groups
from lora_tui.tui.path_completion import complete_path
from lora_tui.tui.threads import in_thread
from lora_tui.tui.widgets.dialog import AskPath, Choice, Choose
from lora_tui.tui.widgets.form import FormPane
from lora_tui.tui.wording import error_words

if TYPE_CHECKING:
    from lora_tui.tui.screens.parameters import ParametersScreen

_NUMBERS = "0123456789.-"

MODEL_FILES = (".safetensors", ".ckpt")
"""Endings of the files that a setting for a file can name."""


class FormEditing:
    """The part of the form's screen that changes values.

    Attributes:
        live: what is said of the text in the open editor.
    """

    def __init__(self, screen: ParametersScreen) -> None:
        self._screen = screen
        self.live: Cell | None = None

    def refusal(self, action_id: str) -> str:
        """Why an edit cannot be made now; empty when it can."""
        row, form = self._screen.row, self._screen.form
        if action_id == "parameters.undo" and not form.can_undo and not self._screen.start.has_queued:
            return _("There is nothing to undo.")
        if action_id == "parameters.redo" and not form.can_redo:
            return _("There is nothing to do again.")
        if action_id == "parameters.remove" and (row is None or row.entry < 0):
            return _("This setting is no entry of a list.")
        if action_id == "parameters.browse" and (row is None or row.spec is None or not row.spec.option.path):
            return _("This setting is no file or folder.")
        if action_id == "parameters.next-problem" and not any(f.severity != "note" for f in form.findings or ()):
            return _("Nothing speaks against this run.")
        return ""

    # -- the editor

    def take_key(self, event: events.Key) -> None:
        """A digit on a number begins a new value at once. Keys typed ahead of the editor go into it."""
        screen, typed = self._screen, event.character or ""
        row, pane = screen.row, screen.pane
        if pane.editing:
            if event.is_printable and typed:
                event.stop()
                pane.insert(typed)
            return
        if not pane.rows.has_focus or row is None or row.spec is None or not typed or typed not in _NUMBERS:
            return
        keymap = keymap_of(screen.app)
        bound = any(event.key in keymap.keys(action.id) for action in keymap.actions.of(screen.ACTS))
        if row.spec.kind in ("int", "float") and not bound:
            event.stop()
            self._open_editor(row, typed, fresh=True)

    def action_edit(self) -> None:
        screen = self._screen
        row = screen.row
        if row is None:
            return
        spec = row.spec
        if row.kind == "entry":
            screen.form.fold(row)
            screen.show_rows(row)
        elif row.kind == "add":
            self.action_add()
        elif spec is not None and spec.kind == "choice" and len(spec.choices) > 2:
            options = [Choice(str(value), spec.label(value)) for value in spec.choices]
            dialog = Choose(_(spec.option.title), options, current=screen.form.edit_text(row))
            screen.app.push_screen(dialog, lambda text: self._put(row, text))
        elif spec is not None and spec.kind in ("bool", "choice"):
            self._turn(1)
        elif spec is not None and spec.option.path == "folder":
            self.action_browse()
        else:
            self._open_editor(row, screen.form.edit_text(row))

    def _open_editor(self, row: FormRow, text: str, *, fresh: bool = False) -> None:
        assert row.spec is not None
        number = row.spec.kind in ("int", "float")
        self._screen.pane.edit(text, narrow=number, fresh=fresh, path=bool(row.spec.option.path))
        self.judge(text)
        self._screen.refresh_keys()

    def judge(self, text: str) -> None:
        """Say beside the field what is wrong with the text, or what it would mean."""
        screen = self._screen
        row, form, rows = screen.row, screen.form, screen.pane.rows
        if row is None or row.spec is None:
            return
        complaint, marks = form.complaint(row, text), screen.shell.marks
        if complaint:
            self.live = Cell(f"{marks.of_severity('error')} {complaint}", "error")
        else:
            findings = check_config(form.candidate(row, text))
            found = next((f for f in findings if f.field == row.key and f.severity != "note"), None)
            tone = "error" if found is not None and found.severity == "error" else "warning"
            self.live = Cell(f"{marks.of_severity(found.severity)} {found.message}", tone) if found else None
        rows.reload_row(rows.cursor)
        screen.show_detail()

    async def complete(self, text: str, leave: bool) -> None:
        """Complete the path in the editor; say which names could follow, or go on where none does."""
        screen = self._screen
        base = screen.form.base or screen.workspace.root
        longer, names = (await in_thread(complete_path, text, base, MODEL_FILES)) if text else (text, [])
        if not screen.pane.editing or screen.pane.text != text:
            return  # typed on meanwhile
        if longer != text:
            screen.pane.replace(longer)
        elif leave and len(names) < 2:
            screen.pane.leave()
        if len(names) > 1:
            self.live = Cell(plain("  ".join(names)), "muted")
            screen.show_detail()

    def done(self, event: FormPane.Done) -> None:
        """The editor asks to close: take its text or leave it, and go on as the key says."""
        screen = self._screen
        if event.accept and not self._accept(event.text):
            return
        self._close()
        screen.reload()
        if event.by:
            screen.pane.rows.cursor += event.by
            row = screen.row
            if event.edit and row is not None and row.spec is not None and row.spec.kind not in ("bool", "choice"):
                self.action_edit()

    def drop(self) -> None:
        """Close an open editor without its text: another configuration is there now."""
        if self._screen.pane.editing:
            self._close()

    def _close(self) -> None:
        self.live = None
        self._screen.pane.close()

    def _accept(self, text: str) -> bool:
        """Take the text into the row; false, with the reason beside it, when it is not allowed."""
        row = self._screen.row
        if row is None:
            return True
        if self._screen.form.complaint(row, text):
            self.judge(text)
            self._screen.app.bell()
            return False
        self._put(row, text)
        return True

    def commit(self) -> bool:
        """Close an open editor with its text; false when the text is not allowed."""
        pane = self._screen.pane
        if not pane.editing:
            return True
        if not self._accept(pane.text):
            return False
        self._close()
        return True

    # -- values

    def _put(self, row: FormRow, text: str | None) -> None:
        if text is None:
            return
        try:
            if self._screen.form.set(row, text):
                self._screen.edited(row)
        except UserError as error:
            self._screen.tell(error_words(error), "error")

    def _turn(self, by: int) -> None:
        screen = self._screen
        row = screen.row
        if row is None:
            return
        if row.kind == "entry":
            screen.form.fold(row)
            screen.show_rows(row)
        elif screen.form.turn(row, by):
            screen.edited(row)

    def action_turn_on(self) -> None:
        self._turn(1)

    def action_turn_back(self) -> None:
        self._turn(-1)

    def action_reset(self) -> None:
        screen = self._screen
        row = screen.row
        if row is not None and screen.form.reset(row):
            value = screen.form.value(row).text
            screen.edited(row)
            screen.tell(_("{name}: back to {value}").format(name=screen.form.title(row).strip(), value=value))
        else:
            screen.tell(_("This is its default."))

    def action_undo(self) -> None:
        if self._screen.start.has_queued:  # nothing was changed since
            self._screen.start.take_back()
            return
        what = self._screen.form.undo()
        self._show_touched()
        self._screen.tell(_("undone: {what}").format(what=what))

    def action_redo(self) -> None:
        what = self._screen.form.redo()
        self._show_touched()
        self._screen.tell(_("done again: {what}").format(what=what))

    def _show_touched(self) -> None:
        """Put the cursor on the setting that was taken back, wherever it is."""
        screen = self._screen
        key, rows = screen.form.touched, screen.form.rows()
        row = next((row for row in rows if row.key == key), None) if key else screen.row
        if row is None:
            screen.close_search()
            row = screen.form.row_of(key)
        screen.edited(row)

    # -- lists, files and folders

    def action_add(self) -> None:
        screen = self._screen
        row = screen.row
        here = groups()[row.group if row else screen.form.group].sections
        section = next((section.name for section in here if section.repeated), "")
        if section == "datasets":
            dialog = AskPath(_("Add a folder of images"), screen.workspace.root, folders_only=True)
            screen.app.push_screen(dialog, self._add_folder)
        elif section:
            self._added(screen.form.add(section))
        else:
            screen.tell(_("Entries are added under Dataset and Samples."), "warning")

    def _add_folder(self, path: Path | None) -> None:
        if path is not None:
            self._added(self._screen.form.add("datasets", path=str(path)))

    def _added(self, row: FormRow) -> None:
        screen = self._screen
        screen.close_search()
        screen.edited(row)
        if row.section == "samples":
            screen.call_after_refresh(self._edit_row, row)

    def _edit_row(self, row: FormRow) -> None:
        if self._screen.row is not None and self._screen.row.key == row.key:
            self.action_edit()

    def action_remove(self) -> None:
        row = self._screen.row
        if row is not None and self._screen.form.remove(row):
            self._screen.edited(row)

    def action_browse(self) -> None:
        screen = self._screen
        row = screen.row
        if row is None or row.spec is None:
            return
        folder = row.spec.option.path == "folder"
        suffixes = () if folder else MODEL_FILES
        now, start = Path(screen.form.edit_text(row) or "."), screen.workspace.root
        if now.is_dir():
            start = now
        elif now.is_absolute() and now.parent.is_dir():
            start = now.parent
        dialog = AskPath(_(row.spec.option.title), start, folders_only=folder, suffixes=suffixes)
        screen.app.push_screen(dialog, lambda path: self._put(row, str(path) if path else None))
