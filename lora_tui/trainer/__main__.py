"""``python -m lora_tui.trainer RUN_DIR [--resume]``: take the lock, read the settings, train, explain a death.

With ``--launched`` it is the first of the processes that a launcher started (:mod:`lora_tui.jobs.launcher`).
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import NoReturn

import psutil

from lora_tui.errors import UserError
from lora_tui.jobs.control import clear
from lora_tui.jobs.events import EventWriter
from lora_tui.jobs.launcher import launched
from lora_tui.jobs.lock import RunLock
from lora_tui.runs.folder import RunFolder
from lora_tui.text import _, set_language


def main() -> int:
    """Run one training; exit status 0 finished or stopped, 1 failed, 2 the input is wrong."""
    parser = argparse.ArgumentParser(prog="python -m lora_tui.trainer", allow_abbrev=False)
    parser.add_argument("run", type=Path)
    parser.add_argument("--resume", action="store_true", help="continue from the newest state")
    parser.add_argument("--launched", action="store_true", help="share each step with the processes of a launcher")
    arguments = parser.parse_args()
    terminated = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):  # loading takes a while; it ends at the first safe point after it
        signal.signal(number, lambda _number, _frame: terminated.set())
    set_language()
    # Before torch is loaded: arithmetic threads that wait without spinning. On a machine that does other things,
    # too, a step on the CPU is several times faster; nothing changes on a GPU.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    folder = RunFolder(arguments.run.resolve())
    try:
        lock = RunLock.acquire(folder.lock_path)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    with lock:
        clear(folder.root)
        events = EventWriter(folder.events_path)
        try:
            return _train(folder, events, terminated, resume=arguments.resume, together=arguments.launched)
        finally:
            events.close()


def _train(folder: RunFolder, events: EventWriter, terminated: threading.Event, *, resume: bool, together: bool) -> int:
    events.emit("phase", phase="loading", done=0, total=0, detail="libraries")
    gc.disable()  # a fifth of the loading would be looks for garbage among modules, which are none
    try:
        from lora_tui.trainer.libraries import leave_scipy_out

        leave_scipy_out()
        from lora_tui.config.load import load_config, set_values
        from lora_tui.trainer.life import live
    except ImportError as error:
        _report_missing(events, error)
        return 2
    finally:
        gc.freeze()  # and none later in the run either
        gc.enable()
    from lora_tui.trainer.failures import explain

    try:
        folder.require_known_format()
        config, place = load_config(folder.config_path), launched() if together else None
        if place is not None:  # a resumed run may have been started with another number of them
            config = set_values(config, [f"memory.processes={place.count}"])
        begun = psutil.Process().create_time()
        return live(folder, config, events, resume=resume, terminated=terminated, launched=place, begun=begun)
    except Exception as error:
        failure = explain(error)
        with contextlib.suppress(OSError):  # the disk of the log may be what is full
            if not isinstance(error, UserError):
                traceback.print_exc()
            print(_("failed:"), failure.message, failure.advice, file=sys.stderr, flush=True)
        events.emit("failed", code=failure.code, message=failure.message, advice=failure.advice)
        return failure.status


def _report_missing(events: EventWriter, error: ImportError) -> None:
    traceback.print_exc()
    events.emit(
        "failed",
        code="missing.train",
        message=_("a library for training is missing: {name}.").format(name=error.name or error),
        advice="pip install 'lora-tui[train]'",
    )


def _leave(status: int) -> NoReturn:
    """End this process; at once where it was joined with others, whose libraries may wait for those that are gone."""
    joined = sys.modules.get("torch.distributed")
    if joined is not None and joined.is_available() and joined.is_initialized():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


if __name__ == "__main__":
    _leave(main())
