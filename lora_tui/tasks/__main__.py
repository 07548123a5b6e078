"""``python -m lora_tui.tasks TASK_DIR [--resume]``: take the lock, read what was asked for, do it, tell the end."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import traceback
from pathlib import Path

from lora_tui.errors import UserError
from lora_tui.jobs.control import clear
from lora_tui.jobs.events import EventWriter
from lora_tui.jobs.lock import RunLock
from lora_tui.tasks.folder import TaskFolder
from lora_tui.tasks.kinds import worker
from lora_tui.tasks.report import Report
from lora_tui.text.translate import _, set_language


def main() -> int:
    """Do one task; exit status 0 done or stopped, 1 failed, 2 the input is wrong."""
    parser = argparse.ArgumentParser(prog="python -m lora_tui.tasks", allow_abbrev=False)
    parser.add_argument("task", type=Path)
    parser.add_argument("--resume", action="store_true", help="go on where it was; every worker does so by itself")
    arguments = parser.parse_args()
    terminated = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: terminated.set())
    set_language()
    task = TaskFolder(arguments.task.resolve())
    try:
        lock = RunLock.acquire(task.lock_path)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    with lock:
        clear(task.root)
        events = EventWriter(task.events_path)
        try:
            return _do(task, events, terminated)
        finally:
            events.close()


def _do(task: TaskFolder, events: EventWriter, terminated: threading.Event) -> int:
    report = Report(task.root, events, terminated)
    report.progress("loading", 0, 0)
    try:
        request = task.read()
        result = worker(str(request["kind"]))(request["options"], report)
    except UserError as error:
        return _failed(events, error, 2)
    except ImportError as error:
        traceback.print_exc()
        missing = _("A library is missing: {name}.").format(name=error.name or error)
        return _failed(events, UserError(missing, remedy=_("See: lora-tui doctor"), code="missing.library"), 2)
    except MemoryError:
        traceback.print_exc()
        return _failed(events, UserError(_("The machine ran out of memory."), code="memory"), 1)
    except Exception as error:
        traceback.print_exc()
        told = _("It failed by a fault of the program: {error}.").format(error=f"{type(error).__name__}: {error}"[:500])
        return _failed(events, UserError(told, remedy=_("The log of the task has the details."), code="crash"), 1)
    reason = "stopped" if report.should_stop() and not result.get("complete", False) else "completed"
    events.emit("finished", reason=reason, result=result, warnings=report.warnings)
    return 0


def _failed(events: EventWriter, error: UserError, status: int) -> int:
    print(error, file=sys.stderr, flush=True)
    events.emit("failed", code=error.code, message=error.message, place=error.place, advice=error.remedy)
    return status


if __name__ == "__main__":
    sys.exit(main())
