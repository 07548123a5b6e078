"""Alarms and the end of runs are told wherever a person is: as a notice, by the bell, and on the desktop."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lora_tui.alarms.terminal import announcement
from lora_tui.text import _, plain
from lora_tui.tui.road import state_words
from lora_tui.tui.wording import sentences

if TYPE_CHECKING:
    from lora_tui.runs.status import RunStatus
    from lora_tui.tui.app import LoraTuiApp

ENDS = ("failed", "died")
_SEVERITY = {"error": "error", "warning": "warning", "notice": "information"}


def tell_runs(shell: LoraTuiApp, before: Sequence[RunStatus] | None, now: Sequence[RunStatus]) -> None:
    """Tell what has come since the last look at the runs; what there was when the project was opened is no news.

    What to try is said where the run is shown, and by the advice of the start.
    """
    known = {status.run.root: status for status in before or ()}
    for status in now:
        old = known.get(status.run.root)
        if old is None:
            continue
        for alarm in status.alarms:
            if alarm not in old.alarms and alarm.code not in ENDS:
                _tell(shell, status, alarm.title, plain(alarm.message), _SEVERITY.get(alarm.level, "warning"))
        if old.alive and not status.alive:
            severity = "error" if status.state in ENDS else "information"
            text = plain(sentences(status.message, status.advice))
            _tell(shell, status, state_words(status.state), text, severity)


def _tell(shell: LoraTuiApp, status: RunStatus, what: str, text: str, severity: str) -> None:
    title = _("run {number}: {what}").format(number=status.number, what=what)
    shell.signal_terminal(announcement(title, text or plain(status.run.name), shell.settings, os.environ))
    if str(shell.current_mode) == "training" and shell.workspace.run == status.run and not text:
        return  # it ended before the person's eyes
    words = f"{title}\n{text}".rstrip()
    if str(shell.current_mode) != "training":
        words += "\n" + _("{keys} shows it.").format(keys=shell.keymap.shown("app.show-training"))
    shell.notify_plain(words, severity)
