"""What everybody calls who wants something of the queue: commands, screens, sweeps and scripts.

Each function changes the queue in one turn, whole or not at all, and wakes its process where there is something to do.
"""

from __future__ import annotations

import os
import shlex
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.errors import UserError
from lora_tui.files import write_atomic
from lora_tui.jobs import control
from lora_tui.jobs.explain import last_lines, read_tail
from lora_tui.jobs.queue import kinds
from lora_tui.jobs.queue.journal import Turn, job_dir, read_queue, turn
from lora_tui.jobs.queue.needs import unmet
from lora_tui.jobs.queue.record import MOST_JOBS, Queue, QueueJob, waiting_again
from lora_tui.jobs.queue.starter import log_path
from lora_tui.jobs.resources import gpu_list
from lora_tui.text.plain import plain
from lora_tui.text.translate import _

if TYPE_CHECKING:
    from lora_tui.config.schema import Config

CONFIG = "config.toml"
"""The configuration of a queued training, in the job's folder: what is edited afterwards changes other jobs."""


@dataclass(frozen=True)
class Wish:
    """A job that somebody wants to have in the queue; see :class:`lora_tui.jobs.queue.record.QueueJob`.

    Attributes:
        command: the words after ``lora-tui``; of a training (``config`` is not empty) those after its configuration.
        config: the text of a training's configuration, kept with the job.
        gpus: none for what its kind needs.
        elsewhere: its work is done on a cluster.
        first: before all that waits.
    """

    command: tuple[str, ...]
    title: str = ""
    folder: str = ""
    config: str = ""
    gpus: int | None = None
    elsewhere: bool = False
    after: tuple[int, ...] = ()
    if_failed: str = "wait"
    held: bool = False
    first: bool = False
    group: str = ""
    source: str = ""


def training(
    config: Config,
    runs_dir: Path,
    *,
    title: str = "",
    source: str = "",
    group: str = "",
    force: bool = False,
    cluster: Sequence[str] = (),
) -> Wish:
    """The wish for a training of ``config`` as it is now, whose run goes into ``runs_dir``.

    Which GPU it gets is for the queue to say. ``force``: start it where the disk may not hold all that it writes, too.
    ``cluster``: the options of ``train`` that send it to one when its turn has come.
    ``dataclasses.replace`` adds what a wish says else. Whether the configuration is right is for the caller to check
    now; it is checked again at its start.
    """
    from lora_tui.config.load import dump_config, put_values

    if config.memory.device.startswith("cuda:") and not cluster:  # it sees only those that it is given
        config = put_values(config, {"memory.device": "cuda"})
    return Wish(
        ("--runs", os.path.abspath(runs_dir), *(["--force"] if force else []), *cluster),  # noqa: PTH100 - links stay
        title=title or config.saving.name,
        folder=os.path.abspath(runs_dir.parent) if runs_dir.parent.is_dir() else str(Path.cwd()),  # noqa: PTH100
        config=dump_config(config, comments=False),
        gpus=0 if cluster or config.memory.device == "cpu" else max(config.memory.processes, 1),
        elsewhere=bool(cluster),
        group=group,
        source=source,
    )


def add(wishes: Sequence[Wish], *, chained: bool = False) -> list[QueueJob]:
    """Put jobs at the end of the queue, in this order: all of them, or none; and start its process where needed.

    ``chained``: each comes after the one before it, besides what it says itself.

    Raises:
        UserError: a job to come after is not there (``queue.not_found``), there are too many (``queue.full``), the
            queue cannot be written (``queue.write``), or its process does not start (``queue.start``).
    """
    without_gpu = not gpu_list()
    made: list[QueueJob] = []
    folders: list[Path] = []
    try:
        with turn() as change:
            ranks = [job.rank for job in change.queue.waiting()]
            if len(ranks) + len(wishes) > MOST_JOBS:
                raise UserError(
                    _("The queue holds {count} jobs at most.").format(count=MOST_JOBS),
                    remedy=_("Add the rest when some of them have ended."),
                    code="queue.full",
                )
            for wish in wishes:
                for number in wish.after:
                    find_job(change.queue, number)
                ranks.append(min(ranks, default=1) - 1 if wish.first else max(ranks, default=0) + 1)
                before = (made[-1].id,) if chained and made else ()
                wanted = replace(wish, after=(*wish.after, *before))
                job = _job_of(wanted, change.queue.next_id, ranks[-1], or_cpu=without_gpu)
                if wish.config:
                    folders.append(job_dir(job.id))
                    _keep_config(folders[-1], wish.config)
                change.put(job)
                made.append(job)
    except BaseException:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    _wake()
    return made


