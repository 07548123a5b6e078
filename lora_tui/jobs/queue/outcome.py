"""What has become of a job that the queue calls at work, from its own word; nothing is written here.

A job that is ``starting`` is asked for by the starter's lock, its ticket and its answer; one that is ``running`` by the
lock, the keeper and the events of its run or task.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from lora_tui.jobs.job import keeper_alive, read_job, trainer_alive
from lora_tui.jobs.lock import holder
from lora_tui.jobs.queue.record import Queue, QueueJob, waiting_again
from lora_tui.jobs.queue.starter import lock_path, log_path, read_answer, ticket_path
from lora_tui.jobs.ticket import read_ticket
from lora_tui.runs.folder import RunFolder
from lora_tui.runs.status import inspect
from lora_tui.tasks.folder import TaskFolder, is_task
from lora_tui.tasks.status import task_status
from lora_tui.tasks.words import result_text
from lora_tui.text.translate import _

MOST_STARTS = 10
"""Times that the start of a job is tried when its starters end without a word."""

MOST_RESTARTS = 5
"""Times that a job goes on by itself after the machine had gone down."""

_OUTCOMES = {"finished": "done", "stopped": "stopped", "failed": "failed", "died": "failed"}


def outcome(job: QueueJob, queue: Queue) -> QueueJob:
    """``job``, which is at work, as it is now: itself while nothing has changed.

    One that is still ``starting`` with one more of ``starts`` has nobody who starts it any more.
    """
    return _of_start(job) if job.state == "starting" else _of_work(job, queue)


def _of_work(job: QueueJob, queue: Queue) -> QueueJob:
    root = Path(job.place)
    if _lives(root):
        return job
    word, status = read_job(root), inspect(RunFolder(root))
    if status.alive:  # on another machine
        return job
    if status.code == "gone" and job.kind != "train":
        return _ended(job, "failed", _("The folder in which it worked is gone: {folder}.").format(folder=root), "")
    if status.code == "never" and job.starts < MOST_STARTS:
        return _again(job, queue, starts=job.starts)
    if word is not None and word.ended is None and status.state == "died" and status.can_resume:
        # neither the job nor its keeper told its end: the machine went down
        if job.restarts >= MOST_RESTARTS:
            return _ended(job, "failed", status.message, status.advice)
        told = _("The machine went down; it goes on from there.")
        return _again(job, queue, restarts=job.restarts + 1, message=told)
    came = result_text(task_status(TaskFolder(root))) if is_task(root) else ""
    return _ended(job, _OUTCOMES.get(status.state, "failed"), status.message or came, status.advice)


def _of_start(job: QueueJob) -> QueueJob:
    """Whether it has begun, could not begin, or has to be started once more because its starter was killed."""
    if holder(lock_path(job)) is not None:
        return job
    place = read_ticket(ticket_path(job))
    answer = read_answer(job)
    if place is not None and (answer.get("status", 0) == 0 or _lives(place)):
        return replace(job, state="running", place=str(place), started=job.started or time.time())
    if answer:
        done = answer.get("status") == 0  # there was nothing to do, such as a folder in which all is tagged
        texts = [str(answer.get(name, ""))[:2000] for name in ("message", "advice")]
        return _ended(job, "done" if done else "failed", *texts)
    if job.starts < MOST_STARTS:
        return replace(job, starts=job.starts + 1)
    told = _("It could not be started: what starts it was ended {count} times.").format(count=job.starts)
    return _ended(job, "failed", told, _("See {file}.").format(file=log_path(job)))


def _again(job: QueueJob, queue: Queue, **changes: object) -> QueueJob:
    """Before all that waits."""
    ranks = [one.rank for one in queue.waiting()]
    return waiting_again(job, rank=min(ranks, default=1) - 1, **changes)


def _ended(job: QueueJob, state: str, message: str, advice: str) -> QueueJob:
    return replace(job, state=state, ended=time.time(), message=message, advice=advice)


def _lives(root: Path) -> bool:
    """Whether what works in a run's or a task's folder is alive, or its keeper has not told its end yet."""
    word = read_job(root)
    return trainer_alive(root, word) or (keeper_alive(root, word) and (word is None or word.ended is None))
