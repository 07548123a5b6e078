"""``python -m lora_tui.trainer.follower``: a process that shares each update of a run and decides nothing.

The first process of the run starts it (:mod:`lora_tui.trainer.crew`), tells it through standard input what to train,
and holds that open: when it ends, this ends. A failure is said as one line of JSON on standard output; whatever else
is printed goes to a log of its own.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import pickle
import signal
import sys
import threading
import traceback
from typing import Any

import torch

from lora_tui.errors import UserError
from lora_tui.jobs.control import ControlInbox
from lora_tui.jobs.events import EventWriter
from lora_tui.runs.folder import RunFolder
from lora_tui.text import set_language
from lora_tui.trainer.control import Controls
from lora_tui.trainer.devices import use_threads
from lora_tui.trainer.failures import explain
from lora_tui.trainer.handover import Handover
from lora_tui.trainer.life import quiet_libraries
from lora_tui.trainer.loop import Loop
from lora_tui.trainer.ranks import join
from lora_tui.trainer.run import open_base, stores
from lora_tui.trainer.session import Session
from lora_tui.trainer.trainee import build_trainee

WAITING = 30.0
"""Seconds that this waits for the first process to end it, when others of the run are gone."""

_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of Linux


class Quiet(EventWriter):
    """Events of a run are the first process's; but of an image that only this one sees the damage of, it tells."""

    def emit(self, kind: str, **fields: Any) -> None:
        if kind == "warning" and fields.get("code") == "image.damaged":
            super().emit(kind, **fields)


class Led(Controls):
    """Ears of a process that hears only what the first one says, where they meet."""

    def safe_point(self) -> None:
        pass


def main() -> int:
    """Follow until the first process ends this one; exit status 1 if it failed before."""
    words = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no word
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # they are for the first process, which saves
    _die_with_parent()
    set_language()
    try:
        handover: Handover = pickle.load(sys.stdin.buffer)  # of the parent, which has just made it
    except EOFError:  # it ended meanwhile
        return 1
    lifeline = threading.Thread(target=_end_with_first, name="lifeline", daemon=True)
    lifeline.start()
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


def follow(handover: Handover, lifeline: threading.Thread) -> None:
    """Load what is trained, come together with the others, and share their updates until ``lifeline`` ends this.

    Raises:
        UserError, OSError, RuntimeError: it failed.
    """
    quiet_libraries()
    use_threads(handover.threads)
    torch.manual_seed(handover.config.steps.seed)
    if handover.device.type == "cuda":
        torch.cuda.set_device(handover.device)
    folder = RunFolder(handover.root)
    events = Quiet(folder.events_path)
    controls = Led(ControlInbox(folder.root), events)
    session = Session(folder, handover.config, events, controls, handover.device, handover.dtype)
    session.ladder.policy, session.ladder.tells = handover.policy, False

    def gone(error: RuntimeError) -> Exception:
        lifeline.join(WAITING)  # that another process is gone is for the first one to tell
        return error

    with contextlib.ExitStack() as held:
        for store in stores():
            held.enter_context(store.in_use())
        material = handover.provisions.material(session, open_base(session))
        trainee = build_trainee(session, material.model)
        session.ranks = join(handover.number, handover.count, handover.device, handover.port, gone)
        Loop(session, material, trainee).follow()
        lifeline.join()


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
