"""How a run that was sent to Slurm stands where its own files do not tell: before it begins, and when it fell silent.

The heartbeat decides whether a run lives. Slurm is asked only about one that gives no sign of life and is not complete.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, replace
from pathlib import Path

from lora_tui.jobs.job import Job
from lora_tui.jobs.slurm import calls
from lora_tui.jobs.slurm.board import BOARD, UNKNOWN, Board
from lora_tui.jobs.slurm.calls import Listed
from lora_tui.jobs.slurm.options import seconds_of
from lora_tui.jobs.slurm.submission import HERE, Submission, exchange, read_submission
from lora_tui.jobs.slurm.words import AT_WORK, WAITING, why_ended, why_waiting
from lora_tui.text.formats import duration
from lora_tui.text.plain import plain
from lora_tui.text.translate import _

NEW = 30.0
"""Seconds in which a job may be so new that Slurm's lists do not have it yet."""

NO_LAUNCH = "JobLaunchFailure"
CANNOT_WRITE = ("0:53", "74:0")
"""What a job ends with whose node finds no folder to write in: Slurm's own word, and ours."""


@dataclass(frozen=True)
class Outlook:
    """What is to be said of a run beside what its files tell.

    Attributes:
        job: the number in Slurm.
        words: of the job, in one line.
        state: in place of the state that the files tell; empty where that holds.
        code, message, advice: why it is so, where that needs words.
        held: Slurm has the job, as far as is known: nobody else may begin it.
    """

    job: str
    words: str = ""
    state: str = ""
    code: str = ""
    message: str = ""
    advice: str = ""
    held: bool = False


def outlook(run_dir: Path, state: str, job: Job | None, *, living: bool, board: Board = BOARD) -> Outlook | None:
    """How the run in ``run_dir`` stands in Slurm; none where that adds nothing.

    Args:
        state: by its files; ``living``: whether these give a sign of life.
        job: the keeper's word.
    """
    sent = read_submission(run_dir)
    if sent is None or state == "finished" or (sent.job and sent.job == calls.environment_job()):
        return None
    if living:
        return Outlook(sent.job, _at_work(sent), held=True) if sent.state in ("begun", "leaving") else None
    if sent.state == "refused":
        return _refused(sent)
    if sent.state == "over":
        past = Listed(sent.job, sent.word, sent.reason, sent.nodes, exit=sent.reason)
        return _ended(sent, past, state, job) if sent.word not in ("", HERE) else None
    if not sent.job:
        return _unsure(sent)
    listed = board.look(sent.job, sent.cluster)
    if listed is not None and listed is not UNKNOWN and listed.name not in ("", sent.name):
        listed = UNKNOWN  # the number is a later job's
    if listed is UNKNOWN and time.time() - sent.sent < NEW:
        return _waiting(sent, "")
    if listed is None:
        return _unasked(sent)
    if listed.state in WAITING:
        return _waiting(sent, why_waiting(listed.reason, sent.job))
    if listed.state in AT_WORK:
        return _between(sent, listed, state, job)
    with contextlib.suppress(OSError):  # Slurm forgets it within minutes; somebody has seen it
        reason = listed.exit or listed.reason
        exchange(run_dir, sent, replace(sent, state="over", word=listed.state, reason=reason))
    return _ended(sent, listed, state, job)


def _at_work(sent: Submission) -> str:
    """The job of a run that gives signs of life: where, and how long it may."""
    seconds = seconds_of(str(sent.options.get("time", "")))
    text = _("Slurm job {job} on {nodes}").format(job=sent.job, nodes=plain(sent.nodes, limit=60) or "?")
    if seconds and sent.begun:
        left = max(sent.begun + seconds - time.time(), 0.0)
        return _("{job}, {time} until its time limit").format(job=text, time=duration(left))
    return text


def _refused(sent: Submission) -> Outlook:
    message = _("Slurm refused it: {words}.").format(words=plain(sent.word, limit=300).rstrip("."))
    advice = _("Send it again with other options: lora-tui runs resume RUN --partition …")
    return Outlook(sent.job, state="failed", code="slurm.refused", message=message, advice=advice)


