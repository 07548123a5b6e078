"""What is done with the LoRA files of the list: check, edit, copy, show their run, add folders, begin operations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.loras.apart import said_apart
from lora_tui.loras.folders import with_folder, without_folder
from lora_tui.text import _, count, ngettext, plain
from lora_tui.tui.lora_operations import operation_of
from lora_tui.tui.threads import in_stoppable_thread
from lora_tui.tui.widgets.dialog import AskPath, Choice, Choose
from lora_tui.tui.widgets.text_view import TextView

if TYPE_CHECKING:
    from lora_tui.tui.screens.loras import LorasScreen


class LorasActs:
    """Part of the list of LoRA files."""

    def __init__(self, screen: LorasScreen) -> None:
        self._screen = screen

    def __getattr__(self, name: str) -> Callable[[], None]:
        """The method of each operation of the table: ``action_merge`` begins the one called ``merge``."""
        operation = operation_of("loras." + name.removeprefix("action_").replace("_", "-"))
        if not name.startswith("action_") or operation is None:
            raise AttributeError(name)
        return partial(self._screen.begin, operation)

    # -- check

    def action_check(self) -> None:
        files = [file.path for file in self._screen.find.meant()]
        if files:
            words = ngettext("checking {count} file", "checking {count} files", len(files))
            self._screen.guide(partial(self._check, files), words=words.format(count=count(len(files))))

    async def _check(self, files: Sequence[Path]) -> None:
        """In a process of its own: the numbers are looked at with torch."""
        lines = await in_stoppable_thread(said_apart, ["check", "--", *map(str, files)])
        self._screen.app.push_screen(TextView(_("Check"), lines))

    # -- metadata

    def action_metadata(self) -> None:
        from lora_tui.tui.screens.loras_metadata import LoraMetadata

        file = self._screen.row_here

        def closed(written: bool | None) -> None:
            if written:
                self._screen.read_again()

        if file is not None:
            self._screen.app.push_screen(LoraMetadata(file.path), closed)

    # -- words and runs

    def action_copy(self) -> None:
        file = self._screen.row_here
        if file is not None:
            words = ", ".join(file.triggers)
            self._screen.shell.copy_out(words)
            self._screen.tell(_("copied: {words}").format(words=plain(words, limit=60)))

    def action_run(self) -> None:
        self._screen.guide(self._show_run)

    async def _show_run(self) -> None:
        details = await self._screen.looked_at()
        if details is None or details.origin is None:
            self._screen.tell(_("Nothing tells which run wrote it."), "warning")
        else:
            self._screen.shell.open_run(details.origin.run)

    # -- folders

    def action_add_folder(self) -> None:
        shell = self._screen.shell

        def chosen(folder: Path | None) -> None:
            if folder is not None:
                self._keep(with_folder(shell.settings.lora_folders, folder))

        dialog = AskPath(
            _("Which folder's LoRA files are listed, too?"),
            self._screen.workspace.root,
            detail=_("Such as models/loras of ComfyUI or models/Lora of A1111; with the folders in it. Remembered."),
            folders_only=True,
            accept=_("list them"),
        )
        self._screen.app.push_screen(dialog, chosen)

    def action_drop_folder(self) -> None:
        shell = self._screen.shell
        named = shell.settings.lora_folders
        if not named:
            self._screen.tell(_("No folder was added; those of the project are always listed."))
            return

        def chosen(folder: str | None) -> None:
            if folder is not None:
                self._keep(without_folder(named, folder))

        choices = [Choice(name, plain(name)) for name in named]
        dialog = Choose(_("Which folder is listed no more?"), choices, detail=_("Its files stay as they are."))
        self._screen.app.push_screen(dialog, chosen)

    def _keep(self, folders: tuple[str, ...]) -> None:
        self._screen.shell.keep(lora_folders=folders)
        self._screen.reading.begin(again=True)
        self._screen.select()
