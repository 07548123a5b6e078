"""What the keeper noted of the end of a run: its budget, its cost, and the command that was run after it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from lora_tui.alarms.facts import read_config, text_of
from lora_tui.jobs.events import as_number
from lora_tui.jobs.job import Job, is_of, read_job
from lora_tui.jobs.process import host, is_alive
from lora_tui.runs.folder import RunFolder
from lora_tui.runs.record import read_record
from lora_tui.runs.status import RunStatus
from lora_tui.text.plain import plain
from lora_tui.text.translate import _

ENTRY = "ending"
"""Its place in the record, see :mod:`lora_tui.jobs.care`."""

TELLING = 120.0
"""Seconds after the end from which on a keeper that cannot be asked has begun the command, or is gone."""


def after_lines(status: RunStatus) -> list[str]:
    """The same in words, a line each; none while the run lives."""
    if status.alive:
        return []
    entry, job = _entry(status.run), read_job(status.run.root)
    budget, cost, after = entry.get("budget"), as_number(entry.get("cost")), entry.get("on_finish")
    lines = []
    if isinstance(budget, dict) and budget.get("reached"):
        said = plain(str(budget.get("said")), limit=60)
        lines.append(_("It stopped for its budget of {budget}.").format(budget=said))
    if cost is not None:
        currency = plain(str(entry.get("currency") or ""), limit=20)
        lines.append(_("It cost {cost}.").format(cost=f"{cost:.2f} {currency}".strip()))
    if isinstance(after, dict):
        command = plain(str(after.get("command")), limit=200)
        lines.append(_("After it: {command} ({status})").format(command=command, status=_how(after, job)))
    elif command := _left_undone(status.run, job):
        told = _("The command after it was not run, for its keeper had been killed: {command}")
        lines.append(told.format(command=plain(command, limit=200)))
    return lines


def command_at_work(run: RunFolder) -> str:
    """The command after the run's end while its keeper waits for it; empty otherwise."""
    after, job = _entry(run).get("on_finish"), read_job(run.root)
    working = isinstance(after, dict) and after.get("exit_status") is None and _keeper_there(job)
    return str(after.get("command")) if isinstance(after, dict) and working else ""


def command_to_come(run: RunFolder) -> str:
    """The command that the run's settings want after its end; empty for none."""
    return text_of(read_config(run.root), ENTRY, "on_finish").strip()


def _entry(run: RunFolder) -> Mapping[str, Any]:
    entry = read_record(run).get(ENTRY)
    return entry if isinstance(entry, dict) else {}


def _how(after: Mapping[str, Any], job: Job | None) -> str:
    """What became of the command."""
    if after.get("exit_status") is not None:
        return _("status {status}").format(status=plain(str(after["exit_status"]), limit=20))
    return _("running") if _keeper_there(job) else _("not ended when its keeper left")


def _left_undone(run: RunFolder, job: Job | None) -> str:
    """The command that nobody ran after the end, and nobody will; empty where there is none, or it may still come."""
    if job is None or not is_of(run.root, job) or _keeper_there(job):
        return ""
    if job.host != host() and job.ended is not None and time.time() - job.ended < TELLING:
        return ""
    return command_to_come(run)


def _keeper_there(job: Job | None) -> bool:
    """Whether the keeper that had the run lives on this machine; it does so after the end to see to the rest."""
    return job is not None and job.host == host() and is_alive(job.pid, job.identity)
