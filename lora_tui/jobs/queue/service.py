"""The queue at work: looks after what has begun, starts what may start, and says what it sees. Loads no torch.

Everything that matters is in the journal and in the folders of the jobs; whoever kills this process and starts another
loses nothing. A job that the journal calls ``starting`` or ``running`` is asked for by its own word, see
:mod:`lora_tui.jobs.queue.outcome`.
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

from lora_tui.errors import UserError
from lora_tui.jobs.lock import FRESH, RunLock
from lora_tui.jobs.process import host
from lora_tui.jobs.queue.journal import Turn, job_dir, queue_dir, read_queue, turn
from lora_tui.jobs.queue.needs import Box, Gpu, plan, something_to_do
from lora_tui.jobs.queue.outcome import outcome
from lora_tui.jobs.queue.process import Word, tell
from lora_tui.jobs.queue.record import Queue, QueueJob
from lora_tui.jobs.queue.starter import log_path, starter_command, starter_environment
from lora_tui.jobs.resources import gpus_now
from lora_tui.runs.choose import living_runs
from lora_tui.runs.status import inspect
from lora_tui.text.translate import _

POLL = 0.25
"""Seconds between two looks."""

LOOK = 2.0
"""Seconds between two looks at the GPUs."""

IDLE = 30.0
"""Seconds with nothing to do after which the process ends, unless it was told to stay; whoever adds starts it again."""

BEAT = FRESH / 3
"""Seconds between two signs of life, for machines that share the folder on a disk without locks."""

AFTER_A_FAULT = 5.0
"""Seconds to wait after an error of the queue itself, so that its log does not fill the disk."""


class Service:
    """One queue's process; ``lock`` is held while it works. :meth:`run` returns when it was told to end, or is idle."""

    def __init__(self, lock: RunLock, *, stay: bool = False) -> None:
        self.over = threading.Event()
        self._lock = lock
        self._stay = stay
        self._starters: dict[int, subprocess.Popen[bytes]] = {}
        self._queue = Queue()
        self._box = Box()
        self._settled = self._queue, self._box
        self._wanted = False
        self._looked = 0.0
        self._word = Word(pid=os.getpid(), host=host(), started=time.time())
        self._told: Word | None = None
        self._trouble = ""
        self._busy = self._beaten = time.monotonic()

    def run(self) -> None:
        """Work until told to end."""
        tell(self._word)
        while not self.over.is_set():
            pause = POLL
            self._trouble = ""
            if not self._tried(self._turn):
                pause = AFTER_A_FAULT
            self._say()
            self._beat()
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
            with contextlib.suppress(OSError):  # the disk of the log may be what is full
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
        if self._settled[0] is self._queue and self._settled[1] == self._box:
            self._busy = time.monotonic() if self._wanted else self._busy
            return
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
        self._wanted = something_to_do(self._queue, self._box)
        if self._wanted:
            self._busy = time.monotonic()
        if not found.start and not found.leave:  # until one of the two is another there is nothing new to find
            self._settled = self._queue, self._box

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
        child = self._starters.get(job.id)
        if child is not None and child.poll() is None:
            return
        self._starters.pop(job.id, None)
        now = outcome(job, self._queue)
        if now != job and self._change(job, now) and now.state == "starting":
            self._spawn(now)  # its starter was killed

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
            with log_path(job).open("ab") as log:
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
            advice = _("Make room on the disk, and try it again.")
            self._change(job, replace(job, state="failed", ended=time.time(), message=told, advice=advice))

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

    def _beat(self) -> None:
        if time.monotonic() - self._beaten > BEAT:
            self._beaten = time.monotonic()
            with contextlib.suppress(OSError):
                os.utime(self._lock.path)

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
