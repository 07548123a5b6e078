"""A process ends with the one that started it, also while it waits for what will never come."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from support import until

WAITING = """
import threading
from lora_tui.orphans import end_with_parent
end_with_parent()
print("waiting", flush=True)
threading.Event().wait()
"""
STARTING = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE)
assert child.stdout.readline() == b"waiting\\n"
print(child.pid, flush=True)
child.wait()
"""


def test_it_ends_when_its_parent_is_killed() -> None:
    parent = subprocess.Popen([sys.executable, "-c", STARTING, WAITING], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert Path(f"/proc/{child}").exists()
    parent.kill()
    parent.communicate()
    until(lambda: not _runs(child), 15)


def _runs(pid: int) -> bool:
    """One that has ended and was not yet waited for by anybody does not run."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
