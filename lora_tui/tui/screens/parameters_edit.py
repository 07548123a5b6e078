"""Editing on the parameter form: the editor of a value with its live check, switches, lists, undo."""

from __future__ import annotations

from pathlib import Path

from textual import events, on

from lora_tui.config.validate import check_config
from lora_tui.errors import UserError
from lora_tui.text import _, plain
from lora_tui.tui.acting import keymap_of
from lora_tui.tui.cells import Cell
from lora_tui.tui.form import FormRow, groups
from lora_tui.tui.screens.parameters_work import ParametersWork
from lora_tui.tui.widgets.dialog import AskPath, Choice, Choose
from lora_tui.tui.widgets.form import FormPane

_NUMBERS = "0123456789.-"


class ParametersEdit(ParametersWork):
    """The part of the form's screen that changes values."""

    def __init__(self) -> None:
        super().__init__()
        self.live: Cell | None = None

    @property
    def pane(self) -> FormPane:
        """The rows and their editor."""
        return self.query_one(FormPane)

    @property
    def row(self) -> FormRow | None:
        """The row under the cursor."""
        raise NotImplementedError

    def show_rows(self, row: FormRow | None = None) -> None:
        """Show the rows again, with the cursor on ``row``."""
        raise NotImplementedError

    def close_search(self) -> None:
        """Put the field of the search away."""
        raise NotImplementedError

    def show_detail(self) -> None:
        """Draw the help of the row again."""
        raise NotImplementedError

    def reload(self) -> None:
        """Draw everything that depends on values and findings."""
        raise NotImplementedError

    def refusal(self, action_id: str) -> str:
        row = self.row
        if action_id == "parameters.undo" and not self.form.can_undo:
            return _("There is nothing to undo.")
        if action_id == "parameters.redo" and not self.form.can_redo:
            return _("There is nothing to do again.")
        if action_id == "parameters.remove" and (row is None or row.entry < 0):
            return _("This setting is no entry of a list.")
        if action_id == "parameters.browse" and (row is None or row.spec is None or not row.spec.option.path):
            return _("This setting is no file or folder.")
        if action_id == "parameters.next-problem" and not any(f.severity != "note" for f in self.form.findings or ()):
            return _("Nothing speaks against this run.")
        return ""

    def on_key(self, event: events.Key) -> None:
        """A digit on a number begins a new value at once. Keys typed ahead of the editor go into it."""
        row, typed = self.row, event.character or ""
        if self.pane.editing:
            if event.is_printable and typed:
                event.stop()
                self.pane.insert(typed)
            return
        if not self.pane.rows.has_focus or row is None or row.spec is None or not typed or typed not in _NUMBERS:
            return
        keymap = keymap_of(self.app)
        bound = any(event.key in keymap.keys(action.id) for action in keymap.actions.of(self.ACTS))
        if row.spec.kind in ("int", "float") and not bound:
            event.stop()
            self._open_editor(row, typed, fresh=True)

    def action_edit(self) -> None:
        row = self.row
        if row is None:
            return
        spec = row.spec
        if row.kind == "entry":
            self.form.fold(row)
            self.show_rows(row)
        elif row.kind == "add":
            self.action_add()
        elif spec is not None and spec.kind == "choice" and len(spec.choices) > 2:
            options = [Choice(str(value), spec.label(value)) for value in spec.choices]
            dialog = Choose(_(spec.option.title), options, current=self.form.edit_text(row))
            self.app.push_screen(dialog, lambda text: self._put(row, text))
        elif spec is not None and spec.kind in ("bool", "choice"):
            self._turn(1)
        elif spec is not None and spec.option.path == "folder":
            self.action_browse()
        else:
            self._open_editor(row, self.form.edit_text(row))

    def _open_editor(self, row: FormRow, text: str, *, fresh: bool = False) -> None:
        assert row.spec is not None
        self.pane.edit(text, narrow=row.spec.kind in ("int", "float"), fresh=fresh)
        self._judge(text)
        self.refresh_keys()

    @on(FormPane.Typed)
    def _typed(self, event: FormPane.Typed) -> None:
        event.stop()
        self._judge(event.text)

    def _judge(self, text: str) -> None:
        """Say beside the field what is wrong with the text, or what it would mean."""
        row = self.row
        if row is None or row.spec is None:
            return
        complaint = self.form.complaint(row, text)
        if complaint:
            self.live = Cell(f"! {complaint}", "error")
        else:
            findings = check_config(self.form.candidate(row, text))
            found = next((f for f in findings if f.field == row.key and f.severity != "note"), None)
            tone = "error" if found is not None and found.severity == "error" else "warning"
            self.live = Cell(f"! {found.message}", tone) if found else None
        self.pane.rows.reload_row(self.pane.rows.cursor)
        self.show_detail()

    @on(FormPane.Done)
    def _done(self, event: FormPane.Done) -> None:
        event.stop()
        if event.accept and not self._accept(event.text):
            return
        self.live = None
        self.pane.close()
        self.reload()
        if event.by:
            self.pane.rows.cursor += event.by
            row = self.row
            if event.edit and row is not None and row.spec is not None and row.spec.kind not in ("bool", "choice"):
                self.action_edit()

    def _accept(self, text: str) -> bool:
        """Take the text into the row; false, with the reason beside it, when it is not allowed."""
        row = self.row
        if row is None:
            return True
        if self.form.complaint(row, text):
            self._judge(text)
            self.app.bell()
            return False
        self._put(row, text)
        return True

    def commit(self) -> bool:
        """Close an open editor with its text; false when the text is not allowed."""
        if not self.pane.editing:
            return True
        if not self._accept(self.pane.text):
            return False
        self.live = None
        self.pane.close()
        return True

    def _put(self, row: FormRow, text: str | None) -> None:
        if text is None:
            return
        try:
            if self.form.set(row, text):
                self.edited(row)
        except UserError as error:
            self.tell(plain(str(error)), "error")

    def _turn(self, by: int) -> None:
        row = self.row
        if row is None:
            return
        if row.kind == "entry":
            self.form.fold(row)
            self.show_rows(row)
        elif self.form.turn(row, by):
            self.edited(row)

    def action_turn_on(self) -> None:
        self._turn(1)

    def action_turn_back(self) -> None:
        self._turn(-1)

    def action_reset(self) -> None:
        if self.row is not None and self.form.reset(self.row):
            self.edited(self.row)

    def action_undo(self) -> None:
        what = self.form.undo()
        self.edited(self.row)
        self.tell(_("undone: {what}").format(what=what))

    def action_redo(self) -> None:
        what = self.form.redo()
        self.edited(self.row)
        self.tell(_("done again: {what}").format(what=what))

    def action_add(self) -> None:
        row = self.row
        repeated = [
            section.name for section in groups()[row.group if row else self.form.group].sections if section.repeated
        ]
        section = (
            row.section if row is not None and row.section in ("datasets", "samples") else next(iter(repeated), "")
        )
        if section == "datasets":
            start = self.workspace.root
            self.app.push_screen(AskPath(_("Add a folder of images"), start, folders_only=True), self._add_folder)
        elif section:
            self._added(self.form.add(section))
        else:
            self.tell(_("Entries are added under Dataset and Samples."), "warning")

    def _add_folder(self, path: Path | None) -> None:
        if path is not None:
            self._added(self.form.add("datasets", path=str(path)))

    def _added(self, row: FormRow) -> None:
        self.close_search()
        self.edited(row)
        if row.section == "samples":
            self.call_after_refresh(self._edit_row, row)

    def _edit_row(self, row: FormRow) -> None:
        if self.row is not None and self.row.key == row.key:
            self.action_edit()

    def action_remove(self) -> None:
        if self.row is not None and self.form.remove(self.row):
            self.edited(self.row)

    def action_browse(self) -> None:
        row = self.row
        if row is None or row.spec is None:
            return
        folder = row.spec.option.path == "folder"
        now = Path(self.form.edit_text(row) or ".")
        start = (
            now if now.is_dir() else now.parent if now.is_absolute() and now.parent.is_dir() else self.workspace.root
        )
        suffixes = () if folder else (".safetensors", ".ckpt")
        dialog = AskPath(_(row.spec.option.title), start, folders_only=folder, suffixes=suffixes)
        self.app.push_screen(dialog, lambda path: self._put(row, str(path) if path else None))
