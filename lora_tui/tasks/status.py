"""How a task fares, from the ends of its files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lora_tui.errors import UserError
from lora_tui.jobs.backwards import newest_first
from lora_tui.jobs.events import Event, as_count, as_time
from lora_tui.runs.folder import RunFolder
from lora_tui.runs.status import LIVING, inspect
from lora_tui.tasks.folder import TaskFolder

SOUND = 3
"""Items after the first ones of a phase that it takes to say when it ends."""

WARNINGS = 200
"""Of the newest warnings, how many are read."""


@dataclass(frozen=True)
class TaskStatus:
    """A task at a glance. Times are unix seconds, durations seconds.

    Attributes:
        task: the folder; ``kind`` and ``title`` as it was asked for.
        state: as of a run (:data:`lora_tui.runs.status.STATES`).
        phase, done, total, detail: what it is at.
        eta: seconds left in the phase at the speed since its beginning; none until that is known.
        per_second: items a second in this phase.
        created: when it was asked for.
        result: what came of it, once it has ended by itself.
        message, advice: why it ended, when that needs words.
        warnings: the newest warnings, oldest first, each with ``message``, ``place`` and ``remedy``.
    """

    task: TaskFolder
    kind: str = ""
    title: str = ""
    state: str = "died"
    phase: str = ""
    done: int = 0
    total: int = 0
    detail: str = ""
    eta: float | None = None
    per_second: float | None = None
    took: float | None = None
    created: float | None = None
    result: dict[str, Any] = field(default_factory=dict)
    message: str = ""
    advice: str = ""
    warnings: tuple[Event, ...] = ()

    @property
    def alive(self) -> bool:
        """Whether it is at work, or rests and can go on."""
        return self.state in LIVING

    @property
    def can_resume(self) -> bool:
        """Whether starting it again would do what is left."""
        return not self.alive and self.state != "finished"


def task_status(task: TaskFolder) -> TaskStatus:
    """The state and progress of a task. Never raises: a damaged or vanished folder has a state, too."""
    try:
        request = task.read()
    except UserError as error:
        request = {"kind": "", "title": "", "damaged": str(error)}
    seen = inspect(RunFolder(task.root))
    phase, end, warnings = _newest(task)
    done, total = as_count(phase.get("done")), as_count(phase.get("total"))
    going = seen.state in ("running", "orphaned")
    pace = _pace(phase, done)
    result = end.get("result")
    place = str(end.get("place", ""))
    return TaskStatus(
        task=task,
        kind=str(request["kind"]),
        title=str(request.get("title", "")),
        state=seen.state,
        phase=str(phase.get("phase", ""))[:40] if seen.alive else "",
        done=done,
        total=total,
        detail=str(phase.get("detail", "")),
        eta=(total - done) / pace if going and pace and total > done else None,
        per_second=pace if going else None,
        took=seen.took,
        created=as_time(request.get("created")),
        result=result if isinstance(result, dict) else {},
        message=f"{place}: {seen.message}" if place and seen.message else seen.message or request.get("damaged", ""),
        advice=seen.advice,
        warnings=tuple(reversed(warnings)),
    )


def _newest(task: TaskFolder) -> tuple[Event, Event, list[Event]]:
    """The newest progress, the end and the warnings of the newest life."""
    phase: Event = {}
    end: Event = {}
    warnings: list[Event] = []
    for event in newest_first(task.events_path, ["resources"]):
        kind = event.get("kind")
        if kind == "attempt":
            break
        if kind == "phase" and not phase:
            phase = event
        elif kind in ("finished", "failed") and not end:
            end = event
        elif kind == "warning":
            warnings.append(event)
            if len(warnings) >= WARNINGS:
                break
    return phase, end, warnings


def _pace(phase: Event, done: int) -> float | None:
    """Items a second since the phase began; those that were there before do not count."""
    fresh = done - as_count(phase.get("first"))
    since, told = as_time(phase.get("since")), as_time(phase.get("t"))
    if since is None or told is None or fresh < SOUND:
        return None
    took = told - since
    return fresh / took if took > 0 else None
