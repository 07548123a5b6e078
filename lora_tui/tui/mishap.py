"""Errors of our own that need not end the app: kept in a crash file, said in a line, and once with the file's place.

For what only looks: a preview that was computed, a line that was half typed. What changes things must not go on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_tui.errors import UserError
from lora_tui.text import _, plain
from lora_tui.tui.terminal import write_crash_file
from lora_tui.tui.wording import error_words

if TYPE_CHECKING:
    from lora_tui.tui.app import LoraTuiApp

_kept: set[tuple[str, int, str]] = set()


def failure_words(shell: LoraTuiApp, error: Exception) -> str:
    """What a person did wrong, or that something went wrong in here, which is kept and told once."""
    if isinstance(error, UserError):
        return error_words(error)
    place = _place(error)
    if place not in _kept:  # typing on would keep it with each letter
        _kept.add(place)
        path = write_crash_file(error)
        words = f"{type(error).__name__}: {plain(str(error), limit=200)}"
        if path is not None:
            words += "\n" + _("The details are in {path}; please send them with a report.").format(
                path=plain(str(path))
            )
        shell.notify_plain(words, "error")
    return _("An error of the program itself: {name}. Nothing was changed.").format(name=type(error).__name__)


def _place(error: Exception) -> tuple[str, int, str]:
    """Where it was raised, and its kind."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "", 0, type(error).__name__
    return trace.tb_frame.f_code.co_filename, trace.tb_lineno, type(error).__name__
