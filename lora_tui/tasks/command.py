"""A task that is a command of lora-tui: what it prints goes to the task's log, its last line is its progress."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import IO, Any

from lora_tui.errors import UserError
from lora_tui.python import python_command
from lora_tui.tasks.report import Report
from lora_tui.text.translate import _

LOOK = 0.2
"""Seconds between two looks at whether it is to stop."""

GRACE = 60.0
"""Seconds that a command has to end after it was asked to."""

_DONE = (0, 3)
"""Exit statuses of a command that did its work: done, and a check that found problems."""

_LONGEST = 1 << 16


def work(options: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Run the command of ``options`` (``command``: the words after ``lora-tui``, ``folder``: where) until it ends.

    Raises:
        UserError: it cannot be started, or ended in failure (``command.failed``, with its last line).
    """
    words = [str(word) for word in options.get("command", ())]
    report.progress("working", 0, 0)
    child = _started(words, str(options.get("folder", "")))
    report.resting = lambda rests: _signal(child, signal.SIGSTOP if rests else signal.SIGCONT)
    last = [""]
    assert child.stdout is not None
    listener = threading.Thread(target=_listen, args=(child.stdout, last, report), name="output", daemon=True)
    listener.start()
    stopped = _wait(child, report)
    listener.join(timeout=5.0)
    status = child.returncode if child.returncode >= 0 else 128 - child.returncode
    if stopped:
        return {"complete": False, "status": status}
    if status not in _DONE:
        raise UserError(
            last[0] or _("The command ended with status {status}.").format(status=status),
            remedy="" if last[0] else _("See: lora-tui {command} --help").format(command=" ".join(words[:1])),
            code="command.failed",
        )
    return {"complete": True, "status": status, "last": last[0]}


def _started(words: list[str], folder: str) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            python_command("-m", "lora_tui.tasks.child", *words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder or None,
            start_new_session=True,
        )
    except OSError as error:
        raise UserError(
            _("The command cannot be started: {reason}.").format(reason=error.strerror or error),
            place=folder,
            code="command.start",
        ) from error


def _listen(pipe: IO[bytes], last: list[str], report: Report) -> None:
    """Pass on what the command prints, and keep its last line."""
    while line := pipe.readline(_LONGEST):
        text = line.decode("utf-8", "replace")
        with contextlib.suppress(OSError):
            sys.stdout.write(text)
            sys.stdout.flush()
        if text.strip():
            last[0] = text.strip().removeprefix("lora-tui: ")[:500]
            report.progress("working", 0, 0, last[0])


def _wait(child: subprocess.Popen[bytes], report: Report) -> bool:
    """Wait for its end; whether it was asked to stop before."""
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(LOOK)
            return False
        if report.should_stop():
            break
    if child.poll() is not None:
        return False
    _signal(child, signal.SIGCONT)
    _signal(child, signal.SIGTERM)
    try:
        child.wait(GRACE)
    except subprocess.TimeoutExpired:
        _signal(child, signal.SIGKILL)
        child.wait()
    return True


def _signal(child: subprocess.Popen[bytes], number: int) -> None:
    """To the command and to all that it started: its session is its own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)
