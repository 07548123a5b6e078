"""The command that is run after a run has ended."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lora_tui.alarms.webhooks import SECRETS
from lora_tui.files import open_append
from lora_tui.jobs.job import environment

LOG = "on_finish.log"
"""What the command prints, in the run folder."""
LIMIT = 3600.0
"""Seconds after which its end is not waited for any more; it goes on."""
SHELL = "/bin/sh"


@dataclass(frozen=True)
class After:
    """What became of the command: its exit status (128 + n for signal n), none when it had not ended."""

    command: str
    exit_status: int | None
    seconds: float
    error: str = ""


def run_after(command: str, run_dir: Path, facts: Mapping[str, str], *, limit: float = LIMIT) -> After:
    """Run ``command`` by the shell, with ``facts`` in its environment and its output in :data:`LOG`; wait for its end.

    It stands in the run folder, or in ``/`` where that is gone, and has a session of its own: it may end the machine,
    the keeper, or live on.
    """
    begun = time.monotonic()
    env = {name: value for name, value in {**environment(), **facts}.items() if name not in SECRETS}
    with contextlib.ExitStack() as stack:
        try:
            output = stack.enter_context(open_append(run_dir / LOG))
        except OSError:
            output = stack.enter_context(Path(os.devnull).open("ab"))
        try:
            process = subprocess.Popen(
                [SHELL, "-c", command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=run_dir if run_dir.is_dir() else "/",
                env=env,
            )
        except (OSError, ValueError) as error:
            return After(command, None, 0.0, str(getattr(error, "strerror", "") or error))
    try:
        code = process.wait(limit)
    except subprocess.TimeoutExpired:
        return After(command, None, time.monotonic() - begun)
    return After(command, code if code >= 0 else 128 - code, time.monotonic() - begun)
