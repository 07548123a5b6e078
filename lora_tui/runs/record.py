"""The record of a run: what it was started with and what came of it, in ``record.json``."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lora_tui import __version__
from lora_tui.jobs.process import host
from lora_tui.jobs.resources import gpu_list
from lora_tui.runs.folder import RunFolder, read_json, write_json


def first_record(command: Sequence[str] | None = None) -> dict[str, Any]:
    """What is known before a run starts: versions, machine, GPUs, and the command that a person gave."""
    line = list(command) if command is not None else [Path(sys.argv[0]).name, *sys.argv[1:]]
    return {
        "command": line,
        "host": host(),
        "versions": {"lora-tui": __version__, "python": platform.python_version()},
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpus": os.cpu_count() or 0,
        "gpus": gpu_list(),
    }


def read_record(run: RunFolder) -> dict[str, Any]:
    """The record; empty when it is missing or damaged."""
    return read_json(run.record_path)


def update_record(run: RunFolder, **values: Any) -> None:
    """Add or replace entries of the record, all at once.

    Raises:
        OSError: the folder cannot be written; the old record is untouched.
    """
    write_json(run.record_path, {**read_json(run.record_path), **values})
