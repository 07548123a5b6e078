"""How a run fares, from the ends of its files: cheap enough to ask for a thousand runs at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lora_tui.alarms.alarm import Alarm, read_alarms
from lora_tui.jobs import control
from lora_tui.jobs.backwards import newest_first
from lora_tui.jobs.events import Event, as_count, as_number, as_time
from lora_tui.jobs.explain import Death, Explanation, explain, read_tail
from lora_tui.jobs.job import Job, is_of, keeper_alive, read_job_file, trainer_alive
from lora_tui.jobs.resources import disk_free
from lora_tui.jobs.slurm.outlook import Outlook, outlook
from lora_tui.runs.folder import FORMAT, MOST_NUMBER, RunFolder, read_json
from lora_tui.runs.pace import SLOWEST, SOUND, WINDOW, Pace, typical
from lora_tui.runs.totals import find_totals
from lora_tui.text.translate import N_, _
from lora_tui.toml_files import TomlError, read_toml

STATES = {
    "waiting": N_("waiting"),
    "starting": N_("starting"),
    "running": N_("running"),
    "paused": N_("paused"),
    "stopped": N_("stopped"),
    "finished": N_("finished"),
    "failed": N_("failed"),
    "died": N_("died"),
    "orphaned": N_("running without its keeper"),
}
"""What a run can be. ``waiting``: for its turn on a cluster; ``failed``: the trainer said why; ``died``: it ended
without a word of its own."""

LIVING = frozenset({"waiting", "starting", "running", "paused", "orphaned"})

RECENT = 10
"""Steps that the speed of a run that is over is told from."""

COURSE = 1000
"""Steps of a living run over which the time beside them (samples, saving) is counted: several milliseconds to read."""

_BEFORE_STEPS = frozenset({"fetching", "loading", "caching"})


@dataclass(frozen=True)
class RunStatus:
    """A run at a glance. Times are unix seconds, durations seconds; none where nothing is known.

    Attributes:
        run: the folder.
        number: the run's number within its project, 0 if it has none.
        state: one of :data:`STATES`.
        step, total_steps, epoch, epochs: how far it is.
        phase: what the trainer is at (loading, caching, training …), with ``phase_done`` of ``phase_total``;
            ``phase_detail`` says of what.
        loss: of the last step.
        took: seconds from start to end of all its lives, once it has ended; what lay between them does not count.
        eta: seconds that are left while it trains; none until enough steps tell it.
        code, message, advice: why it ended, when that needs words.
        can_resume: whether ``resume_run`` would take it.
        newer: a newer version made the folder, so it is shown only.
        orphaned: its trainer lives and its keeper does not.
        waits: it is paused or about to be, so a request resumes it.
        alarms: what its keeper noticed, oldest first.
        sent: what Slurm has to do with it, of a run that was given to it.
        damaged: names of its files that say what cannot be; what they should tell is unknown.
    """

    run: RunFolder
    number: int = 0
    state: str = "died"
    step: int = 0
    total_steps: int = 0
    epoch: int = 0
    epochs: int = 0
    phase: str = ""
    phase_done: int = 0
    phase_total: int = 0
    phase_detail: str = ""
    loss: float | None = None
    step_seconds: float | None = None
    started: float | None = None
    ended: float | None = None
    took: float | None = None
    eta: float | None = None
    code: str = ""
    message: str = ""
    advice: str = ""
    can_resume: bool = False
    newer: bool = False
    attempt: int = 0
    pid: int = 0
    orphaned: bool = False
    waits: bool = False
    sent: Outlook | None = None
    damaged: tuple[str, ...] = ()
    alarms: tuple[Alarm, ...] = ()

    @property
    def alive(self) -> bool:
        """Whether its trainer lives, or will without anybody's doing more."""
        return self.state in LIVING

    @property
    def share(self) -> float:
        """How much of its steps is done, 0 to 1."""
        return min(self.step / self.total_steps, 1.0) if self.total_steps else 0.0


