"""Giving a run to Slurm, and taking it back."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from pathlib import Path

from lora_tui.errors import UserError
from lora_tui.files import alone_in, write_atomic
from lora_tui.jobs import control, registry
from lora_tui.jobs.slurm import calls
from lora_tui.jobs.slurm.board import BOARD
from lora_tui.jobs.slurm.options import Options, as_plain, options_from
from lora_tui.jobs.slurm.script import FILE, job_name, script
from lora_tui.jobs.slurm.submission import HERE, Submission, change, exchange, read_submission, update, write_submission
from lora_tui.jobs.slurm.turns import StuckTurn
from lora_tui.jobs.slurm.words import AT_WORK, WAITING
from lora_tui.text.plain import plain
from lora_tui.text.translate import _

LEAVING = 15.0
"""Seconds that the job of a run which has ended may take to leave."""

_HAS = WAITING | (AT_WORK - {"COMPLETING"})


def send(run_dir: Path, options: Options, *, budget: str = "") -> Submission:
    """Write the script into the run folder and hand it to Slurm. Two at once: the second finds the first one's job.

    Raises:
        UserError: ``slurm.missing``, ``slurm.refused``, ``slurm.silent``, ``slurm.held`` where Slurm has it already,
            or ``job.start`` where the folder cannot be written.
    """
    calls.require()
    run_dir = run_dir.absolute()
    try:
        with alone_in(run_dir):
            _require_free(run_dir)
            before = read_submission(run_dir)
            control.clear(run_dir)
            asked = Submission(name=job_name(run_dir), sent=time.time(), options=as_plain(options), budget=budget)
            write_atomic(run_dir / FILE, script(run_dir, options))
            write_submission(run_dir, asked)
            registry.register(run_dir)
            return _handed_over(run_dir, asked, before)
    except StuckTurn as error:
        raise UserError(f"{error.strerror}.", place=plain(str(run_dir)), code="job.start") from error
    except OSError as error:
        raise UserError(
            _("The run folder cannot be written: {reason}.").format(reason=error.strerror or error),
            place=plain(str(run_dir)),
            remedy=_("Make the run folder writable and leave room on the disk."),
            code="job.start",
        ) from error


def _handed_over(run_dir: Path, asked: Submission, before: Submission | None) -> Submission:
    try:
        job, cluster = calls.submit(run_dir, FILE)
    except UserError as error:
        if error.code == "slurm.refused":
            words = error.message.partition(": ")[2].rstrip(".")
            with contextlib.suppress(OSError):
                write_submission(run_dir, before or replace(asked, state="refused", word=words))
        raise
    sent = replace(asked, job=job, cluster=cluster, state="sent")
    begun = update(run_dir, lambda known: known if known is not None and known.job == job else sent)
    return begun or sent  # it may have begun already, and said so


def last_options(run_dir: Path) -> Options:
    """What the run was sent with before; what cannot be read is as nobody asked for it."""
    known = read_submission(run_dir)
    try:
        return options_from(known.options) if known is not None else Options()
    except UserError:
        return Options()


def take_back(run_dir: Path) -> str:
    """Take the job of a run out of Slurm; the job's number.

    Raises:
        UserError: ``slurm.cancel`` when Slurm does not do it.
    """
    known = read_submission(run_dir)
    job, cluster = (known.job, known.cluster) if known is not None else ("", "")
    answer = calls.cancel(job, cluster) if job else calls.Answer(1, "", _("no job is known"))
    if answer.status != 0:
        raise UserError(
            _("Slurm does not cancel job {job}: {words}.").format(job=job or "?", words=answer.words),
            place="scancel",
            remedy=_("Try again when Slurm answers; squeue --me shows your jobs."),
            code="slurm.cancel",
        )
    with contextlib.suppress(OSError):
        change(run_dir, job, state="over", word="CANCELLED")
    BOARD.forget(job, cluster)
    return job


def leave(run_dir: Path) -> None:
    """Have the run be no more of Slurm's; a job of it that begins all the same finds that out and ends.

    Does nothing within the run's own job, which starts it on its node, or where the folder cannot be written.
    """

    def gone(known: Submission | None) -> Submission | None:
        if known is None or (known.job and known.job == calls.environment_job()):
            return None
        return replace(known, state="over", word=HERE)

    if read_submission(run_dir) is not None:
        with contextlib.suppress(OSError):
            update(run_dir, gone)


def _require_free(run_dir: Path) -> None:
    """Whether Slurm has no job of the run: one that was sent by somebody who was killed is found by its name.

    Raises:
        UserError: ``slurm.held``.
    """
    deadline = time.monotonic() + LEAVING
    while (known := read_submission(run_dir)) is not None and known.state not in ("refused", "over"):
        found = calls.ask([known.job], known.cluster) if known.job else calls.find(known.name)
        held = [one for one in (found or {}).values() if one.name == known.name and one.state in _HAS]
        if not held:
            return
        if known.state == "begun" and time.monotonic() < deadline:  # whoever ended the run has to leave yet
            time.sleep(0.2)
            continue
        for one in held:
            if not known.job:
                exchange(run_dir, known, replace(known, job=one.job, state="sent"))
            raise UserError(
                _("Slurm has this run already, as job {job}.").format(job=one.job),
                place=plain(run_dir.name),
                remedy=_("Take it back first: lora-tui runs stop RUN"),
                code="slurm.held",
            )
