"""The keeper's eye on its run: reads the events as they come, raises alarms, and has them told, each once.

Works in a thread of its own, so that neither a long event file nor an error of a detector touches the keeping.
"""

from __future__ import annotations

import contextlib
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from lora_tui.alarms.alarm import NOTICE, Alarm, read_alarms, write_alarms
from lora_tui.alarms.courier import Courier, notice_of
from lora_tui.alarms.detect import OF_LEARNING, Detector
from lora_tui.alarms.facts import RunFacts
from lora_tui.alarms.finding import Finding
from lora_tui.alarms.words import alarm_for
from lora_tui.jobs.events import Event, EventReader, EventWriter, as_count, as_time
from lora_tui.text.plain import plain
from lora_tui.text.translate import _

EVERY = 2.0
"""Seconds between looks at the events."""

BLOCK = 1 << 18
"""Bytes of events that are read at a time."""

ENDS = frozenset({"failed", "died"})
GRAVE = frozenset({"nan", "gpu_memory", "memory", "disk", "silent", "failed", "died", "budget", "budget_short"})
"""What is told where only grave alarms are wanted, with the end of the run."""


class Guard:
    """Watches one life of a run. ``hear`` is called with each of its events, in the guard's thread.

    ``place`` gives the run folder where it lies now; ``begun`` are the bytes of the event file before this life;
    ``wanted`` is ``all``, ``errors`` or ``off``.
    """

    def __init__(
        self,
        place: Callable[[], Path],
        events: EventWriter,
        facts: RunFacts,
        *,
        begun: int,
        number: int = 0,
        wanted: str = "all",
        budget: float | None = None,
        hear: Callable[[Event], None] = lambda _event: None,
    ) -> None:
        self.facts = facts
        self._place = place
        self._events = events
        self._begun = begun
        self._number = number
        self._wanted = wanted
        self._hear = hear
        self._alarms = [alarm for alarm in read_alarms(place()) if alarm.code in OF_LEARNING]
        told = {alarm.code: alarm.step for alarm in self._alarms}
        self._detector = Detector(told, budget=budget)
        self._reader = EventReader(events.path)
        self._courier = Courier(self._not_taken)
        self._complained: set[str] = set()
        self._over = threading.Event()
        self._turn = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="guard", daemon=True)

    def start(self) -> None:
        """Begin to watch. What an earlier life told of its machine and its end holds no more."""
        with contextlib.suppress(OSError):
            if read_alarms(self._place()):
                write_alarms(self._place(), self._alarms)
        self._thread.start()

    def stop(self, seconds: float = 10.0) -> None:
        """Watch no longer, once what was written has been looked at; ``seconds`` at most."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def tell(self, alarm: Alarm, *, kept: bool = True) -> None:
        """Have an alarm told everywhere; ``kept``: it is one of the run's alarms, not only a notice of it."""
        grave = alarm.code in GRAVE or not kept
        if kept and (self._wanted == "all" or (self._wanted == "errors" and grave)):
            self._keep(alarm)
        if self._wanted != "off" and (grave or self._wanted == "all"):
            notice = notice_of(alarm, run=self.facts.name, number=self._number, folder=str(self._place()))
            self._courier.send(notice)

    def farewell(self, seconds: float) -> None:
        """Wait until all is told, ``seconds`` at most."""
        self._courier.close(seconds)

    def _keep(self, alarm: Alarm) -> None:
        with self._turn:
            self._alarms.append(alarm)
            if alarm.code not in ENDS:  # its event is there
                told = {name: value for name, value in asdict(alarm).items() if name != "time"}
                self._events.emit("alarm", **told)
            with contextlib.suppress(OSError):
                write_alarms(self._place(), self._alarms)

    def _work(self) -> None:
        try:
            while not self._over.is_set():
                self._look()
                self._over.wait(EVERY)
            self._look()
        except Exception:  # a run is worth more than an alarm
            traceback.print_exc()
            message = _("The alarms ended because of an error of their own; the training goes on.")
            self._events.emit("warning", code="alarms", message=message, remedy=_("Look at keeper.log."))

    def _look(self) -> None:
        while True:
            before = self._reader.offset
            rest = self._begun - before  # of what was written in earlier lives
            for event in self._reader.poll(min(BLOCK, rest) if rest > 0 else BLOCK):
                self._take(event, old=rest > 0)
            if self._reader.at_end:
                break
        for finding in self._detector.silent(time.time()):
            self._raise(finding, time.time())

    def _take(self, event: Event, *, old: bool) -> None:
        self.facts = self.facts.after(event)
        found = self._detector.take(event)
        if old:  # of an earlier life: that was told, or is no news
            return
        if event.get("kind") == "resumed":
            self._forget_after(as_count(event.get("step")))
        self._hear(event)
        for finding in found:
            self._raise(finding, as_time(event.get("t")) or time.time())

    def _raise(self, finding: Finding, when: float) -> None:
        self.tell(alarm_for(finding, self.facts, when))

    def _forget_after(self, step: int) -> None:
        """Alarms of steps that a resume left behind are about weights that are no more."""
        with self._turn:
            kept = [alarm for alarm in self._alarms if alarm.step <= step]
            if len(kept) != len(self._alarms):
                self._alarms = kept
                with contextlib.suppress(OSError):
                    write_alarms(self._place(), kept)

    def _not_taken(self, webhook: str, reason: str) -> None:
        """Say once of each webhook that it did not take a notice."""
        if webhook in self._complained:
            return
        self._complained.add(webhook)
        message = _("The notice was not taken by {webhook}: {reason}.").format(
            webhook=plain(webhook) or _("the webhooks"), reason=plain(reason).rstrip(".")
        )
        remedy = _("Try it: lora-tui notify test")
        self._events.emit("warning", code="webhook", message=message, remedy=remedy)


def budget_alarm(words: str, step: int, when: float) -> Alarm:
    """That the budget is used up; ``words`` say what it was."""
    message = _("The budget of {budget} is used up: the run saves and stops.").format(budget=words)
    advice = _("It can be resumed, which gives it the same budget again, or another: lora-tui runs resume --budget 1h")
    return Alarm("budget", NOTICE, message, advice, step, step, when)
