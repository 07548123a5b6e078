"""``python -m lora_tui.trainer.follower``: a process that shares each update of a run and decides nothing.

The first process of the run (:mod:`lora_tui.trainer.crew`) tells it through a line what to train, and holds that open:
when it ends, this ends. Where the first one started it, the line is standard input, and libraries are loaded once the
kernel knows whose end is the end of this. With ``--launched`` a launcher started it, and it finds the first one by the
launcher's environment. A failure is said as one line of JSON; whatever else is printed goes to a log of its own.
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
from lora_tui.text import _, set_language

_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of Linux


def main() -> int:
    """Follow until the first process ends this one; exit status 1 if it failed before."""
    set_language()
    if sys.argv[1:] == ["--launched"]:
        try:
            line = _line_to_first()
        except UserError as error:
            print(error, file=sys.stderr, flush=True)
            return 2
        words = os.fdopen(os.dup(line), "w", encoding="utf-8")
    else:
        _die_with_parent()
        _leave_signals_to_first()
        line = 0
        words = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)  # what libraries print is no word
    try:
        handover = pickle.load(os.fdopen(line, "rb", closefd=False))  # of the first process, which has just made it
    except (EOFError, OSError, pickle.UnpicklingError):  # it ended meanwhile
        return 0 if line else 1
    _leave_signals_to_first()
    lifeline = threading.Thread(target=_end_with_first, args=(line,), name="lifeline", daemon=True)
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


def _line_to_first() -> int:
    """The descriptor of a connection to the first process; until it is there, any signal ends this."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from lora_tui.jobs.launcher import launched

    place = launched()
    if place is None:
        raise UserError(_("No launcher has started this."), code="launcher.environment")
    from lora_tui.trainer.reception import come

    return come(place).detach()


def _leave_signals_to_first() -> None:
    """Signals that end a program are for the first process, which saves."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


def _end_with_first(line: int) -> None:
    """End this process, whatever it is doing, when the line to the first one ends."""
    with contextlib.suppress(OSError):
        while os.read(line, 1 << 16):
            pass
    os._exit(0)


def _die_with_parent() -> None:
    """Have the kernel end this process with its parent, for the time when it cannot do so itself."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
