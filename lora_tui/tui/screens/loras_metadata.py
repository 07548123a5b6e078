"""The metadata of one LoRA file over the list: every entry, edited here and written at once."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from textual import on
from textual.app import ComposeResult

from lora_tui.errors import UserError
from lora_tui.text import N_, _, bytes_text, count, ngettext, percent, plain
from lora_tui.tui.actions import METADATA
from lora_tui.tui.cells import Cell
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.widgets.acting_dialog import ActingDialog
from lora_tui.tui.widgets.dialog import AskText, Confirm
from lora_tui.tui.widgets.lines import Lines
from lora_tui.tui.widgets.text_view import TextView
from lora_tui.tui.widgets.virtual_list import Column, VirtualList
from lora_tui.tui.wording import error_words
from lora_tui.weights.header.format import read_header
from lora_tui.weights.metadata import HASHES, NOTE, TRIGGER, Edit, Edited, edit_metadata, restore, trigger_edit

LONGEST_TYPED = 4000
"""Characters of a value that can be edited in one line; longer ones are tables that programs wrote."""
SHOWN = 400
COLUMNS = (Column(1), Column(20, share=2, cut="middle", most=44), Column(20, share=3))


class LoraMetadata(ActingDialog[bool]):
    """Entries in the order of their keys; dismissed with whether the file was written."""

    ALSO = METADATA
    LEAVE = N_("back")
    DEFAULT_CSS = """
    LoraMetadata > #box { width: 96%; max-width: 130; height: 90%; }
    LoraMetadata VirtualList { height: 1fr; max-height: 100%; }
    """

    def __init__(self, path: Path) -> None:
        super().__init__(plain(path.name))
        self._path = path
        self._old: dict[str, str] = {}
        self._new: dict[str, str] = {}
        self._keys: list[str] = []
        self._writing = False
        self._written = False
        self.accept_words = _("edit")

    def compose_body(self) -> ComposeResult:
        yield VirtualList(COLUMNS, self._row, empty=_("Reading the file."))
        yield Lines(id="told")

    def on_mount(self) -> None:
        super().on_mount()
        self.set_focus(self._list)
        start_job(self, self._read, "read")

    @property
    def _list(self) -> VirtualList:
        return self.query_one(VirtualList)

    async def _read(self) -> None:
        try:
            header = await in_thread(read_header, self._path)
        except UserError as error:
            self._list.set_count(0, empty=error_words(error))
            return
        self._old, self._new = dict(header.metadata), dict(header.metadata)
        self._say_keys()

    # -- showing

    @property
    def edit(self) -> Edit:
        """What is to be written."""
        changed = {key: value for key, value in self._new.items() if self._old.get(key) != value}
        return Edit(changed, tuple(key for key in self._old if key not in self._new))

    @property
    def _changes(self) -> int:
        edit = self.edit
        return len(edit.entries) + len(edit.unset)

    def _say_keys(self, cursor: str | None = None) -> None:
        here = cursor if cursor is not None else self._key_here
        self._keys = sorted(self._old.keys() | self._new.keys())
        place = self._keys.index(here) if here in self._keys else 0
        self._list.set_count(len(self._keys), cursor=place, empty=_("The file says nothing of itself yet."))
        self._list.reload()
        self.show_keys()

    @property
    def _key_here(self) -> str:
        place = self._list.cursor
        return self._keys[place] if 0 <= place < len(self._keys) else ""

    def _row(self, index: int) -> list[Cell]:
        key = self._keys[index]
        gone, changed = key not in self._new, self._old.get(key) != self._new.get(key)
        mark = "-" if gone else "+" if key not in self._old else "*" if changed else " "
        value = self._new.get(key, self._old.get(key, ""))
        tone = "error" if gone else "accent" if changed else ""
        return [
            Cell(mark, tone),
            Cell(plain(key), "muted" if key in HASHES else ""),
            Cell(plain(value, limit=SHOWN), tone),
        ]

    @on(VirtualList.Moved)
    def _moved(self, event: VirtualList.Moved) -> None:
        event.stop()
        self.show_keys()

    # -- editing

    def refusal(self, action_id: str) -> str:
        name = action_id.partition(".")[2]
        if self._writing and name != "cancel":
            return _("The file is being written.")
        if name in ("save", "undo") and not self._changes:
            return _("Nothing was changed.")
        if name in ("remove", "accept", "read") and not self._key_here:
            return _("There is no entry.")
        if name in ("remove", "accept") and self._key_here in HASHES:
            return _("The hashes are made again with every edit.")
        return ""

    def _put(self, key: str, value: str) -> None:
        self._new[key] = value
        self._say_keys(key)

    def action_accept(self) -> None:
        key = self._key_here
        value = self._new.get(key, self._old.get(key, ""))
        if len(value) > LONGEST_TYPED or any(ord(character) < 32 for character in value):
            self.tell(_("It is too long for a line; lora-tui lora metadata --set writes it."), "warning")
            return
        self._ask(plain(key, limit=60), key, value)

    def _ask(self, title: str, key: str, value: str) -> None:
        def typed(text: str | None) -> None:
            if text is not None:
                self._put(key, text)

        self.app.push_screen(AskText(title, value, accept=_("take it")), typed)

    def action_add(self) -> None:
        def named(key: str | None) -> None:
            if key is not None and key.strip():
                self._ask(plain(key.strip(), limit=60), key.strip(), self._new.get(key.strip(), ""))

        dialog = AskText(
            _("What is the entry called?"), placeholder="modelspec.title", check=_key_flaw, accept=_("next")
        )
        self.app.push_screen(dialog, named)

    def action_trigger(self) -> None:
        def typed(text: str | None) -> None:
            if text is not None:
                self._new |= trigger_edit(text)
                self._say_keys(TRIGGER)

        value = self._new.get(TRIGGER, "")
        self.app.push_screen(AskText(_("Which words call up what was learned?"), value, accept=_("take it")), typed)

    def action_note(self) -> None:
        self._ask(_("A note in the file"), NOTE, self._new.get(NOTE, ""))

    def action_remove(self) -> None:
        key = self._key_here
        if key not in self._old:
            self._new.pop(key, None)
        elif key in self._new:
            del self._new[key]
        else:
            self._new[key] = self._old[key]
        self._say_keys(key)

    def action_undo(self) -> None:
        self._new = dict(self._old)
        self._say_keys()

    def action_read(self) -> None:
        key = self._key_here
        value = self._new.get(key, self._old.get(key, ""))
        self.app.push_screen(TextView(plain(key, limit=80), value.splitlines() or [""]))

    # -- writing and leaving

    def action_save(self) -> None:
        start_job(self, partial(self._save, self.edit), "save")

    async def _save(self, edit: Edit) -> None:
        self._writing = True
        self.tell(_("writing"))
        try:
            done = await in_thread(partial(edit_metadata, self._path, edit, progress=self._progress))
        except UserError as error:
            self.tell(error_words(error), "error")
            return
        finally:
            self._writing = False
        self._taken(done)

    def _taken(self, done: Edited) -> None:
        self._written = True
        self._old, self._new = dict(done.after), dict(done.after)
        self._say_keys()
        kept = plain(done.backup.name) if done.backup is not None else ""
        self.tell(_("Written; what was there before is kept as {file}.").format(file=kept), "success")

    def _progress(self, done: int, total: int) -> None:
        """Of a large file; called in the thread that writes."""
        if total > 1 << 28:
            text = _("writing {share} of {size}").format(share=percent(done, total), size=bytes_text(total // 2))
            self.app.call_from_thread(self.tell, text)

    def action_restore(self) -> None:
        def sure(yes: bool | None) -> None:
            if yes:
                start_job(self, self._restore, "save")

        question = _("Bring back the file as it was before all edits?")
        self.app.push_screen(Confirm(question, _("The edits are lost."), yes=_("bring it back")), sure)

    async def _restore(self) -> None:
        try:
            await in_thread(restore, self._path)
            header = await in_thread(read_header, self._path)
        except UserError as error:
            self.tell(error_words(error), "error")
            return
        self._taken(Edited(self._path, {}, dict(header.metadata), None))
        self.tell(_("The file is as it was before all edits."), "success")

    def action_cancel(self) -> None:
        if self._writing:
            self.tell(_("The file is being written."), "warning")
            return
        if not self._changes:
            self.dismiss(self._written)
            return

        def sure(yes: bool | None) -> None:
            if yes:
                self.dismiss(self._written)

        text = ngettext("Leave {count} change unwritten?", "Leave {count} changes unwritten?", self._changes)
        self.app.push_screen(Confirm(text.format(count=count(self._changes)), yes=_("leave")), sure)


def _key_flaw(text: str) -> str:
    if not text.strip():
        return _("A name is missing.")
    return _("The hashes are made again with every edit.") if text.strip() in HASHES else ""