@dataclass
class _Findings:
    """What the events tell, taken in from the newest on until the start of the trainer's last life."""

    terminal: Event | None = None
    step: Event | None = None
    phase: Event | None = None
    run: Event | None = None
    changed: Event | None = None
    resumed: Event | None = None
    answer: Event | None = None
    said_something: bool = False
    life_found: bool = False
    recent: list[Event] = field(default_factory=list)
    older: list[Event] = field(default_factory=list)
    course: list[Event] = field(default_factory=list)
    wanted: int = RECENT

    @property
    def paused(self) -> bool:
        """Whether the last thing it came to was a pause."""
        return self.phase is not None and self.phase.get("phase") == "paused"

    @property
    def enough(self) -> bool:
        """Whether what is older can add nothing."""
        placed = self.step is not None or self.resumed is not None
        return placed and (len(self.recent) >= self.wanted or (self.life_found and self.timed))

    @property
    def timed(self) -> bool:
        """Whether the steps of this life tell the time of one, or else those of the life before."""
        return len(self.recent) > SOUND or len(self.older) > SOUND

    def take(self, event: Event) -> None:
        """Take in the next older event; an earlier life tells its step alone."""
        kind = event.get("kind")
        if kind == "step" and self.resumed is not None:
            self.life_found = True  # a life before the one that began with the resume
        elif kind == "step":
            self.step = self.step or event
        elif kind == "resumed":
            self.resumed = self.resumed or event
        if self.life_found:
            if kind == "step":
                self.older.append(event)
            return
        self.said_something = self.said_something or kind not in ("resources", "attempt", "slurm")
        if kind in ("step", "phase"):
            self.course.append(event)
        if kind == "step":
            self.recent.append(event)
        elif kind in ("finished", "failed"):
            self.terminal = self.terminal or event
        elif kind == "phase":
            over = event.get("phase") == "paused" and self.step is not None  # a step after it: it goes on
            self.phase = self.phase or ({"phase": "training"} if over else event)
        elif kind == "control" and event.get("request") in ("pause", "resume"):
            self.answer = self.answer or event
        elif kind == "run":
            self.run = event
        elif kind == "changed":
            self.changed = self.changed or event
        self.life_found = kind in ("attempt", "run")


def inspect(run: RunFolder) -> RunStatus:
    """The run's state and progress. Never raises: a damaged or vanished folder has a state, too."""
    record = read_json(run.record_path)
    job, job_damaged = read_job_file(run.root)
    doubts = {run.record_path.name: not _believable(run, record), run.job_path.name: job_damaged}
    alive, kept = _alive(run, job)
    found = _findings(run, COURSE if alive else RECENT)
    plan = found.changed or found.run or find_totals(run, record)
    state, told = _state(run, job, found, alive, kept)
    lives = state in LIVING
    sent = outlook(run.root, state, job, living=lives)
    if sent is not None and sent.state:
        state, told = sent.state, Explanation(sent.code, sent.message, sent.advice)
    step = _whole(found.step, "step") if found.step else _whole(found.resumed, "step")
    total = _whole(plan, "total_steps")
    seconds, sound = _pace(found)
    living, going = state in LIVING, sound and state in ("running", "orphaned")
    newer = isinstance(record.get("format"), int) and record["format"] > FORMAT
    over = living or state == "finished"  # nothing to go on with
    lost = "" if over else _config_lost(run)
    doubts[run.config_path.name] = lost == "damaged"
    phase = found.phase or ({"phase": "training"} if found.step and found.said_something else {})
    return RunStatus(
        run=run,
        number=as_count(record.get("number"), MOST_NUMBER),
        state=state,
        step=step,
        total_steps=total,
        epoch=_whole(found.step, "epoch"),
        epochs=_whole(plan, "epochs"),
        phase=str(phase.get("phase", ""))[:40] if lives else "",
        phase_done=_whole(phase, "done"),
        phase_total=_whole(phase, "total"),
        phase_detail=str(phase.get("detail", ""))[:80] if lives else "",
        loss=as_number((found.step or {}).get("loss")),
        step_seconds=seconds,
        started=_started(record, job),
        ended=None if living else _ended(job, found),
        took=None if living else _took(record, job, found),
        eta=_left(found, total - step) if going and total > step else None,
        code=told.code,
        message=told.message,
        advice=told.advice if over or told.code == "gone" else _advice(told, newer=newer, lost=lost),
        can_resume=not (over or newer or lost),
        newer=newer,
        attempt=job.attempt if job else 0,
        pid=job.child_pid if job and living else 0,
        orphaned=lives and not kept,
        waits=lives and _waits(run, found),
        sent=sent,
        damaged=tuple(name for name, doubtful in doubts.items() if doubtful),
        alarms=read_alarms(run.root),
    )


