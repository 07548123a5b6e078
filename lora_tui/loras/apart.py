"""A command on LoRA files run in a process of its own, for an app that must not load torch."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence

from lora_tui.errors import UserError
from lora_tui.python import python_command
from lora_tui.text import _, language, plain

PROBLEMS = 3
LOOK_SECONDS = 0.1


def said_apart(arguments: Sequence[str], stop: Callable[[], bool], *, columns: int = 100) -> list[str]:
    """The lines that ``lora-tui lora`` prints with these arguments; none where it was stopped.

    Args:
        columns: of the terminal that it takes itself to be on.

    Raises:
        UserError: it failed; in its own words.
    """
    process = subprocess.Popen(
        python_command("-m", "lora_tui", "lora", *arguments),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=os.environ | {"LORA_TUI_LANG": language(), "COLUMNS": str(columns), "PYTHONIOENCODING": "utf-8"},
        start_new_session=True,
    )  # fmt: skip
    try:
        while True:
            try:
                out, errors = process.communicate(timeout=LOOK_SECONDS)
                break
            except subprocess.TimeoutExpired:
                if stop():
                    return []
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    lines = out.decode("utf-8", "replace").splitlines()
    if process.returncode in (0, PROBLEMS):
        return lines
    words = errors.decode("utf-8", "replace").strip().splitlines()
    told = plain(words[-1].removeprefix("lora-tui: "), limit=400) if words else ""
    raise UserError(told or _("The process that did the work failed."), code="lora.apart")