def _job_of(wish: Wish, number: int, rank: int, *, or_cpu: bool) -> QueueJob:
    command = ("train", str(job_dir(number) / CONFIG), *wish.command) if wish.config else wish.command
    if not wish.elsewhere:
        command = kinds.on_given_gpus(command)
    return QueueJob(
        number,
        kinds.kind_of(command),
        command,
        title=wish.title or shlex.join(command),
        folder=wish.folder or str(Path.cwd()),
        gpus=kinds.gpus_of(command) if wish.gpus is None else wish.gpus,
        or_cpu=or_cpu,
        elsewhere=wish.elsewhere,
        after=tuple(dict.fromkeys(wish.after)),
        if_failed=wish.if_failed,
        held=wish.held,
        rank=rank,
        group=wish.group,
        source=wish.source,
        variables=kinds.variables(),
        added=time.time(),
    )


def _keep_config(folder: Path, text: str) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomic(folder / CONFIG, text.encode("utf-8"))
    except OSError as error:
        raise UserError(
            _("The queue cannot be written: {reason}.").format(reason=error.strerror or error),
            place=plain(str(folder)),
            remedy=_("Nothing was added. Make room on the disk, or the folder writable."),
            code="queue.write",
        ) from error


def hold(numbers: Iterable[int]) -> list[QueueJob]:
    """Put jobs aside: they keep their place and are not started.

    Raises:
        UserError: one is not there or does not wait.
    """
    return _changed(numbers, lambda job, _change: replace(_waiting(job), held=True))


def release(numbers: Iterable[int]) -> list[QueueJob]:
    """Let jobs go on that were put aside; one that waits for a job that failed runs all the same.

    Raises:
        UserError: one is not there or does not wait.
    """

    def freed(job: QueueJob, change: Turn) -> QueueJob:
        _pending, failed = unmet(_waiting(job), change.queue)
        after = tuple(number for number in job.after if number not in failed)
        return replace(job, held=False, after=after)

    return _changed(numbers, freed)


def hold_all() -> None:
    """Start nothing new until :func:`release_all`; what is at work goes on."""
    with turn() as change:
        change.say(held=True)


def release_all() -> None:
    """Start jobs again."""
    with turn() as change:
        change.say(held=False)
    _wake()


def move(number: int, to: int) -> None:
    """Put a waiting job at the place ``to`` among those that wait, from 0; beyond their ends is at their ends.

    Raises:
        UserError: it is not there or does not wait.
    """
    with turn() as change:
        job = _waiting(find_job(change.queue, number))
        others = [one for one in change.queue.waiting() if one.id != number]
        others.insert(min(max(to, 0), len(others)), job)
        first = others[0].rank if others[0] is not job else min(one.rank for one in others)
        placed = [(one, first + place) for place, one in enumerate(others)]
        change.put(*(replace(one, rank=rank) for one, rank in placed if one.rank != rank))


def shift(number: int, by: int) -> None:
    """Move a waiting job by so many places: -1 is one up.

    Raises:
        UserError: it is not there or does not wait.
    """
    queue = read_queue()
    job = _waiting(find_job(queue, number))
    move(number, queue.waiting().index(job) + by)


def come_after(number: int, after: Sequence[int], if_failed: str | None = None) -> QueueJob:
    """Let a job wait for others, or for none any more.

    Raises:
        UserError: one is not there, the job does not wait, or they would wait for each other (``queue.circle``).
    """

    def later(job: QueueJob, change: Turn) -> QueueJob:
        wanted = tuple(dict.fromkeys(find_job(change.queue, other).id for other in after))
        if number in _all_before(wanted, change.queue):
            raise UserError(
                _("They would wait for each other for ever."),
                place=str(number),
                remedy=_("See what waits for what: lora-tui queue list"),
                code="queue.circle",
            )
        return replace(_waiting(job), after=wanted, if_failed=if_failed or job.if_failed)

    return _changed([number], later)[0]


def _all_before(numbers: Iterable[int], queue: Queue) -> set[int]:
    """These jobs and all that they wait for."""
    found: set[int] = set()
    todo = list(numbers)
    while todo:
        number = todo.pop()
        if number not in found:
            found.add(number)
            todo.extend(queue.jobs[number].after if number in queue.jobs else ())
    return found


def remove(numbers: Iterable[int]) -> list[QueueJob]:
    """Take jobs out of the queue that are not at work. Runs and what they wrote stay.

    Raises:
        UserError: one is not there (``queue.not_found``) or is at work (``queue.working``).
    """
    settle()
    found = []
    with turn() as change:
        for number in dict.fromkeys(numbers):
            job = find_job(change.queue, number)
            if job.at_work:
                raise UserError(
                    _("Job {number} is running.").format(number=number),
                    place=plain(job.title),
                    remedy=_("Stop it first: lora-tui queue stop {number}").format(number=number),
                    code="queue.working",
                )
            found.append(job)
        change.drop(*(job.id for job in found))
    for job in found:
        shutil.rmtree(job_dir(job.id), ignore_errors=True)
    _wake()
    return found