def state_word(state: str) -> str:
    """A state as a person reads it."""
    return _(STATES.get(state, state))


def state_words(status: RunStatus) -> str:
    """The state of a run as a person reads it; of one that waits in Slurm also why."""
    if status.state == "waiting" and status.sent is not None:
        return status.sent.words
    return state_word(status.state)


def awaits_turn(status: RunStatus) -> bool:
    """Whether it has not come to its turn on a cluster yet: nothing of it is there to be asked."""
    return status.sent is not None and status.sent.state in ("waiting", "starting")


def _alive(run: RunFolder, job: Job | None) -> tuple[bool, bool]:
    """Whether the trainer and its keeper live; a job that has ended is not asked about twice."""
    trainer = trainer_alive(run.root, job)
    kept = keeper_alive(run.root, job) if job is None or job.ended is None else False
    return trainer, kept


def _believable(run: RunFolder, record: Mapping[str, Any]) -> bool:
    """Whether the record, if there is one, says what can be."""
    if not record:
        return not run.record_path.exists()
    number = record.get("number", 0)
    return as_time(record.get("created", 1)) is not None and as_count(number, MOST_NUMBER) == number


def _waits(run: RunFolder, found: _Findings) -> bool:
    """Whether it is paused once it has done what it was asked for so far."""
    asked = [kind for kind in control.waiting(run.root) if kind in ("pause", "resume")]
    if asked:
        return asked[-1] == "pause"
    answered = found.answer or {}
    return found.paused or (answered.get("request") == "pause" and answered.get("status") == "accepted")


def _state(run: RunFolder, job: Job | None, found: _Findings, alive: bool, kept: bool) -> tuple[str, Explanation]:
    nothing = Explanation("", "", "")
    if found.terminal is not None:
        return _terminal(found.terminal)
    if alive or (kept and (job is None or job.ended is None)):
        if found.paused:
            return "paused", nothing
        if alive and not kept:
            return "orphaned", nothing
        return ("running" if found.said_something else "starting"), nothing
    if not run.root.is_dir():
        return "died", Explanation("gone", _("The run folder is gone."), "")
    if job is None and not found.said_something and not run.log_path.exists():
        if run.job_path.exists():
            message = _("{file} is damaged: whether it was ever started is unknown.").format(file=run.job_path.name)
            return "died", Explanation("damaged", message, _("Resume it to start it."))
        return "died", Explanation("never", _("It was never started."), _("Resume it to start it."))
    if job is not None and job.ended is None and not is_of(run.root, job):
        return "died", _copied(job)
    log = read_tail(run.log_path, job.log_offset if job else 0)
    room = None if log else disk_free(run.root)  # nothing was written: perhaps it did not fit
    return "died", explain(Death(job.exit_status if job else None, job.signal if job else None, log, disk_free=room))


