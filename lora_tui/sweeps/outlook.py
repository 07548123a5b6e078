"""What a sweep will do and take: every run checked and planned before one of them starts."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_tui.config.findings import SEVERITIES, Finding, error
from lora_tui.config.plan import PastRun, RunPlan, plan_run
from lora_tui.config.schema import Config, as_plain
from lora_tui.config.validate import check_config
from lora_tui.errors import UserError
from lora_tui.jobs.resources import disk_free
from lora_tui.sweeps.members import Member, Sweep
from lora_tui.text import _, bytes_text, count, duration, ngettext, plain

if TYPE_CHECKING:
    from lora_tui.dataset.batches import DataPlan
    from lora_tui.dataset.scan import Scan

MANY_RUNS = 16
"""From more runs than this on it is asked whether they are meant."""

SHARED = frozenset({"latents", "texts", "packed"})
"""Parts on disk that runs of a sweep share, as far as they are alike; the largest is counted once."""

_NOT_OF_BATCHES = ("network", "learning", "optimizer", "noise", "saving", "tracking", "ending", "samples", "sampling")
_OF_SCANS = ("datasets", "data", "captions", "masks")


@dataclass(frozen=True)
class MemberPlan:
    """A run of the sweep, what it will do, and what is wrong or doubtful; no plan where it could not be made."""

    member: Member
    plan: RunPlan | None
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """What keeps it from starting."""
        return tuple(finding for finding in self.findings if finding.severity == "error")


@dataclass(frozen=True)
class Told:
    """Something that is said of several runs alike; ``members`` are their names."""

    finding: Finding
    members: tuple[str, ...]


@dataclass(frozen=True)
class SweepPlan:
    """All runs of a sweep.

    Attributes:
        sweep: what was planned.
        runs: each of its runs.
        disk_free: bytes on the disk where they will lie; none where that cannot be known.
    """

    sweep: Sweep
    runs: tuple[MemberPlan, ...]
    disk_free: int | None = None

    @property
    def plans(self) -> tuple[RunPlan, ...]:
        """The plans that could be made."""
        return tuple(run.plan for run in self.runs if run.plan is not None)

    @property
    def total_steps(self) -> int:
        """Steps of all runs."""
        return sum(plan.total_steps for plan in self.plans)

    @property
    def seconds(self) -> float | None:
        """Time of all runs, one after the other; none where one of them is unknown."""
        return _sum([plan.seconds for plan in self.plans])

    @property
    def cost(self) -> float | None:
        """What that costs; none without a price."""
        return _sum([plan.cost for plan in self.plans])

    @property
    def disk_bytes(self) -> int:
        """What all runs leave on disk; what they share is counted once."""
        own = sum(size for plan in self.plans for part, size in plan.disk_bytes.items() if part not in SHARED)
        return own + sum(max((plan.disk_bytes.get(part, 0) for plan in self.plans), default=0) for part in SHARED)

    @property
    def memory_bytes(self) -> int:
        """What the largest step of the largest run takes on the device."""
        return max((plan.memory_total for plan in self.plans), default=0)

    @property
    def rough(self) -> bool:
        """Whether the time is a guess."""
        return any(plan.rough for plan in self.plans)

    @property
    def told(self) -> tuple[Told, ...]:
        """All findings, each once with the runs that it is of, errors first."""
        found: dict[tuple[str, str, str], tuple[Finding, list[str]]] = {}
        for run in self.runs:
            for finding in run.findings:
                key = finding.code, finding.field, finding.message
                found.setdefault(key, (finding, []))[1].append(run.member.name)
        told = [Told(finding, tuple(dict.fromkeys(names))) for finding, names in found.values()]
        return tuple(sorted(told, key=lambda one: SEVERITIES.index(one.finding.severity)))

    @property
    def errors(self) -> tuple[Told, ...]:
        """What keeps the sweep from starting: errors of its runs, and a disk that cannot hold them all."""
        found = [one for one in self.told if one.finding.severity == "error"]
        if not found and self.disk_free is not None and self.disk_bytes > self.disk_free:
            text = _("All runs together write {needed}, and {free} are free.")
            message = text.format(needed=bytes_text(self.disk_bytes), free=bytes_text(self.disk_free))
            remedy = _("Leave runs out, keep fewer files (saving.keep_last), or make room.")
            finding = error("saving.keep_last", message, remedy, "sweep.disk")
            found.append(Told(finding, tuple(run.member.name for run in self.runs)))
        return tuple(found)

    def refuse(self) -> None:
        """Raise where a run cannot start.

        Raises:
            UserError: naming the first that is wrong and what is wrong with it.
        """
        errors = self.errors
        if not errors:
            return
        first = errors[0]
        message = first.finding.message
        if len(errors) > 1:
            more = ngettext("({count} more error)", "({count} more errors)", len(errors) - 1)
            message += " " + more.format(count=len(errors) - 1)
        place = f"{self.who(first)}: {first.finding.field}" if first.finding.field else self.who(first)
        raise UserError(message, place=place, remedy=first.finding.remedy, code=first.finding.code)

    def summary(self, currency: str = "") -> str:
        """How many runs and what they take in all, on one line."""
        number, steps = len(self.runs), self.total_steps
        parts = [ngettext("{count} run", "{count} runs", number).format(count=count(number))]
        parts.append(ngettext("{count} step", "{count} steps", steps).format(count=count(steps)))
        if self.seconds is None:
            parts.append(_("time: the first run here will tell"))
        else:
            text = _("roughly {time}") if self.rough else _("about {time}")
            parts.append(text.format(time=duration(self.seconds)))
        free = bytes_text(self.disk_free)
        parts.append(_("disk {size} of {free} free").format(size=bytes_text(self.disk_bytes), free=free))
        if self.cost is not None:
            parts.append(_("cost {cost}").format(cost=f"{self.cost:.2f} {plain(currency)}".strip()))
        return ", ".join(parts)

    def who(self, told: Told) -> str:
        """The runs that something is said of, in words."""
        if len(told.members) == len(self.runs) > 1:
            return _("all {count} runs").format(count=len(self.runs))
        if len(told.members) <= 2:
            return plain(", ".join(told.members), limit=160)
        return _("{first} and {count} more").format(first=plain(told.members[0]), count=len(told.members) - 1)

    def as_dict(self) -> dict[str, Any]:
        """The plan as plain data."""
        return {
            "name": self.sweep.name,
            "keys": list(self.sweep.keys),
            "count": len(self.runs),
            "total_steps": self.total_steps,
            "seconds": self.seconds,
            "rough": self.rough,
            "cost": self.cost,
            "disk_bytes": self.disk_bytes,
            "disk_free": self.disk_free,
            "memory_bytes": self.memory_bytes,
            "runs": [
                {
                    "name": run.member.name,
                    "values": dict(run.member.values),
                    "total_steps": run.plan.total_steps if run.plan else None,
                    "seconds": run.plan.seconds if run.plan else None,
                    "cost": run.plan.cost if run.plan else None,
                    "memory_bytes": run.plan.memory_total if run.plan else None,
                    "lora_bytes": run.plan.lora_bytes if run.plan else None,
                    "errors": [finding.as_dict() for finding in run.errors],
                }
                for run in self.runs
            ],
            "alike": [{"name": name, "values": dict(values)} for name, values in self.sweep.alike],
            "findings": [{**one.finding.as_dict(), "runs": list(one.members)} for one in self.told],
        }


def plan_sweep(
    sweep: Sweep,
    runs_dir: Path,
    *,
    history: Sequence[PastRun] = (),
    price_per_hour: float = 0.0,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> SweepPlan:
    """Check and plan every run of ``sweep``. Blocks: images are read, once for all runs that share them.

    Args:
        on_progress: called with the runs that are done and their number.
    """
    look = _Look()
    found: list[MemberPlan] = []
    for number, member in enumerate(sweep.members):
        on_progress(number, len(sweep.members))
        found.append(_planned(member, look, runs_dir, history, price_per_hour))
    place = runs_dir
    while not place.is_dir() and place != place.parent:
        place = place.parent
    return SweepPlan(sweep, tuple(found), disk_free(place))


def _planned(
    member: Member, look: _Look, runs_dir: Path, history: Sequence[PastRun], price_per_hour: float
) -> MemberPlan:
    findings = check_config(member.config)
    if any(finding.severity == "error" for finding in findings):
        return MemberPlan(member, None, findings)
    try:
        scan = look.scan(member.config)
        findings = check_config(member.config, scan=scan)
        if any(finding.severity == "error" for finding in findings):
            return MemberPlan(member, None, findings)
        data = look.batches(member.config, scan)
        plan = plan_run(member.config, scan, data, history=history, price_per_hour=price_per_hour)
        return MemberPlan(member, plan, check_config(member.config, scan=scan, plan=data, folder=runs_dir))
    except UserError as problem:
        told = error(problem.place, problem.message, problem.remedy, problem.code)
        return MemberPlan(member, None, (told,))


class _Look:
    """Images and batches, read once for all configurations that have the same."""

    def __init__(self) -> None:
        self._scans: dict[str, Scan] = {}
        self._groups: dict[int, dict[str, int]] = {}
        self._batches: dict[str, DataPlan] = {}

    def scan(self, config: Config) -> Scan:
        from lora_tui.dataset.scan import scan_datasets

        key = _text(config, lambda section: section in _OF_SCANS)
        if key not in self._scans:
            self._scans[key] = scan_datasets(config)
        return self._scans[key]

    def batches(self, config: Config, scan: Scan) -> DataPlan:
        from lora_tui.dataset.batches import make_plan

        key = _text(config, lambda section: section not in _NOT_OF_BATCHES)
        if key not in self._batches:
            self._batches[key] = make_plan(config, scan, groups=self._alike(config, scan))
        return self._batches[key]

    def _alike(self, config: Config, scan: Scan) -> Mapping[str, int]:
        """Which images are near-duplicates, where some are held out."""
        from lora_tui.dataset.batches import validation_count
        from lora_tui.dataset.similar import image_groups

        if not validation_count(len(scan.images), config.validation.mode, config.validation.share):
            return {}
        if id(scan) not in self._groups:
            self._groups[id(scan)] = image_groups(scan.images)
        return self._groups[id(scan)]


def _text(config: Config, chosen: Callable[[str], bool]) -> str:
    return json.dumps({name: part for name, part in as_plain(config).items() if chosen(name)}, default=str)


def _sum(parts: Sequence[float | None]) -> float | None:
    known = [part for part in parts if part is not None]
    return sum(known) if known and len(known) == len(parts) else None
