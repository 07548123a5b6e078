"""``python -m lora_tui.trainer.follower``: a process that shares each update of a run and decides nothing.

The first process of the run starts it (:mod:`lora_tui.trainer.crew`), tells it through standard input what to train,
and holds that open: when it ends, this ends. A failure is said as one line of JSON on standard output; whatever else
is printed goes to a log of its own. Libraries are loaded once the kernel knows whose end is the end of this.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import pickle
import signal
import sys
import threading
import traceback

from lora_tui.errors import UserError
from lora_tui.text import set_language

_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of Linux


def main() -> int:
    """Follow until the first process ends this one; exit status 1 if it failed before."""
    _die_with_parent()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # they are for the first process, which saves
    words = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no word
    set_language()
    try:
        handover = pickle.load(sys.stdin.buffer)  # of the parent, which has just made it
    except EOFError:  # it ended meanwhile
        return 1
    lifeline = threading.Thread(target=_end_with_first, name="lifeline", daemon=True)
    lifeline.start()
    gc.disable()  # as the first process does
    from lora_tui.trainer.failures import explain
    from lora_tui.trainer.following import follow

    gc.freeze()
    gc.enable()
    try:
        follow(handover, lifeline)
    except Exception as error:
        if not isinstance(error, UserError):
            traceback.print_exc()
        failure = explain(error)
        with contextlib.suppress(OSError):
            json.dump({"code": failure.code, "message": failure.message, "advice": failure.advice}, words)
            words.flush()
    return 1


def _end_with_first() -> None:
    """End this process, whatever it is doing, when its standard input ends."""
    while os.read(0, 1 << 16):
        pass
    os._exit(0)


def _die_with_parent() -> None:
    """Have the kernel end this process with its parent, for the time when it cannot do so itself."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
