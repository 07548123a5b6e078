"""The form's door to other programs: their configurations taken with a report, and this one written for them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.errors import UserError
from lora_tui.text import _, plain
from lora_tui.tui.widgets.dialog import AskPath
from lora_tui.tui.widgets.text_view import TextView
from lora_tui.tui.wording import error_words

if TYPE_CHECKING:
    from lora_tui.tui.screens.parameters import ParametersScreen

SUFFIXES = (".toml", ".json", ".yaml", ".yml", ".sh", ".ps1", ".bat", ".txt", ".safetensors")


class FormExchange:
    """The part of the form's screen that imports and exports."""

    def __init__(self, screen: ParametersScreen) -> None:
        self._screen = screen

    def action_import(self) -> None:
        screen = self._screen
        if not screen.editing.commit():
            return
        dialog = AskPath(
            _("Import a configuration of another program"),
            screen.workspace.root,
            detail=_("sd-scripts, lora-scripts, kohya_ss, ai-toolkit, OneTrainer, FluxTrainer, or a LoRA file"),
            suffixes=SUFFIXES,
            accept=_("import"),
        )
        screen.app.push_screen(dialog, self._import)

    def _import(self, path: Path | None) -> None:
        from lora_tui.exchange.importing import import_file
        from lora_tui.exchange.kinds import FORMATS

        screen = self._screen
        if path is None:
            return
        try:
            found = import_file(path, onto=screen.form.config)
        except UserError as error:
            screen.tell(error_words(error), "error")
            return
        screen.sweep.drop()
        if screen.form.replace(found.config, _("import {name}").format(name=plain(path.name))):
            screen.edited()
        screen.tell(found.summary, "success")
        title = f"{plain(path.name)}: {_(FORMATS[found.format])}"
        screen.app.push_screen(TextView(title, found.lines()))

    def action_export(self) -> None:
        screen = self._screen
        if not screen.editing.commit():
            return
        start = screen.workspace.root
        dialog = AskPath(
            _("Export for sd-scripts"),
            start,
            detail=_("A folder for its TOML, its dataset and the command; it is made where it is not there."),
            folders_only=True,
            must_exist=False,
            accept=_("export"),
            value=start / "sd-scripts",
        )
        screen.app.push_screen(dialog, self._export)

    def _export(self, folder: Path | None) -> None:
        from lora_tui.exchange import exporting
        from lora_tui.exchange.fate import value_text

        screen = self._screen
        if folder is None:
            return
        try:
            found = exporting.export(screen.form.config, folder)
            paths = exporting.write(found, folder)
        except UserError as error:
            screen.tell(error_words(error), "error")
            return
        lines = [str(path) for path in paths]
        lines += ["", "# " + _("in the folder of sd-scripts"), found.command]
        if found.lost:
            lines += ["", "# " + _("sd-scripts has no option for these; they are kept for the way back:")]
            lines += [f"{key} = {value_text(value)}" for key, value in found.lost.items()]
        screen.tell(_("exported to {path}").format(path=plain(str(folder))), "success")
        screen.app.push_screen(TextView(_("Export for sd-scripts"), lines))
