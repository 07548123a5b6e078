"""What the program remembers of projects, each kind in a file of the state folder: read, and changed one at a time.

A file is a JSON object by project, the one used last at its end. What cannot be read is forgotten, and what cannot be
written is let be: nothing in it is worth stopping somebody for.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lora_tui.errors import UserError
from lora_tui.files import write_atomic
from lora_tui.settings import state_dir

PROJECTS = 200
"""Of which something is remembered; those used longest ago are forgotten."""

PATIENCE = 2.0
"""Seconds to wait for another program that changes the same file; its change takes milliseconds."""


def recall(file: str) -> dict[str, Any]:
    """What is remembered, by project."""
    try:
        found = json.loads((state_dir() / file).read_bytes())
    except (OSError, ValueError, RecursionError, UserError):
        return {}
    return found if isinstance(found, dict) else {}


def remember(file: str, project: Path, change: Callable[[Any], Any]) -> None:
    """Remember something else of a project.

    Args:
        change: given what was remembered of it, none where nothing was; gives what is to be.
    """
    try:
        path = state_dir() / file
        path.parent.mkdir(parents=True, exist_ok=True)
        with _turn(path):
            known = recall(file)
            before = known.pop(str(project), None)
            known[str(project)] = change(before)
            text = json.dumps(dict(list(known.items())[-PROJECTS:]), ensure_ascii=True, indent=1)
            write_atomic(path, text.encode("ascii"), durable=False)
    except (OSError, UserError):
        return


@contextlib.contextmanager
def _turn(path: Path) -> Iterator[None]:
    """One after the other, so that nobody writes over what another has just remembered."""
    descriptor = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.01)
            except OSError:  # a file system without locks
                break
        yield
    finally:
        os.close(descriptor)
