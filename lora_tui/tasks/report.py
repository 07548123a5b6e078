"""What a task's worker says and hears while it is at work."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from lora_tui.errors import UserError
from lora_tui.jobs.control import ControlInbox
from lora_tui.jobs.events import EventWriter
from lora_tui.text.translate import _

PROGRESS_SECONDS = 0.25
"""How often progress is written; the first and the last word of a phase always are."""

LISTEN_SECONDS = 0.2
"""How often requests are looked for."""

MOST_WARNINGS = 1000
"""Warnings that are written one by one; those beyond are counted in the result."""


class Report:
    """Given to a worker: it tells how far it is and asks whether to stop. Safe between threads.

    Attributes:
        resting: called with whether the task rests, for a worker whose work goes on while it waits here.
    """

    def __init__(self, root: Path, events: EventWriter, terminated: threading.Event) -> None:
        self.warnings = 0
        self.resting: Callable[[bool], None] = lambda _rests: None
        self._events = events
        self._inbox = ControlInbox(root)
        self._terminated = terminated
        self._guard = threading.Lock()
        self._stopped = False
        self._phase = ""
        self._since = 0.0
        self._first = 0
        self._written = 0.0
        self._listened = 0.0
        self._shown: tuple[int, int, str] = (0, 0, "")

    def progress(self, phase: str, done: int, total: int, detail: str = "") -> None:
        """How far the phase is: ``done`` of ``total`` items, and what is in hand. Cheap; call it for each item."""
        now = time.time()
        with self._guard:
            begins = phase != self._phase
            if begins:
                self._phase, self._since, self._first = phase, now, done
            self._shown = (done, total, detail)
            if begins or done >= total or now - self._written >= PROGRESS_SECONDS:
                self._tell(now)

    def warn(self, error: UserError) -> None:
        """Something that a person should know; the work goes on."""
        with self._guard:
            self.warnings += 1
            if self.warnings <= MOST_WARNINGS:
                self._events.emit("warning", **error.as_dict())

    def should_stop(self) -> bool:
        """Whether to stop at the next item; while the task is paused this does not return."""
        with self._guard:
            now = time.monotonic()
            if not self._stopped and now - self._listened >= LISTEN_SECONDS:
                self._listened = now
                self._listen()
            return self._stopped or self._terminated.is_set()

    def _listen(self) -> None:
        paused = False
        while True:
            for request in self._inbox.poll():
                if request.kind in ("stop", "stop_now"):
                    self._stopped, paused = True, False
                elif request.kind == "pause":
                    paused = True
                elif request.kind == "resume":
                    paused = False
                else:
                    detail = _("only a training can do that")
                    self._events.emit("control", request=request.kind, status="rejected", detail=detail)
                    continue
                self._events.emit("control", request=request.kind, status="accepted")
            if not paused or self._stopped or self._terminated.is_set():
                break
            if self._phase != "paused":
                self._rest()
            self._terminated.wait(LISTEN_SECONDS)
        if self._phase == "paused":
            self._go_on()

    def _rest(self) -> None:
        self._before = (self._phase, self._since, self._first)
        self._phase = "paused"
        self._rested = time.time()
        self.resting(True)
        self._tell(self._rested)

    def _go_on(self) -> None:
        self.resting(False)
        now = time.time()
        self._phase, since, self._first = self._before
        self._since = since + (now - self._rested)  # a pause does not make it slower
        self._tell(now)

    def _tell(self, now: float) -> None:
        done, total, detail = self._shown
        self._written = now
        pace = {"since": round(self._since, 3), "first": self._first}
        self._events.emit("phase", phase=self._phase, done=done, total=total, detail=detail[:200], **pace)
