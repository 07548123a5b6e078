"""The table of a sweep: what each run has of what varies, how it stands, and what came of it."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lora_tui.errors import UserError
from lora_tui.jobs.queue.record import QueueJob
from lora_tui.records.export import csv_cell
from lora_tui.records.rows import Row, read_rows
from lora_tui.runs.folder import list_runs
from lora_tui.runs.status import state_word
from lora_tui.sweeps.axes import value_text
from lora_tui.sweeps.folder import SweepFolder
from lora_tui.sweeps.members import LABELS
from lora_tui.sweeps.queueing import jobs_of
from lora_tui.text import N_, _, count, duration, ngettext, number, plain

MISSING = "missing"
"""State of a run that was never started, or whose folder is gone."""

MEASURED = ("best_validation", "validation", "loss")
"""What says how good a run became, the surest first."""


@dataclass(frozen=True)
class Result:
    """A run of a sweep and what came of it.

    Attributes:
        member: its name.
        values: what it has of what varies.
        row: its newest run; none where it was never started or is gone.
        lives: runs of it that there are.
        job: its newest job in the queue, if the queue knows one.
    """

    member: str
    values: Mapping[str, Any]
    row: Row | None = None
    lives: int = 0
    job: QueueJob | None = None

    @property
    def state(self) -> str:
        """One of the states of runs; ``queued``, ``failed`` (to start) or :data:`MISSING` where there is none."""
        if self.row is not None:
            return self.row.status.state
        if self.job is None or self.job.state in ("done", "stopped"):
            return MISSING
        return {"waiting": "queued"}.get(self.job.state, self.job.state)

    @property
    def message(self) -> str:
        """Why it ended, or why it did not start; empty where there is nothing to say."""
        if self.row is not None:
            return self.row.status.message
        return f"{self.job.message} {self.job.advice}".strip() if self.job is not None and self.job.over else ""

    def get(self, name: str) -> Any:
        """The value of a column (:data:`COLUMNS`), or of a setting that varies; none where there is nothing."""
        if name in self.values:
            return self.values[name]
        row = self.row
        if name in ("name", "state", "message"):
            return {"name": self.member, "state": self.state}.get(name, self.message) or None
        if row is None:
            return None
        status = row.status
        found = {
            "number": status.number or None,
            "step": status.step,
            "steps": status.total_steps or None,
            "loss": status.loss,
            "validation": row.last_validation,
            "best_validation": row.validation,
            "best_validation_step": row.validation_step or None,
            "seconds": row.seconds,
            "cost": row.cost,
            "currency": row.currency or None,
            "best": str(row.run.root / row.best) if row.best else None,
            "best_step": row.best_step or None,
            "run": str(row.run.root),
        }
        return found[name]


COLUMNS = (
    "name",
    "state",
    "number",
    "step",
    "steps",
    "loss",
    "validation",
    "best_validation",
    "best_validation_step",
    "seconds",
    "cost",
    "currency",
    "best",
    "best_step",
    "run",
    "message",
)
"""What a table has besides the settings that vary."""

_OTHER_NAMES = {"time": "seconds", "took": "seconds", "val": "best_validation", "member": "name", "#": "number"}


@dataclass(frozen=True)
class Table:
    """All runs of a sweep in the order in which they were planned.

    Attributes:
        name: of the sweep.
        keys: the settings that vary.
        results: its runs.
    """

    name: str
    keys: tuple[str, ...]
    results: tuple[Result, ...]

    @property
    def best(self) -> Result | None:
        """The run of the lowest validation loss; without validation none, for losses of other data say little."""
        found = [(value, at) for at, one in enumerate(self.results) if _finite(value := one.get("best_validation"))]
        return self.results[min(found)[1]] if found else None

    def counts(self) -> dict[str, int]:
        """State -> runs that are in it."""
        found: dict[str, int] = {}
        for one in self.results:
            found[one.state] = found.get(one.state, 0) + 1
        return found

    def ordered(self, name: str) -> Table:
        """Sorted by a column or a setting, the smallest first, ``-`` in front for the largest; nothing comes last.

        Raises:
            UserError: ``sweep.column``, there is no such column.
        """
        if not name:
            return self
        wanted, backwards = name.removeprefix("-"), name.startswith("-")
        column = self._column(wanted)
        known = [(key, one) for one in self.results if (key := _sortable(one.get(column))) is not None]
        known.sort(key=lambda pair: pair[0], reverse=backwards)
        there = {one.member for _key, one in known}
        rest = [one for one in self.results if one.member not in there]
        return Table(self.name, self.keys, (*(one for _key, one in known), *rest))

    def _column(self, name: str) -> str:
        short = {key.rpartition(".")[2]: key for key in reversed(self.keys)}
        short |= {LABELS[key]: key for key in self.keys if key in LABELS}
        found = _OTHER_NAMES.get(name, name)
        found = found if found in COLUMNS or found in self.keys else short.get(found, "")
        if not found:
            raise UserError(
                _("The table has no column {name}.").format(name=plain(name, limit=60)),
                place="--sort",
                remedy=_("It has {names}.").format(names=", ".join((*self.keys, *COLUMNS))),
                code="sweep.column",
            )
        return found

    def as_dict(self) -> dict[str, Any]:
        """The table as plain data."""
        best = self.best
        return {
            "sweep": self.name,
            "keys": list(self.keys),
            "counts": self.counts(),
            "best": best.member if best else None,
            "runs": [{"values": dict(one.values), **{name: one.get(name) for name in COLUMNS}} for one in self.results],
        }

    def csv(self) -> str:
        """The table as CSV, with every column."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        rest = COLUMNS[1:]
        writer.writerow(("name", *self.keys, *rest))
        for one in self.results:
            writer.writerow([csv_cell(one.get(name)) for name in ("name", *self.keys, *rest)])
        return out.getvalue()


