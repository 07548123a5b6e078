"""The queue at work: looks after what has begun, starts what may start, and says what it sees. Loads no torch.

Everything that matters is in the journal and in the folders of the jobs; whoever kills this process and starts another
loses nothing. A job that the journal calls ``starting`` or ``running`` is asked for by its own word: the starter's lock
and ticket, then the lock, the keeper and the events of its run or task.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from lora_tui.errors import UserError
from lora_tui.jobs.job import keeper_alive, read_job, trainer_alive
from lora_tui.jobs.lock import RunLock, holder
from lora_tui.jobs.process import host
from lora_tui.jobs.queue.door import LOG, waiting_again
from lora_tui.jobs.queue.journal import Turn, job_dir, queue_dir, read_queue, turn
from lora_tui.jobs.queue.needs import Box, Gpu, plan, something_to_do
from lora_tui.jobs.queue.process import Word, tell
from lora_tui.jobs.queue.record import Queue, QueueJob
from lora_tui.jobs.queue.starter import (
    lock_path,
    read_answer,
    starter_command,
    starter_environment,
    ticket_path,
)
from lora_tui.jobs.resources import gpus_now
from lora_tui.jobs.ticket import read_ticket
from lora_tui.runs.choose import living_runs
from lora_tui.runs.folder import RunFolder
from lora_tui.runs.status import inspect
from lora_tui.tasks.folder import TaskFolder, is_task
from lora_tui.tasks.status import task_status
from lora_tui.tasks.words import result_text
from lora_tui.text.translate import _

POLL = 0.25
"""Seconds between two looks."""

LOOK = 2.0
"""Seconds between two looks at the GPUs."""

IDLE = 30.0
"""Seconds with nothing to do after which the process ends, unless it was told to stay; whoever adds starts it again."""

MOST_STARTS = 10
"""Times that the start of a job is tried when its starters end without a word."""

MOST_RESTARTS = 5
"""Times that a job goes on by itself after the machine had gone down."""

AFTER_A_FAULT = 5.0
"""Seconds to wait after an error of the queue itself, so that its log does not fill the disk."""

_OUTCOMES = {"finished": "done", "stopped": "stopped", "failed": "failed", "died": "failed"}


class Service:
    """One queue's process; ``lock`` is held while it works. :meth:`run` returns when it was told to end, or is idle."""

    def __init__(self, lock: RunLock, *, stay: bool = False) -> None:
        self.over = threading.Event()
        self._lock = lock
        self._stay = stay
        self._starters: dict[int, subprocess.Popen[bytes]] = {}
        self._queue = Queue()
        self._box = Box()
        self._looked = 0.0
        self._word = Word(pid=os.getpid(), host=host(), started=time.time())
        self._told: Word | None = None
        self._trouble = ""
        self._busy = time.monotonic()

    def run(self) -> None:
        """Work until told to end."""
        tell(self._word)
        while not self.over.is_set():
            pause = POLL
            self._trouble = ""
            if not self._tried(self._turn):
                pause = AFTER_A_FAULT
            self._say()
            if self._idle() and self._leave():
                return
            self.over.wait(pause)

    def _tried(self, what: Callable[[], object]) -> bool:
        """Do something that may go wrong: it is told, and the other jobs go on. False for a fault of the queue."""
        try:
            what()
        except UserError as error:
            self._trouble = str(error)
        except Exception:
            traceback.print_exc()
            self._trouble = _("an error of the queue itself; see {log}").format(log=queue_dir() / "queue.log")
            return False
        return True

    def _turn(self) -> None:
        """One look at everything."""
        self._queue = read_queue()
        if self._queue.stopped:
            self.over.set()
            return
        for job in self._queue.working():
            self._tried(partial(self._look_after, job))
        self._look_around()
        found = plan(self._queue, self._box)
        if any(gpus for _job, gpus in found.start):  # what is given away is looked at once more
            self._look_around(now=True)
            found = plan(self._queue, self._box)
        for job in found.leave:
            self._change(job, None)
        for job, gpus in found.start:
            self._tried(partial(self._begin, job, gpus))
        if found.start or found.leave:
            found = plan(self._queue, self._box)
        self._word = replace(self._word, waits=found.waits, box=self._box)
        if something_to_do(self._queue, self._box):
            self._busy = time.monotonic()

    def _change(self, before: QueueJob, after: QueueJob | None) -> bool:
        """Write what has become of a job, if nobody has changed it meanwhile; none takes it out of the queue."""
        with turn() as change:
            fits = change.queue.jobs.get(before.id) == before
            if fits and after is None:
                change.drop(before.id)
            elif fits and after is not None:
                change.put(after)
        self._queue = change.queue
        return fits

    # -- what has begun

    def _look_after(self, job: QueueJob) -> None:
        if job.state == "starting":
            self._look_at_start(job)
            return
        root = Path(job.place)
        if _lives(root):
            return
        word, status = read_job(root), inspect(RunFolder(root))
        if status.alive:  # on another machine
            return
        if status.code == "never" and job.starts < MOST_STARTS:
            self._again(job, starts=job.starts)
        elif word is not None and word.ended is None and status.state == "died" and status.can_resume:
            self._after_a_fall(job, status.message, status.advice)
        else:
            came = result_text(task_status(TaskFolder(root))) if is_task(root) else ""
            self._end(job, _OUTCOMES.get(status.state, "failed"), status.message or came, status.advice)

    def _look_at_start(self, job: QueueJob) -> None:
        """Whether the job has begun, could not begin, or has to be started once more because its starter was killed."""
        child = self._starters.get(job.id)
        if child is not None and child.poll() is None:
            return
        self._starters.pop(job.id, None)
        if holder(lock_path(job)) is not None:
            return
        place = read_ticket(ticket_path(job))
        answer = read_answer(job)
        if place is not None and (answer.get("status", 0) == 0 or _lives(place)):
            self._change(job, replace(job, state="running", place=str(place), started=job.started or time.time()))
        elif answer:
            done = answer.get("status") == 0  # there was nothing to do, such as a folder in which all is tagged
            texts = [str(answer.get(name, ""))[:2000] for name in ("message", "advice")]
            self._end(job, "done" if done else "failed", *texts)
        elif job.starts < MOST_STARTS:
            again = replace(job, starts=job.starts + 1)
            if self._change(job, again):
                self._spawn(again)
        else:
            told = _("It could not be started: what starts it was ended {count} times.").format(count=job.starts)
            self._end(job, "failed", told, _("See {file}.").format(file=job_dir(job.id) / LOG))

    def _after_a_fall(self, job: QueueJob, message: str, advice: str) -> None:
        """Neither the job nor its keeper told its end: the machine went down. It goes on by itself."""
        if job.restarts >= MOST_RESTARTS:
            self._end(job, "failed", message, advice)
        else:
            self._again(job, restarts=job.restarts + 1, message=_("The machine went down; it goes on from there."))

    def _again(self, job: QueueJob, **changes: object) -> None:
        ranks = [one.rank for one in self._queue.waiting()]
        self._change(job, waiting_again(job, rank=min(ranks, default=1) - 1, **changes))

    def _end(self, job: QueueJob, state: str, message: str, advice: str) -> None:
        self._change(job, replace(job, state=state, ended=time.time(), message=message, advice=advice))

    # -- what may begin

    def _begin(self, job: QueueJob, gpus: tuple[Gpu, ...]) -> None:
        """Say that a job starts, and start it: in this order, so that whoever comes after a crash knows of it."""
        begun = replace(
            job,
            state="starting",
            starts=job.starts + 1,
            started=time.time(),
            given=tuple(gpu.uuid for gpu in gpus),
            numbers=tuple(gpu.number for gpu in gpus),
            message="",
            advice="",
        )
        with turn() as change:
            if self._still(job, change):
                change.put(begun)
            else:
                begun = job
        self._queue = change.queue
        if begun is not job:
            self._spawn(begun)

    def _still(self, job: QueueJob, change: Turn) -> bool:
        """Whether a job may start now that nobody else can change the queue."""
        queue = change.queue
        return queue.jobs.get(job.id) == job and any(one.id == job.id for one, _gpus in plan(queue, self._box).start)

    def _spawn(self, job: QueueJob) -> None:
        folder = job_dir(job.id)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with (folder / LOG).open("ab") as log:
                self._starters[job.id] = subprocess.Popen(
                    starter_command(job),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    cwd="/",
                    env=starter_environment(job, any_gpus=bool(self._box.gpus)),
                )
        except OSError as error:
            told = _("It could not be started: {reason}.").format(reason=error.strerror or error)
            self._end(job, "failed", told, _("Make room on the disk, and try it again."))

    def _look_around(self, *, now: bool = False) -> None:
        """See what there is to give, every few seconds while something waits, or ``now``."""
        moment = time.monotonic()
        if not now and (not self._queue.waiting() or (self._looked and moment - self._looked < LOOK)):
            return
        self._looked = moment
        gpus = tuple(Gpu(**gpu) for gpu in gpus_now())
        self._box = Box(gpus, "" if gpus else self._neighbour())

    def _neighbour(self) -> str:
        """A training that somebody started beside the queue and that is at work; a paused one has freed its place."""
        ours = {job.place for job in self._queue.working()}
        for run in living_runs():
            status = inspect(run)
            if str(run.root) not in ours and status.alive and status.state != "paused" and status.sent is None:
                return run.name
        return ""

    # -- the process itself

    def _say(self) -> None:
        said = replace(self._word, trouble=self._trouble)
        if said != self._told:
            self._told = said
            tell(said)

    def _idle(self) -> bool:
        return not self._stay and not self._starters and time.monotonic() - self._busy > IDLE

    def _leave(self) -> bool:
        """Give the queue back if there is nothing to do, in a turn of one's own: nobody can add something unseen."""
        with contextlib.suppress(UserError), turn() as change:
            if something_to_do(change.queue, self._box):
                self._busy = time.monotonic()
                return False
            self._lock.release()
        return self._lock.descriptor < 0


def _lives(root: Path) -> bool:
    """Whether what works in a run's or a task's folder is alive, or its keeper has not told its end yet."""
    word = read_job(root)
    return trainer_alive(root, word) or (keeper_alive(root, word) and (word is None or word.ended is None))
