"""Resuming a run: asked first, started in a thread, and said how it went. Part of the screens that show runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from lora_tui.errors import UserError
from lora_tui.jobs.slurm.submission import was_sent
from lora_tui.runs.folder import RunFolder
from lora_tui.text import _, count, plain
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.widgets.dialog import Confirm
from lora_tui.tui.wording import error_words

if TYPE_CHECKING:
    from lora_tui.tui.screens.base import BaseScreen

_NUMBER = re.compile(r"\d{1,15}$")
"""The step at the end of a state's name."""


class Resuming:
    """Resumes runs for a screen; ``resumed`` is called when a keeper is at work again."""

    def __init__(self, screen: BaseScreen, resumed: Callable[[RunFolder], None]) -> None:
        self._screen = screen
        self._resumed = resumed

    def ask(self, run: RunFolder, *, state: int | None, step: int, total: int) -> None:
        """Ask whether to go on from the step of the last state, or about from ``step`` where that is not known.

        Without ``state`` the run's folder is asked: what is said does not depend on how much of its events is read.
        """
        state = newest_state(run) if state is None else state
        left = count(max(total - (step if state is None else state), 0))
        if state is None:
            detail = _("It goes on from its last state; about {left} steps are left.").format(left=left)
        else:
            detail = _("It goes on from step {state}; {left} steps are left.").format(state=count(state), left=left)
        if was_sent(run.root):
            detail += "\n" + _("It goes to Slurm again, with what was asked for there before.")
        question = _("Resume {run}?").format(run=plain(run.name))
        dialog = Confirm(question, detail, yes=_("resume"))
        self._screen.app.push_screen(dialog, lambda sure: self._answered(run, sure))

    def _answered(self, run: RunFolder, sure: bool | None) -> None:
        if sure:
            self._screen.tell(_("starting"))
            start_job(self._screen, partial(self._resume, run), "resume")

    async def _resume(self, run: RunFolder) -> None:
        from lora_tui.runs.start import INSISTED

        shell, force = self._screen.shell, False
        while True:
            try:
                await in_thread(partial(_resume_run, run, shell.trainer_command, force=force))
            except UserError as error:
                if force or error.code not in INSISTED:
                    shell.tell(error_words(error), "error")
                    return
                dialog = Confirm(_("Resume it all the same?"), plain(error.message), yes=_("resume"))
                force = bool(await shell.push_screen(dialog, wait_for_dismiss=True))
                if not force:
                    return
            else:
                break
        shell.tell(_("sent to Slurm again") if was_sent(run.root) else _("resumed"), "success")
        shell.poll_runs()
        self._resumed(run)


def _resume_run(run: RunFolder, command: Sequence[str] | None, *, force: bool) -> None:
    from lora_tui.jobs.slurm.send import last_options
    from lora_tui.runs.start import resume_run

    resume_run(run, command=command, slurm=last_options(run.root) if was_sent(run.root) else None, force=force)


def newest_state(run: RunFolder) -> int | None:
    """The step of the newest state in the run's folder, by the names of the folders; none when there is none."""
    found = [_NUMBER.search(path.name) for path in run.state_dir.glob("[!.]*") if path.is_dir()]
    return max((int(match.group()) for match in found if match), default=None)
