"""The LoRA files of the project and of other folders: which there are, what each holds, and what to do with them."""

from __future__ import annotations

import asyncio
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from textual.app import ComposeResult

from lora_tui.loras.files import LoraFile
from lora_tui.loras.folders import OWN
from lora_tui.text import _, count, ngettext, plain
from lora_tui.tui.cells import Cell
from lora_tui.tui.keymap import key_text
from lora_tui.tui.lora_details import LoraDetails, detail_lines, full_lines, read_lora_details, tag_lines
from lora_tui.tui.lora_operations import LoraOperation, operation_of
from lora_tui.tui.lora_rows import COLUMNS, lora_cells
from lora_tui.tui.screens.list_screen import REST_SECONDS, FindScreen
from lora_tui.tui.screens.loras_acts import LorasActs
from lora_tui.tui.screens.loras_find import LorasFind
from lora_tui.tui.screens.loras_read import LorasReading
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.widgets.footer import KeyHint
from lora_tui.tui.widgets.image_view import ImageView
from lora_tui.tui.widgets.lines import Lines
from lora_tui.tui.widgets.prompt import Prompt
from lora_tui.tui.widgets.text_view import TextView
from lora_tui.tui.workspace import Change


class LorasScreen(FindScreen[LoraFile]):
    """Files at the left; facts, tags and picture of the one under the cursor at the right."""

    ACTS = "loras"
    CSS_PATH = ["list_screen.tcss", "loras.tcss"]
    COLUMNS = COLUMNS
    FREE = frozenset({"add-folder", "drop-folder"})

    def __init__(self) -> None:
        super().__init__(LorasFind(self))
        self.reading = LorasReading(self)
        self._acts = LorasActs(self)
        self._details: LoraDetails | None = None
        self._all_read = False

    def doers(self) -> tuple[object, ...]:
        return (*super().doers(), self._acts)

    def compose_right(self) -> ComposeResult:
        yield ImageView(id="lora-picture")

    # -- the list

    def awaited(self) -> str:
        """Until a file is known, or that there is none; a folder that does not answer can be left out before that."""
        if self.workspace.project is None and not self.workspace.trouble:
            return _("Reading the project.")
        return _("Looking for LoRA files.") if self.reading.busy and not self.rows else ""

    def workspace_changed(self, changed: frozenset[Change]) -> None:
        if changed & {"runs", "project"}:
            self.reading.begin(again="project" in changed)
            self.select()

    def go_to(self, place: str) -> None:
        """Put the cursor on the file with this path, now or once it is read."""
        self.wanted(Path(place))

    def take_files(self, files: list[LoraFile]) -> None:
        """Show what was read so far; what was read before stays until all is read."""
        if self.query_one_optional("#list") is None:
            return  # the app is being left
        if self.reading.busy:
            seen = {one.path for one in files}
            files = [*files, *(one for one in self.rows if one.path not in seen)]
        top = not self._all_read and self._wanted is None and self.listed.cursor <= 0
        self.take_rows(files)
        self.select()
        if top:
            self.listed.cursor = 0  # nobody has gone to a file yet, and those that come go before it
        self._all_read = self._all_read or not self.reading.busy
        self.resume_keys()

    def empty_words(self) -> str:
        if self.rows:
            return _("No file fits the filter; Esc shows all.")
        if self.reading.busy or self.workspace.project is None:
            return _("Looking for LoRA files.")
        key = self.shell.keymap.shown("loras.add-folder")
        return _("No LoRA file yet. Runs of this project write some; {key} lists those of another folder.").format(
            key=key
        )

    def told(self) -> str:
        text = self.counted()
        folders = len(self.reading.folders)
        if folders:
            inside = ngettext("in {count} folder", "in {count} folders", folders).format(count=count(folders))
            text = f"{text} {inside}"
        if self.reading.busy and self.reading.found:
            text += "   " + _("reading {count}").format(count=count(self.reading.found))
        return "   ".join([text, *self.find.spoken()])

    def cells(self, row: LoraFile) -> list[Cell]:
        return lora_cells(row, self.shell.marks, marked=row.path in self.find.marks, root=self.workspace.root)

    def key_hints(self) -> list[KeyHint]:
        hints = super().key_hints()
        prefix, prompt = self.shell.keymap.keys("loras.merge")[:1], self.query_one_optional(Prompt)
        if prefix and not (prompt is not None and prompt.is_open):  # the first key of all that a popup then tells
            first = key_text(prefix[0].split(" ")[0], ascii_only=self.shell.ascii_only)
            hints.insert(2, KeyHint("", first, _("merge, resize …")))
        return hints

    # -- the file under the cursor

    @property
    def details(self) -> LoraDetails | None:
        """What was read of the file under the cursor; none until then."""
        here = self.row_here
        return self._details if self._details is not None and self._details.file == here else None

    def show_here(self) -> None:
        file = self.row_here
        if file is None:
            self.query_one("#facts", Lines).show([])
            self.query_one("#lora-picture", ImageView).show(None)
        elif self.details is not None:
            self._show_details(self.details)
        else:
            start_job(self, partial(self._look, file), "details")

    async def _look(self, file: LoraFile) -> None:
        await asyncio.sleep(REST_SECONDS)
        details = await in_thread(read_lora_details, file, self.rows)
        if self.row_here == file:
            self._details = details
            self._show_details(details)
            self.refresh_keys()

    def _show_details(self, details: LoraDetails) -> None:
        facts = self.query_one_optional("#facts", Lines)
        if facts is None:
            return  # the app is being left
        facts.show(detail_lines(details, self.shell.marks, max(facts.size.width, 20)))
        self.query_one("#lora-picture", ImageView).show(details.picture)

    # -- actions

    def refusal(self, action_id: str) -> str:
        if action_id in ("loras.add-folder", "loras.drop-folder"):
            return ""
        if action_id in ("loras.filter", "loras.sort") and self.rows:
            return ""
        operation = operation_of(action_id)
        if operation is not None:
            return operation.refusal(len(self.find.meant()))
        file = self.row_here
        if file is None:
            return self.empty_words()
        if action_id == "loras.copy" and not file.triggers:
            return _("The file states no trigger words; they can be written into its metadata.")
        if action_id == "loras.tags" and not file.tags:
            return _("The file states no tags of its training set.")
        if action_id == "loras.run" and self.details is not None and self.details.origin is None:
            return _("Nothing tells which run wrote it.")
        return ""

    def action_open(self) -> None:
        self.action_read()

    def action_read(self) -> None:
        self.guide(partial(self._read_in_full, full_lines))

    def action_tags(self) -> None:
        self.guide(partial(self._read_in_full, tag_lines))

    async def _read_in_full(self, lines: Any) -> None:
        details = await self.looked_at()
        if details is not None:
            self.app.push_screen(TextView(plain(details.file.path.name), await in_thread(lines, details)))

    async def looked_at(self) -> LoraDetails | None:
        """The file under the cursor looked at closely; none where there is none."""
        file = self.row_here
        if file is None:
            return None
        return self.details or await in_thread(read_lora_details, file, self.rows)

    def begin(self, operation: LoraOperation) -> None:
        """Begin an operation on the marked files, else on the one under the cursor."""
        module, _colon, name = operation.place.partition(":")
        screen = getattr(import_module(f"lora_tui.tui.screens.{module}"), name)
        self.app.push_screen(screen(self.find.meant()), self._written)

    def read_again(self) -> None:
        """The files were changed."""
        self._details = None
        self.reading.begin(again=True)

    def _written(self, paths: Any) -> None:
        """Files were written: list them, the cursor on the first; what they were made of is marked no more."""
        if not paths:
            return
        first = Path(next(iter(paths)))
        listed = any(first.is_relative_to(folder) for folder in (*self.reading.folders, self.workspace.root / OWN))
        written = _("Written: {file}").format(file=plain(first.name if listed else str(first)))
        self.shell.call_later(self.shell.tell, written, "success")
        if listed:
            self.find.marks.clear()
            self.find.text = ""
            self.wanted(first)
            self.reading.begin(again=True)