def read_table(sweep: SweepFolder) -> Table:
    """The table of ``sweep`` as it stands now."""
    return table_of(sweep, read_rows(list_runs(sweep.runs_dir), sweep.runs_dir), jobs_of(sweep))


def table_of(sweep: SweepFolder, rows: Iterable[Row], jobs: Mapping[str, QueueJob]) -> Table:
    """The table of ``sweep`` with ``rows``, all runs of its folder, oldest first, and its jobs in the queue."""
    mine: dict[str, list[Row]] = {}
    for row in rows:
        if row.sweep == sweep.name and row.member:
            mine.setdefault(row.member, []).append(row)
    results = [
        Result(
            one.name,
            dict(one.values),
            mine[one.name][-1] if one.name in mine else None,
            len(mine.get(one.name, ())),
            jobs.get(one.name),
        )
        for one in sweep.members
    ]
    return Table(sweep.name, sweep.keys, tuple(results))


def headings(table: Table, *, priced: bool) -> tuple[list[str], list[int]]:
    """The headings of the table for a person, and the columns that are numbers."""
    varied = [short_key(key, table.keys) for key in table.keys]
    words = ["", "#", *varied, _("state"), _("step"), _("loss"), _("validation"), _("best"), _("time")]
    words += [_("cost")] if priced else []
    first = 2 + len(varied)
    return [*words, _("best file")], [1, *range(2, first), *range(first + 1, len(words))]


def cells(table: Table, one: Result, *, priced: bool) -> list[str]:
    """A run as the texts below those headings; the first is for a mark."""
    best_at = one.get("best_validation_step")
    step, steps = one.get("step"), one.get("steps")
    found = [
        "",
        str(one.get("number") or "-"),
        *(plain(value_text(one.values[key]), limit=30) if key in one.values else "-" for key in table.keys),
        state_text(one.state),
        "-" if step is None else f"{count(step)}/{count(steps)}" if steps else count(step),
        number(one.get("loss")),
        number(one.get("validation")),
        f"{number(one.get('best_validation'))} @{count(best_at)}" if best_at else "-",
        duration(one.get("seconds")),
    ]
    if priced:
        cost = one.get("cost")
        found.append("-" if cost is None else f"{cost:.2f} {plain(one.get('currency') or '', limit=8)}".strip())
    best = one.get("best")
    return [*found, plain(Path(best).name, limit=60) if best else "-"]


def counts_text(table: Table) -> str:
    """How many runs are in which state, in words."""
    told = ", ".join(f"{count(number)} {state_text(state)}" for state, number in table.counts().items())
    total = ngettext("{count} run", "{count} runs", len(table.results)).format(count=count(len(table.results)))
    return f"{total}: {told}"


def state_text(state: str) -> str:
    """A state in words."""
    return _(_STATES[state]) if state in _STATES else state_word(state)


_STATES = {MISSING: N_("not started"), "queued": N_("in the queue")}


def short_key(key: str, keys: Sequence[str]) -> str:
    """What a setting is called in a table: the last part of its key where that is clear."""
    label = LABELS.get(key, key.rpartition(".")[2])
    others = [LABELS.get(other, other.rpartition(".")[2]) for other in keys if other != key]
    return key if label in others else label


def _finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _sortable(value: Any) -> tuple[int, float, str] | None:
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, (bool, int, float)):
        return 0, float(value), ""
    return 1, 0.0, value_text(value).casefold()
