"""Work on LoRA files, for commands in a process of its own and for the app as a task. Imports torch only when at work.

An operation is a module with ``work(options, report)``: it takes what was asked for (as JSON can hold it), tells how
far it is, and returns what came of it.
"""

from __future__ import annotations

import errno
import importlib
import os
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from lora_tui.errors import UserError
from lora_tui.text import _, plain

#: name of each operation -> the module whose ``work`` does it
OPERATIONS: dict[str, str] = {
    "check": "lora_tui.weights.checking.work",
    "resize": "lora_tui.weights.operations.resize",
    "merge": "lora_tui.weights.operations.merge",
    "convert": "lora_tui.weights.operations.convert",
    "bake": "lora_tui.weights.operations.bake",
    "blocks": "lora_tui.weights.operations.blocks",
    "extract": "lora_tui.weights.operations.extract",
    "compare": "lora_tui.weights.operations.compare",
}


class Report(Protocol):
    """What :class:`lora_tui.tasks.report.Report` offers."""

    def progress(self, phase: str, done: int, total: int, detail: str = "") -> None: ...
    def warn(self, error: UserError) -> None: ...
    def should_stop(self) -> bool: ...


class Stopped(Exception):
    """Somebody asked to stop; what was begun is gone, and what was there before is as it was."""


def work(options: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Do the operation that ``options`` name, and return what came of it, ``complete`` false where it was stopped.

    Raises:
        UserError: the input is wrong, or the disk is full.
    """
    name = str(options.get("operation", ""))
    if name not in OPERATIONS:
        raise UserError(
            _("There is no such operation on LoRA files."), place=plain(name, limit=80), code="lora.operation"
        )
    found: Callable[[Mapping[str, Any], Report], dict[str, Any]] = importlib.import_module(OPERATIONS[name]).work
    try:
        return {"operation": name, **found(options, report), "complete": True}
    except Stopped:
        return {"operation": name, "complete": False}
    except OSError as error:
        raise _of_disk(error, str(options.get("target") or "")) from error


def check_stopped(report: Report) -> None:
    """Raise :class:`Stopped` when somebody asked to stop."""
    if report.should_stop():
        raise Stopped


def _of_disk(error: OSError, target: str) -> UserError:
    """What went wrong with the disk, at the file that was asked for where it is one that stands for it meanwhile."""
    place = str(error.filename or "")
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    reason = os.strerror(error.errno) if error.errno else str(error)
    return UserError(
        _("nothing can be written there: {reason}.").format(reason=plain(reason)),
        place=plain(target if target and os.path.dirname(place) == os.path.dirname(target) else place),  # noqa: PTH120
        remedy=_("Make room on the disk, or write to another.") if full else _("Give another place."),
        code="file.write",
    )
