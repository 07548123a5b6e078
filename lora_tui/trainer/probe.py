"""``python -m lora_tui.trainer.probe RUN_DIR``: one short life of a run that says what each of its phases took at most.

The run itself is an ordinary one of two steps (:mod:`lora_tui.runs.probe` makes it); here its events are watched, and
with each the highest use of memory since the one before. Adds an event ``peaks`` at the end: phase to bytes.
"""

from __future__ import annotations

import contextlib
import gc
import resource
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

from lora_tui.errors import UserError
from lora_tui.jobs.events import EventWriter
from lora_tui.orphans import end_with_parent
from lora_tui.runs.folder import RunFolder
from lora_tui.text import set_language
from lora_tui.trainer.memory.peak import peak_of

RESET_PEAK = "5"
"""What ``/proc/self/clear_refs`` takes to forget the highest resident size (proc(5), Linux 4.0)."""

WHO = "probe"


class Peaks:
    """The highest use of memory by phase.

    Bytes of tensors by torch's own count on a GPU; of the whole process, libraries included, on a CPU. There it is
    counted in each phase by itself where the system allows that, else from the beginning on.

    Attributes:
        found: phase to bytes.
        reserved: the most that torch held of the GPU, tensors and gaps between them; 0 on a CPU.
    """

    def __init__(self) -> None:
        self.found: dict[str, int] = {}
        self.reserved = 0
        self._phase = "loading"
        self._guard = threading.Lock()  # several threads may tell events

    def see(self, kind: str, fields: dict[str, Any]) -> None:
        """Take what was used until this event for the phase before it."""
        with self._guard:
            self.found[self._phase] = max(self.found.get(self._phase, 0), self._take())
            if kind == "phase":
                self._phase = str(fields.get("phase", self._phase))

    def _take(self) -> int:
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_initialized():
            found = peak_of().forget(WHO)
            self.reserved = max(self.reserved, found.reserved)
            return found.allocated
        most = _highest_resident()
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text(RESET_PEAK, "ascii")
        return most


class WatchedWriter(EventWriter):
    """Writes events and tells ``peaks`` of each."""

    def __init__(self, path: Path, peaks: Peaks) -> None:
        super().__init__(path)
        self._peaks = peaks

    def emit(self, kind: str, **fields: Any) -> None:
        self._peaks.see(kind, fields)
        super().emit(kind, **fields)


def main() -> int:
    """Probe one run folder; exit status 0 done, 1 failed, 2 the input is wrong."""
    end_with_parent()
    folder = RunFolder(Path(sys.argv[1]).resolve())
    terminated = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: terminated.set())
    set_language()
    peaks = Peaks()
    events = WatchedWriter(folder.events_path, peaks)
    try:
        return _live(folder, events, terminated)
    finally:
        peaks.see("peaks", {})
        EventWriter.emit(events, "peaks", reserved=peaks.reserved, bytes=peaks.found)
        events.close()


def _live(folder: RunFolder, events: EventWriter, terminated: threading.Event) -> int:
    events.emit("phase", phase="loading", done=0, total=0, detail="libraries")
    try:
        from lora_tui.config.load import load_config
        from lora_tui.trainer.failures import explain
        from lora_tui.trainer.life import live
    except ImportError as error:
        advice = "pip install 'lora-tui[train]'"
        events.emit("failed", code="missing.train", message=str(error), advice=advice)
        return 2
    gc.freeze()
    try:
        return live(folder, load_config(folder.config_path), events, resume=False, terminated=terminated)
    except Exception as error:
        if not isinstance(error, UserError):
            traceback.print_exc()
        failure = explain(error)
        events.emit("failed", code=failure.code, message=failure.message, advice=failure.advice)
        return failure.status


def _highest_resident() -> int:
    """Bytes; since the last reset where the system tells that."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/self/status").read_text("ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    sys.exit(main())
