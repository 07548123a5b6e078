"""The queue in words: why a job waits, how far it is, how it ended. The same words for commands and screens."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from lora_tui.jobs.queue.kinds import label_of
from lora_tui.jobs.queue.needs import ASLEEP, Reason, plan
from lora_tui.jobs.queue.process import Word
from lora_tui.jobs.queue.record import Queue, QueueJob, state_word
from lora_tui.runs.folder import RunFolder
from lora_tui.runs.status import RunStatus, inspect
from lora_tui.runs.status import state_word as run_state
from lora_tui.tasks.folder import TaskFolder, is_task
from lora_tui.tasks.status import TaskStatus, task_status
from lora_tui.tasks.words import place_text
from lora_tui.text import _, count, duration, ngettext, percent, plain

MOST_NAMED = 6


def numbers_text(numbers: Sequence[int]) -> str:
    """Numbers of jobs or GPUs, the first of many."""
    named = ", ".join(str(number) for number in numbers[:MOST_NAMED])
    return f"{named} …" if len(numbers) > MOST_NAMED else named


def reason_text(reason: Reason) -> str:
    """Why a job waits, in a few words."""
    named = numbers_text(reason.jobs)
    needs = ngettext("waits for a GPU", "waits for {count} GPUs", reason.needs).format(count=reason.needs)
    told = {
        "held": _("held"),
        "queue_held": _("the queue is held"),
        "after": _("after {jobs}").format(jobs=named),
        "after_failed": _("{jobs} did not do its work: retry it, or release this").format(jobs=named),
        "gpus_few": _("needs {needs} GPUs; this machine has {there}").format(needs=reason.needs, there=reason.there),
        "gpus_gone": _("no GPU is there any more; look at: lora-tui doctor"),
        "gpus_used": _("{needs}; {jobs} running").format(needs=needs, jobs=named),
        "gpus_others": _("{needs}; somebody else uses {numbers}").format(
            needs=needs, numbers=numbers_text(reason.numbers)
        ),
        "behind": _("behind {jobs}").format(jobs=named),
        "turn": _("after {jobs}, which is running").format(jobs=named),
        "neighbour": _("{run} is running, started beside the queue").format(run=plain(reason.name, limit=60)),
    }
    return told.get(reason.code, "")


def waits_text(job: QueueJob, queue: Queue, said: Word) -> str:
    """Why a waiting job waits; what is certain is said at once, the rest by the queue's process."""
    if job.held:
        return plain(job.message, limit=100)  # its state says it
    if not said.alive:
        known = plan(queue, said.box).waits.get(job.id)
        if known is not None and known.code in ASLEEP:
            return reason_text(known)
        return _("the queue is stopped") if queue.stopped else _("the queue's process is not running")
    reason = said.waits.get(job.id)
    if said.trouble:
        return plain(said.trouble, limit=200)
    text = reason_text(reason) if reason is not None else _("starts soon")
    return _(", ").join(part for part in (plain(job.message, limit=100), text) if part)


def fares(job: QueueJob) -> RunStatus | TaskStatus | None:
    """How the run or task of a job fares, from its folder; none while it has no folder."""
    if not job.place:
        return None
    root = Path(job.place)
    return task_status(TaskFolder(root)) if is_task(root) else inspect(RunFolder(root))


def share(status: RunStatus | TaskStatus | None) -> tuple[int, int]:
    """How much of how much is done; nothing of nothing where that is not known."""
    if isinstance(status, RunStatus):
        steps = status.total_steps and status.phase in ("", "training", "sampling", "saving", "validating")
        return (status.step, status.total_steps) if steps else (status.phase_done, status.phase_total)
    return (status.done, status.total) if status is not None else (0, 0)


def progress_text(status: RunStatus | TaskStatus | None) -> str:
    """How far a job that is at work is."""
    if status is None:
        return _("starting")
    if not isinstance(status, RunStatus):
        return place_text(status) if not status.detail or status.total else plain(status.detail, limit=120)
    parts = [] if status.state in ("running", "orphaned") else [run_state(status.state)]
    if status.total_steps:
        steps = _("step {step} of {total}").format(step=count(status.step), total=count(status.total_steps))
        parts += [steps, percent(status.step, status.total_steps)]
    if status.eta is not None:
        parts.append(_("ETA {time}").format(time=duration(status.eta)))
    if not parts and status.phase_total:
        parts.append(_("{done} of {total}").format(done=count(status.phase_done), total=count(status.phase_total)))
    return "  ".join(parts)


def told_text(job: QueueJob, queue: Queue, said: Word, status: RunStatus | TaskStatus | None = None) -> str:
    """What is to be said of a job now: why it waits, how far it is, or how it ended."""
    if job.waits:
        return waits_text(job, queue, said)
    if job.at_work:
        return progress_text(status)
    words = plain(" ".join(part for part in (job.message, job.advice) if part), limit=300)
    if words or job.ended is None or job.started is None:
        return words
    return _("in {time}").format(time=duration(max(job.ended - job.started, 0)))


def job_lines(job: QueueJob, queue: Queue, said: Word) -> list[str]:
    """All that is known of a job."""
    head = f"{job.id}  {label_of(job.kind)}  {plain(job.title)}"
    told = told_text(job, queue, said, fares(job) if job.at_work else None)
    facts = {
        _("command"): f"lora-tui {shlex.join(job.command)}",
        _("made from"): job.source,
        _("in"): job.folder,
        _("works in"): job.place,
        _("after"): numbers_text(job.after),
        _("GPUs"): numbers_text(job.numbers) if job.given else str(job.gpus or "") if not job.or_cpu else "",
        _("group"): job.group,
    }
    lines = [head, f"{state_word(job)}: {told}" if told else state_word(job)]
    return lines + [f"  {name}: {plain(value)}" for name, value in facts.items() if value]


def queue_text(queue: Queue, said: Word) -> str:
    """The queue in one line: whether its process works, what it has, whether it is held."""
    if said.alive and said.pid > 0:
        head = _("the queue runs, process {pid}").format(pid=said.pid)
    elif said.alive:
        head = _("the queue runs")
    else:
        head = _("stopped") if queue.stopped else _("at rest: it begins with the next job")
    working, waiting = len(queue.working()), len(queue.waiting())
    parts = [head]
    if queue.held:
        parts.append(_("held: nothing new starts"))
    parts.append(ngettext("{count} job running", "{count} jobs running", working).format(count=working))
    parts.append(ngettext("{count} waits", "{count} wait", waiting).format(count=waiting))
    return _(", ").join(parts)


def trouble_lines(queue: Queue, said: Word) -> list[str]:
    """What a person should know of the queue itself."""
    lines = [plain(said.trouble)] if said.trouble else []
    if queue.damaged:
        text = ngettext(
            "{count} line of the queue's file is damaged: a job may be missing.",
            "{count} lines of the queue's file are damaged: jobs may be missing.",
            queue.damaged,
        )
        lines.append(text.format(count=queue.damaged))
    return lines