def _unsure(sent: Submission) -> Outlook:
    """sbatch was called, and nobody was there when it answered."""
    if time.time() - sent.sent < calls.PATIENCE + NEW:
        return Outlook("", _("being sent to Slurm"), "waiting", held=True)
    message = _("It is not known whether Slurm took it: nobody was there when sbatch answered.")
    advice = _("Resume it: it is looked for in Slurm first.")
    return Outlook("", state="died", code="slurm.unsure", message=message, advice=advice)


def _waiting(sent: Submission, why: str) -> Outlook:
    text = _("waits in Slurm, job {job}").format(job=sent.job)
    words = _("waits in Slurm {why}, job {job}").format(job=sent.job, why=why) if why else text
    return Outlook(sent.job, words, "waiting", code="slurm.waiting", message=words, held=True)


def _unasked(sent: Submission) -> Outlook | None:
    """Slurm does not answer here. A run that had begun is told by its heartbeat alone."""
    if sent.state not in ("sent", "requeued", "leaving"):
        return None
    words = _("sent to Slurm as job {job}; Slurm does not answer from here").format(job=sent.job)
    advice = _("squeue --jobs={job} on a login node tells more.").format(job=sent.job)
    return Outlook(sent.job, words, "waiting", code="slurm.unasked", message=words, advice=advice, held=True)


def _between(sent: Submission, listed: Listed, state: str, job: Job | None) -> Outlook | None:
    """The job has a node, and the run gives no sign of life: it is about to begin, to leave, or out of sight."""
    nodes = listed.nodes or sent.nodes or "?"
    if sent.state == "leaving":
        words = _("saved; goes back to wait in Slurm, job {job}").format(job=sent.job)
        return Outlook(sent.job, words, "waiting", code="slurm.waiting", message=words, held=True)
    if not _began(sent, job):
        words = _("Slurm job {job} begins on {nodes}").format(job=sent.job, nodes=nodes)
        return Outlook(sent.job, words, "starting", held=True)
    if state != "died" or (job is not None and job.ended is not None) or listed.state == "COMPLETING":
        return None
    heard = time.time() - job.heartbeat if job is not None else 0.0
    message = _("No sign of life for {time}; Slurm says that job {job} runs on {nodes}.").format(
        time=duration(max(heard, 0.0)), job=sent.job, nodes=nodes
    )
    words = _("Slurm job {job} on {nodes}, out of sight").format(job=sent.job, nodes=nodes)
    return Outlook(sent.job, words, "running", code="slurm.silent", message=message, held=True)


def _ended(sent: Submission, listed: Listed, state: str, job: Job | None) -> Outlook | None:
    """Slurm has the job no more. What the run's own files say of its end is better, if they say any."""
    began = _began(sent, job)
    if began and (state != "died" or (job is not None and job.ended is not None)):
        return None
    if listed.state == "UNKNOWN":
        message = _("Slurm does not know job {job} any more.").format(job=sent.job)
        if not began:
            message = _("Slurm does not know job {job} any more, and the run did not begin.").format(job=sent.job)
        advice = _("Resume it to send it again; what its job printed, if anything, is in slurm.log.")
        return Outlook(sent.job, state="died", code="slurm.forgotten", message=message, advice=advice)
    if listed.state == "CANCELLED" and not began:
        message, advice = why_ended("CANCELLED")
        return Outlook(sent.job, state="stopped", code="slurm.cancelled", message=message, advice=advice)
    if (listed.exit in CANNOT_WRITE or listed.reason == NO_LAUNCH) and not began:
        message = _(
            "Slurm could not begin it on {nodes}: the node does not see the run folder, or may not write there."
        )
        message = message.format(nodes=listed.nodes or "?")
        advice = _("Runs have to lie on a disk that the nodes share with this machine, under the same path.")
        return Outlook(sent.job, state="died", code="slurm.folder", message=message, advice=advice)
    message, advice = why_ended(listed.state)
    return Outlook(sent.job, state="died", code=f"slurm.{listed.state.lower()}", message=message, advice=advice)


def _began(sent: Submission, job: Job | None) -> bool:
    """Whether the newest start of the job has come to a keeper; both times are of the node's clock."""
    return job is not None and sent.begun > 0 and sent.state not in ("sent", "requeued") and job.started >= sent.begun
