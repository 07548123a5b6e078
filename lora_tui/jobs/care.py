"""What the keeper does beside keeping: alarms, the budget, telling of the end, and the command after it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

from lora_tui.alarms.ending import Ending, alarm_at_end, ending_of, variables
from lora_tui.alarms.facts import facts_of, read_config, text_of
from lora_tui.alarms.guard import Guard, budget_alarm
from lora_tui.errors import UserError
from lora_tui.jobs import control
from lora_tui.jobs.after import After, run_after
from lora_tui.jobs.budget import Budget, parse_budget
from lora_tui.jobs.deadline import Deadline
from lora_tui.jobs.events import Event, EventWriter, as_count, as_number
from lora_tui.jobs.job import read_job
from lora_tui.runs.folder import RunFolder
from lora_tui.runs.record import read_record, update_record
from lora_tui.text.translate import _

TELLING = 35.0
"""Seconds that notices of the end may take before the command after it is run all the same."""

ENTRY = "ending"
"""The place in the record of how the run ended and what was done after it."""


class Care:
    """Of one life of a run in ``run_dir``, whose events before it are the first ``begun`` bytes.

    Args:
        place: gives the run folder where it lies now.
        budget: in place of the configuration's, for this life alone.
        kill: ends the job at once.
    """

    def __init__(
        self, run_dir: Path, events: EventWriter, place: Callable[[], Path], kill: Callable[[], None], *, budget: str
    ) -> None:
        self._events = events
        self._place = place
        self._kill = kill
        self._config = read_config(run_dir)
        self._record = read_record(RunFolder(run_dir))
        self._step = 0
        self._budget, self._deadline = self._limits(budget or text_of(self._config, ENTRY, "budget"))
        self._guard = Guard(
            place,
            events,
            facts_of(self._config, run_dir.name),
            begun=events.size(),
            number=as_count(self._record.get("number")),
            wanted=text_of(self._config, ENTRY, "alarms") or "all",
            budget=self._deadline.seconds if self._deadline else None,
            hear=self._hear,
        )
        self._ending: Ending | None = None
        self._attempt = 0

    def begin(self) -> None:
        """Forget what was noted of the end of an earlier life: this one may end with nobody to note it."""
        self._write_note({})

    def start(self) -> None:
        """The job has begun."""
        if self._deadline is not None:
            self._deadline.begun = time.monotonic()
        self._guard.start()

    def look(self) -> None:
        """Ask the job to stop where its budget wants it; called every few seconds."""
        due = self._deadline.due(time.monotonic()) if self._deadline is not None else ""
        if due == "kill":
            self._kill()
        elif due:
            with contextlib.suppress(UserError):  # the folder is gone or cannot be written: it is ended at last
                control.request(self._place(), due)
        if due == "stop":
            self._guard.tell(budget_alarm(self._words(), self._step, time.time()))

    def ended(self, attempt: int) -> None:
        """The job has ended and the files say so: have everyone told, while the run is still ours."""
        self._attempt = attempt
        self._guard.stop()
        by_budget = self._deadline is not None and self._deadline.reached
        self._ending = ending_of(self._place(), by_budget=by_budget)
        alarm = alarm_at_end(self._ending, time.time())
        self._guard.tell(alarm, kept=alarm.code in ("failed", "died"))
        self._note(None)

    def farewell(self) -> None:
        """Wait until all are told, and run the command after the run; another keeper may have the run by now."""
        if self._ending is None:
            return
        self._guard.farewell(TELLING)
        command = text_of(self._config, ENTRY, "on_finish").strip()
        if not command:
            return
        if not self._has_run():  # resumed meanwhile: its end is yet to come, and so is what is to be done then
            self._events.emit("on_finish", command=command, status="left_out")
            return
        self._events.emit("on_finish", command=command, status="started")
        self._note(After(command, None, 0.0))
        after = run_after(command, self._place(), variables(self._ending))
        self._events.emit("on_finish", command=command, status="done", exit_status=after.exit_status)
        if after.exit_status != 0:
            message = _("The command at the end did not do its work: {reason}.").format(reason=reason_of(after))
            remedy = _("What it printed is in on_finish.log.")
            self._events.emit("warning", code="on_finish", message=message, remedy=remedy)
        self._note(after)

    def _limits(self, text: str) -> tuple[Budget | None, Deadline | None]:
        """The budget and its deadline; one that cannot be kept is told and let be."""
        try:
            budget = parse_budget(text)
            return budget, Deadline(budget.within(self._price)) if budget is not None else None
        except UserError as error:
            self._events.emit("warning", code=error.code, message=error.message, remedy=error.remedy)
            return None, None

    @property
    def _price(self) -> float:
        price = as_number(self._record.get("price_per_hour")) or 0.0
        return price if 0 < price < 1e9 else 0.0

    def _words(self) -> str:
        return self._budget.words(self._price) if self._budget is not None else ""

    def _hear(self, event: Event) -> None:
        if event.get("kind") in ("step", "resumed"):
            self._step = as_count(event.get("step")) or self._step
        if self._deadline is not None:
            self._deadline.take(event)

    def _note(self, after: After | None) -> None:
        """Write into the record how it ended and what was done, as long as no later life has the run."""
        ending = self._ending
        assert ending is not None
        if not self._has_run():
            return
        entry: dict[str, object] = {"reason": ending.reason, "seconds": round(ending.seconds, 1)}
        if ending.cost is not None:
            entry.update(cost=round(ending.cost, 4), currency=ending.currency)
        if self._budget is not None and self._deadline is not None:
            budget = {"said": self._budget.text, "seconds": self._deadline.seconds, "reached": self._deadline.reached}
            entry["budget"] = budget
        if after is not None:
            told = {"command": after.command, "exit_status": after.exit_status, "seconds": round(after.seconds, 1)}
            entry["on_finish"] = told
        self._write_note(entry)

    def _has_run(self) -> bool:
        """Whether the run is still that of this life."""
        job = read_job(self._place())
        return job is not None and job.attempt == self._attempt

    def _write_note(self, entry: dict[str, object]) -> None:
        """Replace what the record says of the end."""
        run = RunFolder(self._place())
        if entry or ENTRY in read_record(run):
            with contextlib.suppress(OSError):
                update_record(run, **{ENTRY: entry})


def reason_of(after: After) -> str:
    """Why a command after the end did not do its work."""
    if after.error:
        return after.error
    if after.exit_status is None:
        return _("it has not ended")
    return _("it ended with status {status}").format(status=after.exit_status)
