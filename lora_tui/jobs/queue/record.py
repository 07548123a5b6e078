"""What is known of a job of the queue, as data; and how it is read from a file that may be damaged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from lora_tui.jobs.events import as_count, as_time
from lora_tui.text.translate import N_, _

STATES = {
    "waiting": N_("waiting"),
    "starting": N_("starting"),
    "running": N_("running"),
    "done": N_("done"),
    "failed": N_("failed"),
    "stopped": N_("stopped"),
}
"""What a job of the queue can be. ``stopped``: a person ended it; what it had done was kept."""

AT_WORK = frozenset({"starting", "running"})
ENDED = frozenset({"done", "failed", "stopped"})

IF_FAILED = ("wait", "run", "remove")
"""What becomes of a job when one that it comes after fails, is stopped or is removed: it waits until a person says
more (the other may be tried again), it runs all the same, or it leaves the queue, too."""

MOST_JOBS = 10_000
MOST_GPUS = 64
_LONGEST = 1 << 15
_WORDS = 1000


@dataclass(frozen=True)
class QueueJob:
    """One job of the queue.

    Attributes:
        id: its number, never given twice.
        kind: a name of :data:`lora_tui.jobs.queue.kinds.KINDS`.
        command: the words after ``lora-tui``; those that make it go to the background are not among them.
        title: a few words that tell a person which it is.
        folder: where the command is given.
        gpus: how many GPUs it has for itself while it is at work.
        or_cpu: without any GPU it runs on the processor; so for what was added where there was none.
        elsewhere: its work is done on a cluster: it needs no GPU and no place on the processor of this machine.
        after: jobs that must be done before; ``if_failed`` says what holds when one of them fails.
        held: a person has put it aside.
        rank: the place in the queue: the smallest first.
        state: one of :data:`STATES`; a held job is ``waiting``.
        life: 1 for the first time it is started, one more for each time that it is tried again.
        starts: how often the start of this life was tried.
        restarts: how often it went on by itself after the machine had gone down.
        given: the UUIDs of the GPUs that it was given, with their ``numbers``.
        place: the folder of its run or task, once it has one; the next life goes on there.
        group: what it belongs to, such as a sweep; empty for none.
        source: the file it was made from, for a person.
        variables: environment variables of whoever added it, see :data:`lora_tui.jobs.queue.kinds.KEPT`.
        added, started, ended: unix seconds.
        message, advice: why it ended, when that needs words.
    """

    id: int
    kind: str
    command: tuple[str, ...]
    title: str = ""
    folder: str = ""
    gpus: int = 0
    or_cpu: bool = False
    elsewhere: bool = False
    after: tuple[int, ...] = ()
    if_failed: str = "wait"
    held: bool = False
    rank: int = 0
    state: str = "waiting"
    life: int = 1
    starts: int = 0
    restarts: int = 0
    given: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()
    place: str = ""
    group: str = ""
    source: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    added: float = 0.0
    started: float | None = None
    ended: float | None = None
    message: str = ""
    advice: str = ""

    @property
    def waits(self) -> bool:
        """Whether it is still to be started."""
        return self.state == "waiting"

    @property
    def at_work(self) -> bool:
        """Whether it is being started or has begun and not ended."""
        return self.state in AT_WORK

    @property
    def over(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self.state in ENDED


@dataclass(frozen=True)
class Queue:
    """All jobs, as they were at one moment.

    Attributes:
        jobs: by number.
        held: nothing new is started.
        stopped: a person has ended the queue's process; it is started again when told to.
        next_id: the number of the next job.
        damaged: lines of the file that say nothing that can be.
    """

    jobs: Mapping[int, QueueJob] = field(default_factory=dict)
    held: bool = False
    stopped: bool = False
    next_id: int = 1
    damaged: int = 0

    def waiting(self) -> list[QueueJob]:
        """What is still to be started, in order."""
        return sorted((job for job in self.jobs.values() if job.waits), key=_place)

    def working(self) -> list[QueueJob]:
        """What has begun and not ended, oldest first."""
        return sorted((job for job in self.jobs.values() if job.at_work), key=lambda job: (job.started or 0, job.id))

    def ended(self) -> list[QueueJob]:
        """What has ended, the newest first."""
        return sorted((job for job in self.jobs.values() if job.over), key=lambda job: (-(job.ended or 0), -job.id))

    def in_order(self) -> list[QueueJob]:
        """What works, what waits, what has ended: as a list shows them."""
        return [*self.working(), *self.waiting(), *self.ended()]


def _place(job: QueueJob) -> tuple[int, int]:
    return job.rank, job.id


def waiting_again(job: QueueJob, **changes: object) -> QueueJob:
    """A job as it waits for its next life."""
    fresh = QueueJob(job.id, job.kind, job.command)
    kept = ("starts", "given", "numbers", "started", "ended", "message", "advice", "restarts")
    usual = {name: getattr(fresh, name) for name in kept}
    return replace(job, state="waiting", life=job.life + 1, held=False, **{**usual, **changes})


def state_word(job: QueueJob) -> str:
    """A job's state as a person reads it."""
    return _("held") if job.waits and job.held else _(STATES.get(job.state, job.state))