def withdraw(number: int) -> None:
    """Take a job out of the queue that still waits; one that has begun or ended is left alone.

    Raises:
        UserError: it is not there (``queue.not_found``) or does not wait any more (``queue.not_waiting``).
    """
    with turn() as change:
        _waiting(find_job(change.queue, number))
        change.drop(number)
    shutil.rmtree(job_dir(number), ignore_errors=True)
    _wake()


def retry(numbers: Iterable[int], *, anew: bool = False) -> list[QueueJob]:
    """Put jobs that have ended back into the queue, at its end: each goes on where it was, or begins ``anew``.

    Raises:
        UserError: one is not there, has not ended, or is done and is not to begin anew (``queue.done``).
    """

    def again(job: QueueJob, change: Turn) -> QueueJob:
        if not job.over:
            raise UserError(
                _("Job {number} has not ended.").format(number=job.id), place=plain(job.title), code="queue.not_ended"
            )
        if job.state == "done" and not anew:
            raise UserError(
                _("Job {number} is done.").format(number=job.id),
                place=plain(job.title),
                remedy=_("To do it once more: lora-tui queue retry {number} --anew").format(number=job.id),
                code="queue.done",
            )
        rank = max((one.rank for one in change.queue.waiting()), default=0) + 1
        place = "" if anew else job.place
        return waiting_again(job, rank=rank, place=place)

    settle()
    return _changed(numbers, again)


def stop_jobs(numbers: Iterable[int], *, now: bool = False) -> list[QueueJob]:
    """Ask jobs that are at work to save and end, or to end ``now``; the others go on.

    Raises:
        UserError: one is not there or has no folder to be asked in yet.
    """
    settle()
    queue, found = read_queue(), []
    for number in dict.fromkeys(numbers):
        job = find_job(queue, number)
        if job.state != "running":
            raise UserError(
                _("Job {number} is not running.").format(number=number),
                place=plain(job.title),
                remedy=_("To take it out of the queue: lora-tui queue remove {number}").format(number=number),
                code="queue.not_working",
            )
        found.append(job)
    for job in found:
        control.request(Path(job.place), "stop_now" if now else "stop")
    return found


def clear() -> list[QueueJob]:
    """Take out all that is done, failed or stopped, but for what others wait for. Return it."""
    settle()
    with turn() as change:
        needed = {number for job in change.queue.waiting() for number in job.after}
        found = [job for job in change.queue.ended() if job.id not in needed]
        change.drop(*(job.id for job in found))
    for job in found:
        shutil.rmtree(job_dir(job.id), ignore_errors=True)
    return found


def log_paths(job: QueueJob) -> list[Path]:
    """Where a job's output lies: that of its start, and that of its run or task."""
    return [log_path(job), *([Path(job.place) / "trainer.log"] if job.place else [])]


def log_lines(job: QueueJob, most: int) -> list[str]:
    """The end of what a job printed, at its start and at its work."""
    return [line for path in log_paths(job) for line in last_lines(read_tail(path), most)][-most:]


def settle() -> None:
    """Say in the queue how jobs at work have ended while its process is not there to see it.

    Raises:
        UserError: the queue cannot be read or written.
    """
    from lora_tui.jobs.queue.outcome import outcome
    from lora_tui.jobs.queue.process import process_of

    if process_of() is not None:
        return
    queue = read_queue()
    found = {job.id: outcome(job, queue) for job in queue.working()}
    for number, now in found.items():
        if now.state == "running" != queue.jobs[number].state:
            found[number] = outcome(now, queue)
        elif now.state == "starting" and now != queue.jobs[number]:  # nobody starts it any more
            found[number] = replace(now, state="waiting", starts=0, started=None, given=(), numbers=())
    ended = [now for number, now in found.items() if now != queue.jobs[number]]
    if ended:
        with turn() as change:
            change.put(*(now for now in ended if change.queue.jobs.get(now.id) == queue.jobs[now.id]))


def _changed(numbers: Iterable[int], change_of: Callable[[QueueJob, Turn], QueueJob]) -> list[QueueJob]:
    """Change some jobs in one turn, all or none."""
    with turn() as change:
        found = [change_of(find_job(change.queue, number), change) for number in dict.fromkeys(numbers)]
        change.put(*found)
    _wake()
    return found


def find_job(queue: Queue, number: int) -> QueueJob:
    """A job by its number.

    Raises:
        UserError: ``queue.not_found``.
    """
    if number not in queue.jobs:
        raise UserError(
            _("There is no job {number} in the queue.").format(number=number),
            remedy=_("See: lora-tui queue list"),
            code="queue.not_found",
        )
    return queue.jobs[number]


def _waiting(job: QueueJob) -> QueueJob:
    if not job.waits:
        raise UserError(
            _("Job {number} does not wait any more.").format(number=job.id),
            place=plain(job.title),
            remedy=_("See: lora-tui queue list"),
            code="queue.not_waiting",
        )
    return job


def _wake() -> None:
    from lora_tui.jobs.queue.process import wake

    wake()
