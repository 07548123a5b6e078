"""Processes that do not outlive the one they work for."""

from __future__ import annotations

import os
import threading
import time

WATCH_SECONDS = 1.0


def end_with_parent(parent: int = 0) -> None:
    """See to it that this process ends, whatever a library is at, soon after the one that started it is gone.

    Call it first of all; ``parent`` is the number of that process where it was learned before something slow.
    """
    threading.Thread(target=_watch, args=(parent or os.getppid(),), name="watch", daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(WATCH_SECONDS)
    os._exit(1)