_USUAL = {one.name: getattr(QueueJob(0, "", ()), one.name) for one in fields(QueueJob)}
"""What a job says of itself before anything is known of it."""


def as_plain(job: QueueJob) -> dict[str, Any]:
    """A job as JSON can say it; what is as it always is at first is left out."""
    found = {name: value for name, usual in _USUAL.items() if (value := getattr(job, name)) != usual}
    lists = {name: list(value) for name, value in found.items() if isinstance(value, tuple)}
    return {**found, **lists, "id": job.id, "kind": job.kind, "command": list(job.command)}


def from_plain(value: Any) -> QueueJob | None:
    """A job from JSON; none for what cannot be one. Fields that are not known are passed over."""
    if not isinstance(value, dict):
        return None
    number, command = as_count(value.get("id"), 1 << 40), _texts(value.get("command"))
    if (
        number < 1
        or not command
        or not isinstance(value.get("kind"), str)
        or value.get("state", "waiting") not in tuple(STATES)
    ):
        return None
    after = value.get("after", [])
    variables = value.get("variables", {})
    job = QueueJob(
        number,
        value["kind"][:40],
        command,
        gpus=as_count(value.get("gpus"), MOST_GPUS),
        or_cpu=value.get("or_cpu") is True,
        elsewhere=value.get("elsewhere") is True,
        after=tuple(as_count(one) for one in after if as_count(one)) if isinstance(after, list) else (),
        if_failed=value["if_failed"] if value.get("if_failed") in IF_FAILED else IF_FAILED[0],
        held=value.get("held") is True,
        rank=_whole(value.get("rank")),
        state=value.get("state", "waiting"),
        life=max(as_count(value.get("life"), 1 << 30), 1),
        starts=as_count(value.get("starts"), 1 << 30),
        restarts=as_count(value.get("restarts"), 1 << 30),
        given=_texts(value.get("given")),
        numbers=tuple(as_count(one) for one in value.get("numbers", ())) if _is_list(value.get("numbers")) else (),
        variables={str(name): str(text) for name, text in variables.items()} if isinstance(variables, dict) else {},
        added=as_time(value.get("added")) or 0.0,
        started=as_time(value.get("started")),
        ended=as_time(value.get("ended")),
    )
    texts = {name: value.get(name) for name in ("title", "folder", "place", "group", "source", "message", "advice")}
    kept: dict[str, Any] = {name: text[:_LONGEST] for name, text in texts.items() if isinstance(text, str)}
    return replace(job, **kept)


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _texts(value: Any) -> tuple[str, ...]:
    """A list of texts without zero bytes, which no command can have; empty for anything else."""
    if not isinstance(value, list) or len(value) > _WORDS:
        return ()
    fine = all(isinstance(one, str) and "\0" not in one for one in value)
    return tuple(value) if fine else ()


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 40 else 0
