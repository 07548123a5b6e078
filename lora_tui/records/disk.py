"""What runs take on disk, and what of them can go without loss of a result.

A run that is over needs none of its resume states, and of its LoRA files the best, the last, and those that a person
chose. Nothing here removes anything; :mod:`trash` does.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lora_tui.records.best import BEST_ENDING, best_of, checkpoints_of, course_of
from lora_tui.records.rows import Row
from lora_tui.runs.folder import RunFolder
from lora_tui.text.translate import N_, _

PARTS = {
    "checkpoints": N_("LoRA files"),
    "state": N_("resume states"),
    "samples": N_("samples"),
    "records": N_("record and events"),
    "logs": N_("logs"),
    "other": N_("other files"),
}
"""What a run's files are for, and what a person calls them."""

WHATS = ("states", "checkpoints", "samples", "all")
"""What can be asked to go."""

MOST_FILES = 1_000_000

_RECORDS = frozenset({"config.toml", "record.json", "dataset.json", "events.jsonl", "job.json", "notes.json"})


@dataclass(frozen=True)
class Cost:
    """Bytes that a run takes, by :data:`PARTS`; a file with several names in it counts once."""

    run: RunFolder
    parts: dict[str, int]

    @property
    def total(self) -> int:
        """All of it."""
        return sum(self.parts.values())


@dataclass(frozen=True)
class Leaving:
    """A file or folder that can go: its bytes, and why."""

    run: RunFolder
    path: Path
    size: int
    why: str


@dataclass(frozen=True)
class Wish:
    """What is asked to go.

    Attributes:
        what: some of :data:`WHATS`.
        keep: so many of the newest LoRA files stay beside the best, the last and the chosen one. Without it no LoRA
            file goes from a run of which nothing tells the best one.
        older_than: only runs that ended so many seconds ago.
    """

    what: tuple[str, ...] = ("states", "checkpoints")
    keep: int | None = None
    older_than: float = 0.0


def cost_of(run: RunFolder) -> Cost:
    """What a run takes on disk. Links are not followed; a file that vanishes meanwhile counts nothing."""
    parts = dict.fromkeys(PARTS, 0)
    seen: set[tuple[int, int]] = set()
    for place, folders, files in os.walk(run.root):
        inside = os.path.relpath(place, run.root).split(os.sep, 1)[0]
        for name in (*files, *(folder for folder in folders if os.path.islink(os.path.join(place, folder)))):  # noqa: PTH114, PTH118
            try:
                facts = os.lstat(os.path.join(place, name))  # noqa: PTH118
            except OSError:
                continue
            if facts.st_nlink > 1:
                if (facts.st_dev, facts.st_ino) in seen:
                    continue
                seen.add((facts.st_dev, facts.st_ino))
            parts[_part_of(inside, name)] += facts.st_size
    return Cost(run, parts)


def leaving(row: Row, wish: Wish, now: float | None = None) -> tuple[list[Leaving], str]:
    """What of a run can go by the wish, and if nothing may, why."""
    status = row.status
    if status.alive:
        return [], _("it is running")
    if status.newer:
        return [], _("a newer version of lora-tui made it")
    ended = status.ended or status.started or 0.0
    if wish.older_than and (time.time() if now is None else now) - ended < wish.older_than:
        return [], _("it is not old enough")
    if "all" in wish.what:
        return [Leaving(row.run, row.run.root, cost_of(row.run).total, _("the whole run"))], ""
    found: list[Leaving] = []
    if "states" in wish.what:
        found += _states(row)
    if "checkpoints" in wish.what:
        found += _checkpoints(row, wish.keep)
    if "samples" in wish.what:
        found += [Leaving(row.run, path, _size(path), _("a sample")) for path in _inside(row.run.samples_dir)]
    return found, "" if found else _("nothing of it can go")


def _states(row: Row) -> list[Leaving]:
    """Of a complete run every state, of any other all but the newest, from which it goes on."""
    states = sorted(_inside(row.run.state_dir), key=_of_state)
    if row.status.state == "finished":
        why = _("a resume state of a complete run")
    else:
        states, why = states[:-1], _("an older resume state")
    return [Leaving(row.run, path, _size(path), why) for path in states]


def _checkpoints(row: Row, keep: int | None) -> list[Leaving]:
    course = course_of(row.run)
    there = checkpoints_of(row.run, course)
    best = best_of(row.run, row.notes, course)
    if best is None or (best.why == "last" and keep is None):
        return []  # the best one may be any of them
    kept = {best.checkpoint.path}
    kept |= {one.path for one in there[-1:]} | {one.path for one in there if one.path.stem.endswith(BEST_ENDING)}
    kept |= {one.path for one in there if not _numbered(one.path)}
    if row.notes.best:
        kept.add(row.run.root / row.notes.best)
    numbered = [one.path for one in there if _numbered(one.path)]
    kept |= set(numbered[len(numbered) - keep :]) if keep else set()
    why = _("neither the best nor the last")
    return [Leaving(row.run, one.path, one.size, why) for one in there if one.path not in kept]


def _numbered(path: Path) -> bool:
    """Whether a file is one of those on the way, ``name-001500`` or ``name-001500-ema``."""
    return path.stem.removesuffix("-ema").rpartition("-")[2].isdigit()


def total(found: Sequence[Leaving]) -> int:
    """Bytes of all that goes."""
    return sum(one.size for one in found)


def _part_of(inside: str, name: str) -> str:
    if inside in ("checkpoints", "state", "samples"):
        return inside
    if inside == "." and name in _RECORDS:
        return "records"
    return "logs" if inside == "." and name.endswith(".log") else "other"


def _inside(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError:
        return []


def _of_state(path: Path) -> tuple[int, float, str]:
    """The order of states: by their step, for a copy of a run has other times; what has none comes first."""
    number = path.name.rpartition("-")[2]
    try:
        changed = path.lstat().st_mtime
    except OSError:
        changed = 0.0
    return int(number) if number.isdecimal() and len(number) < 16 else -1, changed, path.name


def _size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    try:
        if path.is_symlink() or not path.is_dir():
            return path.lstat().st_size
    except OSError:
        return 0
    return sum(cost_of(RunFolder(path)).parts.values())
