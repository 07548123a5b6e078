"""A DyLoRA cut into files of its ranks, over the list of LoRA files: what it would write, then writing it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from textual.app import ComposeResult

from lora_tui.errors import UserError
from lora_tui.loras.files import LoraFile
from lora_tui.text import _, plain
from lora_tui.tui.cells import Cell, wrap
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.widgets.dialog import AskPath, Dialog
from lora_tui.tui.widgets.footer import KeyHint, Keys
from lora_tui.tui.widgets.lines import Lines
from lora_tui.tui.widgets.virtual_list import Column, VirtualList
from lora_tui.tui.wording import error_words
from lora_tui.weights.cut import cut, rank_file, ranks_of


class SplitLora(Dialog[list[Path]]):
    """Ranks to choose from; dismissed with the files that were written."""

    BINDINGS = [("space", "without"), ("t", "folder")]
    DEFAULT_CSS = "SplitLora #told { height: 3; }"

    def __init__(self, files: Sequence[LoraFile]) -> None:
        self._path = files[0].path
        self._folder = self._path.parent
        super().__init__(_("Split {name}").format(name=plain(files[0].name)))
        self._ranks: list[int] = []
        self._left_out: set[int] = set()
        self._writing = False
        self.accept_words = _("write")

    def compose_body(self) -> ComposeResult:
        yield VirtualList([Column(1), Column(4, align="right"), Column(20, share=1)], self._row, empty=_("reading"))
        yield Lines(id="told")

    def on_mount(self) -> None:
        super().on_mount()
        self.set_focus(self.query_one(VirtualList))
        start_job(self, self._read, "read")

    def hints(self) -> list[KeyHint]:
        found = super().hints()
        if self._ranks:
            found.insert(1, KeyHint("dialog.without", "Space", _("with or without")))
            found.insert(2, KeyHint("dialog.folder", "t", _("another folder")))
            return found
        return [hint for hint in found if hint.action != "dialog.accept"]

    async def _read(self) -> None:
        rows = self.query_one(VirtualList)
        try:
            self._ranks = await in_thread(ranks_of, self._path)
        except UserError as error:
            rows.set_count(0, empty="")
            self._say(error_words(error), "warning")
            return
        rows.set_count(len(self._ranks))
        self.query_one(Keys).show(self.hints())
        self._say(_("Each file adds what its ranks did while they were trained together."), "muted")

    def _say(self, text: str, tone: str) -> None:
        told = self.query_one("#told", Lines)
        told.show([(Cell(line, tone),) for line in wrap(text, max(told.size.width, 20), 3)])

    def _row(self, index: int) -> list[Cell]:
        rank = self._ranks[index]
        target = rank_file(self._path, rank, self._folder)
        there, name = target.exists(), plain(target.name)
        words = _("{file} is there already").format(file=name) if there else name
        return [
            Cell(" " if rank in self._left_out or there else "*", "accent"),
            Cell(str(rank)),
            Cell(words, "muted" if there or rank in self._left_out else ""),
        ]

    def action_without(self) -> None:
        place = self.query_one(VirtualList).cursor
        if 0 <= place < len(self._ranks):
            self._left_out ^= {self._ranks[place]}
            self.query_one(VirtualList).reload()

    def action_folder(self) -> None:
        def chosen(folder: Path | None) -> None:
            if folder is not None:
                self._folder = folder
                self.query_one(VirtualList).reload()
                self._say(_("They are written into {folder}.").format(folder=plain(str(folder))), "muted")

        if not self._writing:
            title = _("Into which folder are they written?")
            detail = _("A folder that is missing is made.")
            dialog = AskPath(
                title, self._folder, detail=detail, folders_only=True, must_exist=False, accept=_("take it")
            )
            self.app.push_screen(dialog, chosen)

    def action_accept(self) -> None:
        if self._writing or not self._ranks:
            return
        ranks = [rank for rank in self._ranks if rank not in self._left_out]
        ranks = [rank for rank in ranks if not rank_file(self._path, rank, self._folder).exists()]
        if not ranks:
            self._say(_("Nothing is left to write."), "warning")
            return
        self._writing = True
        start_job(self, partial(self._write, ranks), "write")

    async def _write(self, ranks: Sequence[int]) -> None:
        written: list[Path] = []
        try:
            await in_thread(partial(self._folder.mkdir, parents=True, exist_ok=True))
            for rank in ranks:
                target = rank_file(self._path, rank, self._folder)
                self._say(_("writing {file}").format(file=plain(target.name)), "")
                await in_thread(cut, self._path, rank, target)
                written.append(target)
        except UserError as error:
            self._say(error_words(error), "error")
            self._writing = False
            return
        except OSError as error:
            self._say(_("nothing can be written there: {reason}.").format(reason=plain(error.strerror or "")), "error")
            self._writing = False
            return
        self.dismiss(written)