def _config_lost(run: RunFolder) -> str:
    """``missing`` or ``damaged`` where no trainer could read the run's configuration, else empty."""
    if not run.config_path.is_file():
        return "" if (run.root / "task.json").is_file() else "missing"  # other work has no configuration
    try:
        read_toml(run.config_path)
    except (OSError, UnicodeDecodeError, TomlError):
        return "damaged"
    return ""


def _advice(told: Explanation, *, newer: bool, lost: str) -> str:
    """What to do about a run that is over: that of its end, unless it says to resume what nobody can resume."""
    if newer:
        return _("Update lora-tui to go on with it.")
    if lost:
        what = _("Its config.toml is missing") if lost == "missing" else _("Its config.toml cannot be read")
        return _("{what}, so it cannot be resumed: put a copy of that file back, or start a new run.").format(what=what)
    return told.advice


def _copied(job: Job) -> Explanation:
    message = _("This folder was copied while it was running in {folder}.").format(folder=job.folder)
    return Explanation("copied", message, _("Resume it to go on here from the last state that was copied."))


def _terminal(event: Event) -> tuple[str, Explanation]:
    if event.get("kind") == "finished":
        reason = str(event.get("reason", "completed"))
        return ("finished" if reason == "completed" else "stopped"), Explanation(reason, "", "")
    told = Explanation(*(str(event.get(name, ""))[:2000] for name in ("code", "message", "advice")))
    return ("died" if event.get("by") == "keeper" else "failed"), told


def _findings(run: RunFolder, wanted: int) -> _Findings:
    """What the last life says, from as little of the file's end as holds it and ``wanted`` steps."""
    found = _Findings(wanted=wanted)
    needless = ["resources"]
    for event in newest_first(run.events_path, needless):
        found.take(event)
        if found.enough:
            break
        before = not found.recent or (event.get("kind") == "phase" and str(event.get("phase")) in _BEFORE_STEPS)
        if found.phase is not None and before and len(needless) == 1:
            needless.append("phase")  # only the newest counts, and hours of caching tell thousands
    return found


def _pace(found: _Findings) -> tuple[float | None, bool]:
    """Seconds a step, from the last ones, and whether that is enough to say when the run ends.

    A life of few steps leaves the time that the life before told, if that was a longer one.
    """
    known = _times(found.recent)
    if found.life_found and len(known) > 1:
        del known[-1]  # the first step of a life, in which a device warms up
    known = known[:WINDOW]
    sound = len(known) >= SOUND
    return typical(known if sound else _times(found.older) or known), sound


def _left(found: _Findings, steps: int) -> float | None:
    """Seconds that ``steps`` more will take, by the last ones and what lay between them; as on the dashboard."""
    pace = Pace()
    for event in reversed(found.course):
        when = as_time(event.get("t")) or 0.0
        if event.get("kind") == "step":
            seconds = as_number(event.get("step_seconds"))
            pace.steps(when, when, [] if seconds is None else [seconds], [])
        elif event.get("phase") == "paused":
            pace.paused(when)
        else:
            pace.resumed(when)
    return pace.left(steps)


def _times(events: Sequence[Event]) -> list[float]:
    times = [as_number(event.get("step_seconds")) for event in events]
    return [time for time in times if time is not None and 0 < time < SLOWEST]


def _started(record: dict[str, Any], job: Job | None) -> float | None:
    return as_time(record.get("created")) or (job.started if job and job.started else None)


def _ended(job: Job | None, found: _Findings) -> float | None:
    if job is not None and job.ended is not None:
        return job.ended
    if found.terminal is not None:
        return as_time(found.terminal.get("t"))
    return job.heartbeat if job and job.heartbeat else None


def _took(record: dict[str, Any], job: Job | None, found: _Findings) -> float | None:
    if job is not None and job.lived > 0:
        return job.lived
    started, ended = _started(record, job), _ended(job, found)
    return ended - started if started and ended is not None and ended >= started else None


def _whole(event: Mapping[str, Any] | None, name: str) -> int:
    """A count from an event; 0 for anything that is none."""
    return as_count((event or {}).get(name))
