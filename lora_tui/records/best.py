"""Which of a run's LoRA files is its best: the one that a person chose, else that of the lowest validation loss.

Read from the events without parsing a step, so that a run of a million steps is told in well under a second.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lora_tui.jobs.events import Event, LineReader, as_number, parse_line
from lora_tui.records.notes import Notes
from lora_tui.runs import facts
from lora_tui.runs.folder import RunFolder
from lora_tui.text.plain import plain
from lora_tui.text.translate import _

SUFFIX = ".safetensors"
BEST_ENDING = "-best"
"""How the name of the file ends that the trainer kept as the best one."""
_SIGNS = (b'"kind":"validation"', b'"kind":"checkpoint"', b'"kind":"resumed"', b'"kind": "')
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Checkpoint:
    """A LoRA file of a run. ``step`` is 0 and ``validation`` none where nothing tells them; ``size`` in bytes."""

    path: Path
    step: int = 0
    epoch: int = 0
    size: int = 0
    validation: float | None = None


@dataclass(frozen=True)
class Best:
    """The best file and why: ``chosen`` by a person, ``validation`` is the lowest, ``last`` where nothing tells.

    ``strength`` is that at which a person found it best; none where nobody said one.
    """

    checkpoint: Checkpoint
    why: str
    strength: float | None = None


@dataclass(frozen=True)
class Course:
    """What was measured and saved, without what a resume took back.

    Attributes:
        validations: step -> loss.
        saved: path -> its event.
    """

    validations: dict[int, float]
    saved: dict[Path, Event]

    @property
    def lowest(self) -> tuple[int, float] | None:
        """The step of the lowest finite validation loss, and that loss."""
        finite = [(loss, step) for step, loss in self.validations.items() if math.isfinite(loss)]
        return (min(finite)[1], min(finite)[0]) if finite else None


def course_of(run: RunFolder) -> Course:
    """Validations and saved files of a run, as its events tell them. Never raises; a missing file has none."""
    validations: dict[int, float] = {}
    saved: dict[Path, Event] = {}
    for event in _events(run.events_path):
        kind, step = event.get("kind"), facts.whole(event, "step")
        if kind == "validation":
            loss = as_number(event.get("loss"))
            if loss is not None:
                validations[step] = loss
        elif kind == "checkpoint":
            path = facts.inside(run.root, event)
            if path is not None:
                saved[path] = event
        elif kind == "resumed":
            for later in [at for at in validations if at > step]:
                del validations[later]
            for path in [path for path, made in saved.items() if facts.whole(made, "step") > step]:
                del saved[path]
    return Course(validations, saved)


def checkpoints_of(run: RunFolder, course: Course | None = None) -> list[Checkpoint]:
    """The LoRA files that are there, oldest step first, each with the validation loss of its step."""
    course = course if course is not None else course_of(run)
    found = []
    try:
        paths = sorted(path for path in run.checkpoints_dir.iterdir() if path.suffix == SUFFIX)
    except OSError:
        return []
    for path in paths:
        try:
            size = path.stat().st_size
        except OSError:
            continue
        event = course.saved.get(path, {})
        step = facts.whole(event, "step")
        found.append(Checkpoint(path, step, facts.whole(event, "epoch"), size, course.validations.get(step)))
    return sorted(found, key=lambda one: (one.step or 1 << 60, one.path.name))


def best_of(run: RunFolder, notes: Notes, course: Course | None = None) -> Best | None:
    """The best file of a run; none where it has none."""
    course = course if course is not None else course_of(run)
    there = checkpoints_of(run, course)
    if not there:
        return None
    chosen = next((one for one in there if notes.best and one.path == run.root / notes.best), None)
    if chosen is not None:
        return Best(chosen, "chosen", notes.best_strength)
    measured = [one for one in there if one.validation is not None and math.isfinite(one.validation)]
    if measured:
        # the same weights may lie under two names; an average of them was not measured
        return Best(min(measured, key=lambda one: (one.validation, "-ema" in one.path.stem, one.step)), "validation")
    return Best(there[-1], "last")


def best_name(name: str, strength: float | None) -> str:
    """A LoRA file, safe to show, with the strength at which it was found best."""
    return (
        plain(name)
        if strength is None
        else _("{file} at {strength}").format(file=plain(name), strength=f"{strength:g}")
    )


def _events(path: Path) -> Iterator[Event]:
    """The events that matter here; lines of steps and resources are passed over unread."""
    reader = LineReader(path)
    while True:
        block = reader.block(_BLOCK)
        if any(sign in block for sign in _SIGNS):
            for line in block.split(b"\n"):
                head = line[:64]
                if b'"kind":"step"' in head or b'"kind":"resources"' in head or b'"kind":"phase"' in head:
                    continue
                event = parse_line(line) if line else None
                if event is not None:
                    yield event
        if reader.at_end:
            return
