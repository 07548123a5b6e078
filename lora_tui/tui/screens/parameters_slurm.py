"""Sending the run of the form to Slurm: what is asked for there is one line, with the defaults of the settings."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.config.schema import Config
from lora_tui.errors import UserError
from lora_tui.jobs.slurm import calls
from lora_tui.jobs.slurm.line import NAMES, line_of, options_of
from lora_tui.jobs.slurm.options import Options
from lora_tui.runs.folder import RunFolder
from lora_tui.text import _
from lora_tui.tui.threads import in_thread
from lora_tui.tui.widgets.dialog import AskText
from lora_tui.tui.wording import error_words

if TYPE_CHECKING:
    from lora_tui.tui.screens.parameters import ParametersScreen


class FormSlurm:
    """The part of the form's screen that sends a run to a cluster."""

    def __init__(self, screen: ParametersScreen) -> None:
        self._screen = screen
        self._here = calls.here()
        self._line: str | None = None  # as it was typed last

    def refusal(self, action_id: str) -> str:
        """Why it cannot be done; empty when it can, and for all other actions."""
        if action_id != "parameters.slurm" or self._here:
            return ""
        return _("Slurm's sbatch is not on this machine.")

    def offer(self) -> list[str]:
        """What the question before a start says of it; nothing where there is no Slurm."""
        key = self._screen.shell.keymap.shown("parameters.slurm")
        return [_("{key} sends it to Slurm instead.").format(key=key)] if self._here and key else []

    def action_slurm(self) -> None:
        screen = self._screen
        if self._here and not screen.start.busy and screen.editing.commit() and not screen.files.changed_elsewhere():
            screen.guide(self._send, stops=False)

    async def _send(self) -> None:
        screen, shell = self._screen, self._screen.shell
        config = screen.form.config.model_copy(deep=True)
        try:
            start = await in_thread(_defaults)
        except UserError as error:
            shell.tell(error_words(error), "error")
            return
        dialog = AskText(
            _("Send this training to Slurm?"),
            line_of(start) if self._line is None else self._line,
            detail=_(
                "Options: {names}. GPUs, memory and cores are of each node; what is left out is up to the cluster."
            ).format(names=", ".join(NAMES)),
            placeholder="partition=gpu gpus=1 time=4h",
            check=partial(_problem, start=start),
            accept=_("send"),
        )
        said = await shell.push_screen(dialog, wait_for_dismiss=True)
        if said is None:
            return
        self._line = said
        shell.tell(_("sending"))
        try:
            run = await in_thread(_sent, config, screen.workspace.runs_dir, options_of(said, start))
        except UserError as error:
            shell.tell(error_words(error), "error")
            shell.poll_runs()
            return
        shell.poll_runs()
        shell.open_run(run)


def _defaults() -> Options:
    from lora_tui.jobs.slurm.defaults import default_options

    return default_options()


def _problem(said: str, *, start: Options) -> str:
    try:
        options_of(said, start)
    except UserError as error:
        return error_words(error)
    return ""


def _sent(config: Config, runs_dir: Path, options: Options) -> RunFolder:
    from lora_tui.config.load import set_values
    from lora_tui.runs.start import start_run

    if options.processes > 1:
        config = set_values(config, [f"memory.processes={options.processes}"])
    return start_run(config, runs_dir, slurm=options)
