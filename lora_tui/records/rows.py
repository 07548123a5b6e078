"""A run as a row of the record: how it stands, what it was asked to do, what a person said of it, its best file.

A thousand runs are told at once, so what an ended run says is kept beside the caches and read again only when one of
its files has changed. Nothing depends on what is kept there: without it everything is read anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from lora_tui.alarms.alarm import FILE as ALARMS
from lora_tui.alarms.alarm import alarm_of
from lora_tui.errors import UserError
from lora_tui.files import write_atomic
from lora_tui.jobs.events import as_count, as_number
from lora_tui.jobs.slurm.outlook import Outlook
from lora_tui.jobs.slurm.submission import FILE as SUBMISSION
from lora_tui.records.best import best_of, course_of
from lora_tui.records.notes import Notes, notes_path, read_notes
from lora_tui.runs.folder import RunFolder, read_json
from lora_tui.runs.settings_text import adapter_words
from lora_tui.runs.status import RunStatus, inspect
from lora_tui.settings import cache_dir
from lora_tui.text.translate import language
from lora_tui.toml_files import TomlError, read_toml

LAYOUT = 6
"""Version of what is kept."""

MOST_KEPT_BYTES = 64 << 20
LONGEST_VALUE = 300
MOST_PRICE = 1e9
SWEEP = "sweep"
"""Where the record says which sweep a run belongs to: an object with ``name``, ``member`` and ``values``."""

LIVING_SECONDS = 20.0
"""How long what the events of a living run say is good: the whole file is read for it."""

_NOTES = slice(10, 13)
"""The part of a stamp that is of the notes."""

Stamp = tuple[int, ...]


@dataclass(frozen=True)
class Row:
    """One run.

    Attributes:
        settings: ``section.key`` -> value of its configuration, as its file has them; lists of tables are left out.
        unreadable: its configuration cannot be read.
        known: its files have been read; before that only ``status`` tells something.
        best: the best LoRA file relative to the folder, the step it is of, why, and at which strength (see
            :class:`records.best.Best`).
        validation, validation_step: the lowest validation loss and its step.
        last_validation: the newest validation loss.
        images: how many it was trained on, as far as the record says.
        files: LoRA files that it has now.
        sweep, member: the sweep that it belongs to, and which of its runs it is; empty for a run of its own.
        price, currency: of the machine per hour, as the record has it; 0 where it costs nothing.
    """

    status: RunStatus
    notes: Notes = field(default_factory=Notes)
    settings: Mapping[str, Any] = field(default_factory=dict)
    unreadable: bool = False
    known: bool = True
    best: str = ""
    best_step: int = 0
    best_why: str = ""
    best_strength: float | None = None
    validation: float | None = None
    validation_step: int = 0
    last_validation: float | None = None
    images: int = 0
    files: int = 0
    sweep: str = ""
    member: str = ""
    price: float = 0.0
    currency: str = ""

    @property
    def run(self) -> RunFolder:
        """Its folder."""
        return self.status.run

    @property
    def family(self) -> str:
        """Its model family; empty where that is unknown."""
        return str(self.settings.get("model.family", "") or "")

    @property
    def seconds(self) -> float | None:
        """How long it took, or takes by now."""
        status = self.status
        if status.took is None and status.alive and status.started is not None:
            return max(time.time() - status.started, 0.0)
        return status.took

    @property
    def cost(self) -> float | None:
        """What its time cost; none where that is unknown or nothing."""
        seconds = self.seconds
        return None if seconds is None or not 0 < self.price < MOST_PRICE else seconds / 3600 * self.price

    @property
    def adapter(self) -> str:
        """Kind and rank of its adapter, ``LoCon 16``; ``-`` where that is unknown."""
        if self.unreadable or not self.known:
            return "-"
        return adapter_words(
            {key.removeprefix("network."): value for key, value in self.settings.items() if key.startswith("network.")}
        )


@dataclass(frozen=True)
class _Kept:
    stamp: Stamp
    facts: dict[str, Any]
    read_at: float = -math.inf


class RowReader:
    """Reads the rows of a folder of runs again and again; may be shared by nobody else meanwhile."""

    def __init__(self, runs_dir: Path, *, keep: bool = True) -> None:
        """``keep``: remember what was read for the next process."""
        self.runs_dir = runs_dir
        self._keep = keep
        self._known: dict[str, _Kept] | None = None
        self._changed = False
        self._looked: dict[str, Stamp] = {}

    def rows(self, statuses: Iterable[RunStatus]) -> list[Row]:
        """The rows of these runs, in their order. Never raises: what cannot be read is missing in its row."""
        found = [self.row(status) for status in statuses]
        self._write()
        return found

    def status(self, run: RunFolder) -> RunStatus:
        """How a run stands; of one that was over and of which no file has changed since, as it was kept."""
        kept = self._load().get(run.name)
        if kept is not None and "status" in kept.facts and kept.stamp == self._look(run):
            with contextlib.suppress(TypeError, AttributeError, KeyError):
                return _kept_status(run, kept.facts["status"])
        return inspect(run)

    def row(self, status: RunStatus) -> Row:
        """One row."""
        known = self._load()
        run = status.run
        stamp = self._looked.pop(run.name, None) or _stamp_of(run)
        kept = known.get(run.name)
        if kept is None or not (kept.stamp == stamp or (status.alive and self._lately(kept, stamp))):
            kept = _Kept(stamp, {**_facts(run), **_ended(status)}, time.monotonic())
            known[run.name] = kept
            self._changed = self._changed or not status.alive
        return _row(status, kept.facts)

    def _look(self, run: RunFolder) -> Stamp:
        """The stamp now, for the row that is asked for next: a thousand runs are looked at once and not twice."""
        self._looked[run.name] = _stamp_of(run)
        return self._looked[run.name]

    @staticmethod
    def _lately(kept: _Kept, stamp: Stamp) -> bool:
        """Whether a living run was read a moment ago and nothing was noted since: its events change all the time."""
        return kept.stamp[_NOTES] == stamp[_NOTES] and time.monotonic() - kept.read_at < LIVING_SECONDS

    def _load(self) -> dict[str, _Kept]:
        if self._known is None:
            self._known = {}
            try:
                place = self._place()
                if self._keep and place.stat().st_size <= MOST_KEPT_BYTES:
                    data = json.loads(place.read_bytes())
                    if data.get("layout") == _layout() and data.get("runs_dir") == _name_of(self.runs_dir):
                        self._known = {name: _Kept(tuple(at), facts) for name, (at, facts) in data["runs"].items()}
            except (UserError, OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError):
                self._known = {}
        return self._known

    def _write(self) -> None:
        if not (self._keep and self._changed and self._known):
            return
        self._changed = False
        there = {entry for entry in self._known if os.path.lexists(self.runs_dir / entry)}
        runs = {name: (list(kept.stamp), kept.facts) for name, kept in self._known.items() if name in there}
        data = {"layout": _layout(), "runs_dir": _name_of(self.runs_dir), "runs": runs}
        with contextlib.suppress(UserError, OSError, ValueError):  # it is only read again
            text = json.dumps(data, separators=(",", ":"))
            place = self._place()
            place.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(place, text.encode("ascii"), durable=False)

    def _place(self) -> Path:
        name = hashlib.blake2b(_name_of(self.runs_dir).encode(), digest_size=16).hexdigest()
        return cache_dir() / "runs" / f"{name}.json"


def read_rows(runs: Iterable[RunFolder], runs_dir: Path) -> list[Row]:
    """The rows of ``runs``, each as it stands now."""
    reader = RowReader(runs_dir)
    return reader.rows(reader.status(run) for run in runs)


def flat(tables: Mapping[str, Any]) -> dict[str, Any]:
    """Tables of a configuration as ``section.key`` -> value; lists of tables, such as prompts, are left out."""
    found: dict[str, Any] = {}
    for section, values in tables.items():
        if not isinstance(values, Mapping):
            continue
        for key, value in values.items():
            if isinstance(value, str):
                found[f"{section}.{key}"] = value[:LONGEST_VALUE]
            elif isinstance(value, (bool, int, float)):
                found[f"{section}.{key}"] = value
            elif isinstance(value, list) and value and not isinstance(value[0], Mapping):
                found[f"{section}.{key}"] = ", ".join(map(str, value))[:LONGEST_VALUE]
    return found


def _facts(run: RunFolder) -> dict[str, Any]:
    """What the files of a run say that does not depend on the moment."""
    found: dict[str, Any] = {}
    try:
        found["settings"] = flat(read_toml(run.config_path))
    except (OSError, UnicodeDecodeError, TomlError):
        found["unreadable"] = True
    course = course_of(run)
    notes = read_notes(run)
    best = best_of(run, notes, course)
    if best is not None:
        place = best.checkpoint.path.relative_to(run.root).as_posix()
        found["best"], found["best_step"], found["best_why"] = place, best.checkpoint.step, best.why
        found["best_strength"] = best.strength
    lowest = course.lowest
    if lowest is not None:
        found["validation_step"], found["validation"] = lowest
        found["last_validation"] = course.validations[max(course.validations)]
    found["notes"] = {**asdict(notes), "tags": list(notes.tags)}
    found |= _recorded(read_json(run.record_path))
    with contextlib.suppress(OSError):
        found["files"] = sum(entry.name.endswith(".safetensors") for entry in os.scandir(run.checkpoints_dir))
    return found


def _recorded(record: Mapping[str, Any]) -> dict[str, Any]:
    """What of a record a row has."""
    found: dict[str, Any] = {"price": as_number(record.get("price_per_hour")), "currency": record.get("currency")}
    dataset, sweep = record.get("dataset"), record.get(SWEEP)
    if isinstance(dataset, dict):
        found["images"] = as_count(dataset.get("images"))
    if isinstance(sweep, dict):
        found["sweep"], found["member"] = sweep.get("name"), sweep.get("member")
    return {key: value[:LONGEST_VALUE] if isinstance(value, str) else value for key, value in found.items()}


def _ended(status: RunStatus) -> dict[str, Any]:
    """The status to keep: of a run that is over, and of which the files alone tell it."""
    if status.alive or status.code == "gone":
        return {}
    alarms = [asdict(alarm) for alarm in status.alarms]
    told = {one.name: getattr(status, one.name) for one in fields(status) if one.name not in ("run", "alarms", "sent")}
    return {"status": {**told, "alarms": alarms, "sent": asdict(status.sent) if status.sent is not None else None}}


def _kept_status(run: RunFolder, told: Mapping[str, Any]) -> RunStatus:
    """A status as :func:`_ended` keeps it. Raises TypeError, AttributeError, KeyError where it is none."""
    values: dict[str, Any] = {n: tuple(value) if isinstance(value, list) else value for n, value in told.items()}
    alarms = tuple(alarm for alarm in map(alarm_of, values.pop("alarms")) if alarm is not None)
    sent = values.pop("sent")
    return RunStatus(run, **values, alarms=alarms, sent=Outlook(**sent) if sent is not None else None)


def _row(status: RunStatus, facts: dict[str, Any]) -> Row:
    from lora_tui.records.notes import notes_of

    settings, notes = facts.get("settings"), facts.get("notes")
    return Row(
        status,
        notes_of(notes) if isinstance(notes, dict) else Notes(),
        settings if isinstance(settings, dict) else {},
        unreadable=facts.get("unreadable") is True,
        best=str(facts.get("best", "")),
        best_step=as_count(facts.get("best_step")),
        best_why=str(facts.get("best_why", "")),
        best_strength=as_number(facts.get("best_strength")),
        validation=as_number(facts.get("validation")),
        validation_step=as_count(facts.get("validation_step")),
        last_validation=as_number(facts.get("last_validation")),
        images=as_count(facts.get("images")),
        files=as_count(facts.get("files")),
        sweep=_text(facts, "sweep"),
        member=_text(facts, "member"),
        price=as_number(facts.get("price")) or 0.0,
        currency=_text(facts, "currency"),
    )


def _text(facts: Mapping[str, Any], key: str) -> str:
    value = facts.get(key)
    return value if isinstance(value, str) else ""


def _stamp_of(run: RunFolder) -> Stamp:
    """Sizes and times of the files that a row is made of; the first number is 0 where the folder is gone."""
    found: list[int] = []
    for path in (
        run.checkpoints_dir,
        run.config_path,
        run.events_path,
        notes_path(run),
        run.record_path,
        run.job_path,
        run.root / SUBMISSION,
        run.root / ALARMS,
    ):
        try:
            facts = os.stat(path)  # noqa: PTH116 - a thousand runs are asked at once
        except OSError:
            found += [0, 0, 0]
        else:
            found += [facts.st_mtime_ns, facts.st_size, facts.st_ino]
    return (int(any(found)), *found)


def _layout() -> str:
    """What is kept is of this version and this language, for it says in words why a run ended."""
    return f"{LAYOUT} {language()}"


def _name_of(folder: Path) -> str:
    return os.fsencode(os.path.abspath(folder)).decode("utf-8", "backslashreplace")  # noqa: PTH100
