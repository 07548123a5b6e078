"""Which jobs may start now and on which GPUs, and why the others wait. Pure: the machine's state is given.

A job with GPUs has them for itself. Jobs without share one place on the processor, one after the other; where there is
no GPU at all, trainings take that place, too. What is done on a cluster needs neither. Within what they need, jobs
start in the order of the queue: one that waits for two GPUs is not overtaken by those behind it that need one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from lora_tui.jobs.queue.record import Queue, QueueJob

FREE_SHARE = 0.8
"""Of a GPU's memory, what must be free for it to count as nobody else's: drivers and desktops hold some."""

ASLEEP = frozenset({"held", "queue_held", "after_failed"})
"""Reasons that only a person can do away with."""


@dataclass(frozen=True)
class Gpu:
    """A GPU of this machine: bytes of its memory, and whether somebody outside of the queue uses it."""

    uuid: str
    number: int
    name: str = ""
    used: int | None = None
    total: int | None = None

    @property
    def free(self) -> bool:
        """Whether nobody seems to use it; one whose driver does not say counts as free."""
        return not self.total or self.used is None or 1 - self.used / self.total >= FREE_SHARE


@dataclass(frozen=True)
class Box:
    """What jobs can be given, as it was at one moment.

    Attributes:
        gpus: those that the queue may use.
        neighbour: on a machine without GPUs, a training at work that somebody started beside the queue; empty for none.
    """

    gpus: tuple[Gpu, ...] = ()
    neighbour: str = ""


@dataclass(frozen=True)
class Reason:
    """Why a job waits: a stable ``code``, and what belongs to it.

    Codes: ``held``, ``queue_held``, ``after`` (``jobs``), ``after_failed`` (``jobs``), ``gpus_few`` (``needs``,
    ``there``), ``gpus_gone``, ``gpus_used`` (``jobs`` of ours that use them), ``gpus_others`` (``numbers`` that
    somebody else uses), ``behind`` (``jobs``), ``turn`` (``jobs`` at work on the processor), ``neighbour`` (``name``).
    """

    code: str
    jobs: tuple[int, ...] = ()
    numbers: tuple[int, ...] = ()
    needs: int = 0
    there: int = 0
    name: str = ""


@dataclass
class Plan:
    """What to do now: jobs to start with their GPUs, why each other waits, and which leave the queue."""

    start: list[tuple[QueueJob, tuple[Gpu, ...]]] = field(default_factory=list)
    waits: dict[int, Reason] = field(default_factory=dict)
    leave: list[QueueJob] = field(default_factory=list)


def plan(queue: Queue, box: Box) -> Plan:
    """What may start now, in order."""
    found = Plan()
    working = queue.working()
    taken = {uuid for job in working for uuid in job.given}
    on_processor = [job.id for job in working if not job.given and not job.elsewhere]
    free = [gpu for gpu in box.gpus if gpu.uuid not in taken and gpu.free]
    first = 0
    for job in queue.waiting():
        why = Reason("queue_held") if queue.held and not job.held else _bar(job, queue)
        if why is not None and why.code == "after_failed" and job.if_failed == "remove":
            found.leave.append(job)
        if why is None and job.elsewhere:
            found.start.append((job, ()))
        elif why is None and job.gpus and not (job.or_cpu and not box.gpus):
            why = _no_gpu(job, box, free, taken, working, first)
            if why is None:
                found.start.append((job, tuple(free[: job.gpus])))
                del free[: job.gpus]
            elif why.code not in ("gpus_few", "gpus_gone"):
                first = first or job.id
        elif why is None:
            why = _no_place(on_processor, box)
            if why is None:
                found.start.append((job, ()))
                on_processor.append(job.id)
        if why is not None:
            found.waits[job.id] = why
    return found


def something_to_do(queue: Queue, box: Box) -> bool:
    """Whether a job is at work, can be started, or waits for what will come without anybody's word."""
    found = plan(queue, box)
    sleepers = all(why.code in ASLEEP for why in found.waits.values())
    return bool(queue.working() or found.start or found.leave) or not sleepers


def unmet(job: QueueJob, queue: Queue) -> tuple[list[int], list[int]]:
    """Of the jobs that this one comes after: those that have not ended yet, and those that did not do their work."""
    pending, failed = [], []
    for number in job.after:
        other = queue.jobs.get(number)
        if other is None or other.state in ("failed", "stopped"):
            failed.append(number)
        elif other.state != "done":
            pending.append(number)
    return pending, failed


def _bar(job: QueueJob, queue: Queue) -> Reason | None:
    """What a person has said that keeps it from being started."""
    if job.held:
        return Reason("held")
    pending, failed = unmet(job, queue)
    if failed and job.if_failed != "run":
        return Reason("after_failed", tuple(failed))
    return Reason("after", tuple(pending)) if pending else None


def _no_gpu(
    job: QueueJob, box: Box, free: list[Gpu], taken: set[str], working: list[QueueJob], first: int
) -> Reason | None:
    if not box.gpus:
        return Reason("gpus_gone", needs=job.gpus)
    if len(box.gpus) < job.gpus:
        return Reason("gpus_few", needs=job.gpus, there=len(box.gpus))
    if first:
        return Reason("behind", (first,), needs=job.gpus)
    if len(free) >= job.gpus:
        return None
    others = tuple(gpu.number for gpu in box.gpus if gpu.uuid not in taken and not gpu.free)
    if others:
        return Reason("gpus_others", numbers=others, needs=job.gpus)
    return Reason("gpus_used", tuple(one.id for one in working if one.given), needs=job.gpus)


def _no_place(on_processor: list[int], box: Box) -> Reason | None:
    if on_processor:
        return Reason("turn", tuple(on_processor))
    return Reason("neighbour", name=box.neighbour) if box.neighbour and not box.gpus else None
