"""A ticket: whoever starts a job for another program says there, before the job begins, in which folder it will be.

The file is named by an environment variable. It is there before the job's process is, so that whoever reads no ticket
knows that nothing was started, and may start it again.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from lora_tui.errors import UserError
from lora_tui.files import open_file, write_atomic
from lora_tui.text.plain import plain
from lora_tui.text.translate import _

VARIABLE = "LORA_TUI_TICKET"


def hand_in(folder: Path) -> None:
    """Say that a job is about to begin in ``folder``, if anybody wants to know; what it starts has no ticket.

    Raises:
        UserError: ``ticket.write``; then the job must not begin.
    """
    name = os.environ.pop(VARIABLE, "")
    if not name:
        return
    text = json.dumps({"folder": os.path.abspath(folder)})  # noqa: PTH100 - links stay
    try:
        write_atomic(Path(name), text.encode("ascii"))
    except OSError as error:
        raise UserError(
            _("The queue cannot be told where the job runs: {reason}.").format(reason=error.strerror or error),
            place=plain(name),
            remedy=_("Make the folder writable and leave room on the disk."),
            code="ticket.write",
        ) from error


def read_ticket(path: Path) -> Path | None:
    """The folder that was handed in; none while nobody did."""
    try:
        with open_file(path) as file:
            value = json.loads(file.read(1 << 16))
    except (OSError, ValueError, RecursionError):
        return None
    folder = value.get("folder") if isinstance(value, dict) else None
    return Path(folder) if isinstance(folder, str) and folder and "\0" not in folder else None
