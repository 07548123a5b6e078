"""What a person asks of a living run, honoured at the next safe point of whatever it is doing."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

import torch

from lora_tui.jobs.control import ControlInbox, Request
from lora_tui.jobs.events import EventWriter
from lora_tui.text import _

POLL_SECONDS = 0.1  # how often the folder is looked at, however many safe points pass
PAUSED_SECONDS = 0.2  # the same while paused
WISHES = ("save", "sample", "validate", "measure", "set")
MOST_WISHES = 32  # that may wait for the end of a step


class StopRun(Exception):
    """The run is to end; ``now`` gives up what was done since the last state."""

    def __init__(self, *, now: bool) -> None:
        super().__init__("stop now" if now else "stop")
        self.now = now


class Controls:
    """Reads requests and acts on them.

    ``park`` makes what was learned safe and frees the device, ``unpark`` takes it again. A run that is stopped
    while it is paused stays off the device and saves from where it is.
    """

    def __init__(self, inbox: ControlInbox, events: EventWriter, terminated: threading.Event | None = None) -> None:
        """``terminated``: set by whoever heard SIGTERM or SIGINT before this could."""
        self._inbox = inbox
        self._events = events
        self._looked = 0.0
        self._terminated = terminated or threading.Event()
        self._deaf = False  # within a pause: saving on the way into it is not to be stopped itself
        self._ending: StopRun | None = None  # the stop that was raised; only one that is more urgent comes after it
        self.wishes: list[Request] = []
        self.away = 0.0  # seconds spent in pauses
        self.park: Callable[[], None] = lambda: None
        self.unpark: Callable[[], None] = lambda: None

    def listen_to_signals(self) -> None:
        """SIGTERM and SIGINT stop the run as the request does: it saves first."""
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._terminated.set()

    def safe_point(self) -> None:
        """Call where the run may stop or wait.

        Raises:
            StopRun: a stop was asked for. While that is obeyed, a stop without saving is heard, too.
        """
        if self._deaf or (self._ending is not None and self._ending.now):
            return
        if self._terminated.is_set() and self._ending is None:
            raise self._stop(now=False)
        now = time.monotonic()
        if now - self._looked < POLL_SECONDS:
            return
        self._looked = now
        if self._ending is not None:
            self._read_while_ending()
        elif self._read(paused=False):
            self._wait_while_paused()

    def _read(self, *, paused: bool) -> bool:
        """Take what was asked; return whether the run is paused after it. A stop is acted on last of all."""
        stop: bool | None = None
        for request in self._inbox.poll():
            if request.kind in ("stop", "stop_now"):
                self.answer(request.kind, "accepted")
                stop = bool(stop) or request.kind == "stop_now"
            else:
                paused = self._take(request, paused)
        if stop is not None:
            raise self._stop(now=stop)
        return paused

    def _read_while_ending(self) -> None:
        """Answer what comes after a stop; one that gives up saving overrules it."""
        overruled = False
        for request in self._inbox.poll():
            if request.kind == "stop_now":
                self.answer(request.kind, "accepted")
                overruled = True
            else:
                self.answer(request.kind, "rejected", _("the run is stopping"))
        if overruled:
            raise self._stop(now=True)

    def settle(self) -> None:
        """Nothing can be stopped any more: what is left is to save a result that is complete."""
        self._ending = StopRun(now=True)

    def _take(self, request: Request, paused: bool) -> bool:
        """Note one request that is no stop; return whether the run is paused after it."""
        kind = request.kind
        if kind in WISHES:
            if len(self.wishes) >= MOST_WISHES:
                self.answer(kind, "rejected", _("too many requests wait already"))
                return paused
            if not any((kind, request.fields) == (wish.kind, wish.fields) for wish in self.wishes):
                self.wishes.append(request)
            self.answer(kind, "accepted")
        elif kind == "pause":
            self.answer(kind, "accepted")
            return True
        elif kind == "resume":
            if paused and not self._deaf:
                self.answer("pause", "rejected", _("it was taken back"))
            self.answer(kind, "done" if paused else "rejected", "" if paused else _("the run is not paused"))
            return False
        else:
            self.answer(kind, "rejected", _("there is no such request"))
        return paused

    def _stop(self, *, now: bool) -> StopRun:
        self._deaf, self._looked = False, 0.0
        self._ending = StopRun(now=now)
        return self._ending

    def _wait_while_paused(self) -> None:
        self._deaf = True  # parking saves, and saving has safe points
        self.park()
        self.answer("pause", "done")
        self._events.emit("phase", phase="paused", done=0, total=0, detail="")
        since = time.monotonic()
        while True:
            if self._terminated.wait(PAUSED_SECONDS):
                raise self._stop(now=False)
            if self._read(paused=True):
                continue
            if not self._unparked():  # the error is gone, and with it the memory that its frames hold
                self.park()
                self.answer("resume", "rejected", _("the GPU has no room for it now"))
                continue
            self._deaf = False
            self.away += time.monotonic() - since
            return

    def _unparked(self) -> bool:
        """Take the device again; whether there was room."""
        try:
            self.unpark()
        except torch.OutOfMemoryError:
            return False
        return True

    def answer(self, request: str, status: str, detail: str = "") -> None:
        """Tell whoever asked."""
        self._events.emit("control", request=request, status=status, detail=detail)

    def take_wishes(self) -> list[Request]:
        """The wishes noted since the last call, in the order in which they came."""
        taken, self.wishes = self.wishes, []
        return taken

    def close(self) -> None:
        """Answer what can no longer be done."""
        for request in [*self.take_wishes(), *self._inbox.poll()]:
            self.answer(request.kind, "rejected", _("the run has ended"))
