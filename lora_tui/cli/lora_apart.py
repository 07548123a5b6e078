"""Work on LoRA files for a command: in a process of its own, with progress, and Ctrl+C asks it to stop."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from typing import Any

from lora_tui.cli.output import Progress, note
from lora_tui.errors import UserError
from lora_tui.python import python_command
from lora_tui.tasks.words import phase_word
from lora_tui.text import _, language, plain

STOP_SECONDS = 20.0
"""How long a process that was asked to stop may take to tidy up."""
_LAST = 2000
"""Characters of a process's last words that are kept for whoever must mend it."""


def done_apart(options: Mapping[str, Any], *, quiet: bool = False) -> dict[str, Any]:
    """What came of the operation that ``options`` ask for; see :mod:`lora_tui.weights.work`.

    Raises:
        UserError: the input is wrong, or the process died.
        KeyboardInterrupt: it was stopped; nothing is left of it.
    """
    environment = os.environ | {"LORA_TUI_LANG": language()}
    with tempfile.TemporaryFile() as errors, Progress(_("loading"), quiet=quiet) as screen:
        process = subprocess.Popen(
            python_command("-m", "lora_tui.weights.worker"),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=environment, start_new_session=True,
        )  # fmt: skip
        try:
            found = _followed(process, options, screen)
        except BaseException:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
            raise
        status = process.wait()
        if "error" in found:
            raise _error(found["error"])
        if "result" not in found:
            errors.seek(0)
            raise _died(status, errors.read().decode("utf-8", "replace"))
        result: dict[str, Any] = found["result"]
        return result


def answer(args: argparse.Namespace, options: Mapping[str, Any], lines: Callable[[dict[str, Any]], list[str]]) -> int:
    """Do it, print what came of it (``lines`` say it; ``--json`` prints all), and return the exit status.

    Raises:
        UserError, KeyboardInterrupt: as :func:`done_apart`.
    """
    from lora_tui.cli.output import print_json, say

    found = done_apart(options, quiet=args.json)
    if args.json:
        print_json(found)
        return 0
    for line in lines(found):
        say(line)
    return 0


def _followed(process: subprocess.Popen[bytes], options: Mapping[str, Any], screen: Progress) -> dict[str, Any]:
    """The process's last line."""
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(json.dumps(options, default=str).encode())
        process.stdin.close()
    except BrokenPipeError:
        return {}
    found: dict[str, Any] = {}
    for raw in process.stdout:
        try:
            found = json.loads(raw)
        except ValueError:
            continue
        if "progress" in found:
            phase, done, total, detail = found["progress"]
            screen.update(done, total, detail, label=phase_word(phase))
        elif "warning" in found:
            screen.finish()
            note(plain(f"lora-tui: {_error(found['warning'])}"))
    return found


def _error(words: Mapping[str, str]) -> UserError:
    return UserError(words["message"], place=words["place"], remedy=words["remedy"], code=words["code"])


def _died(status: int, said: str) -> UserError:
    sys.stderr.write(plain(said[-_LAST:], newlines=True))
    if status in (-9, 137):
        return UserError(
            _("The process was killed, as the system does when memory runs out."),
            remedy=_("Close other programs, or work on a machine with more memory."),
            code="memory",
        )
    return UserError(_("The process that did the work failed."), remedy=_("Please report it."), code="internal")
