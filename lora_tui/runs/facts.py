"""What a run's event stream tells, as data: its plan, its files, its moments, its end."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lora_tui.jobs.events import Event, as_count, as_time

LONGEST_TEXT = 4000
"""Characters of a text from an event that are kept."""


@dataclass(frozen=True)
class RunInfo:
    """What the trainer said of the run when it began."""

    name: str = ""
    version: str = ""
    family: str = ""
    device: str = ""
    total_steps: int = 0
    epochs: int = 0
    batches_per_epoch: int = 0
    steps_per_epoch: int = 0
    images: int = 0
    validation_images: int = 0
    prompts: int = 0
    masked: int = 0


@dataclass(frozen=True)
class Phase:
    """What the trainer is at: loading, caching, training, sampling, validating, saving or paused."""

    name: str
    done: int = 0
    total: int = 0
    detail: str = ""
    time: float = 0.0


@dataclass(frozen=True)
class Sample:
    """One image drawn during training, with the number of its prompt (from 0)."""

    step: int
    epoch: int
    prompt: int
    path: Path
    text: str


@dataclass(frozen=True)
class Saved:
    """A LoRA file or a resume state that was written. ``size`` in bytes, 0 when unknown."""

    step: int
    epoch: int
    path: Path
    size: int = 0


@dataclass(frozen=True)
class Marker:
    """A moment worth a mark on the curves: ``resumed``, ``warning``, ``changed``, ``control``; ``detail`` says why."""

    step: int
    kind: str
    text: str
    time: float
    detail: str = ""


@dataclass(frozen=True)
class Notice:
    """A warning of the trainer or its keeper."""

    time: float
    step: int
    code: str
    message: str
    remedy: str


@dataclass(frozen=True)
class Ending:
    """How the last life of the run ended. ``reason`` is completed, stopped, stopped_now, failed or died."""

    reason: str
    step: int
    time: float
    code: str = ""
    message: str = ""
    advice: str = ""
    path: Path | None = None


def whole(event: Event, name: str) -> int:
    """A count from an event; 0 for anything that is none."""
    return as_count(event.get(name))


def words(event: Event, name: str) -> str:
    """A text from an event, cut to :data:`LONGEST_TEXT`; empty for anything else."""
    value = event.get(name)
    return value[:LONGEST_TEXT] if isinstance(value, str) else ""


def moment(event: Event) -> float:
    """When the event was written, unix seconds; 0 when it does not say."""
    return as_time(event.get("t")) or 0.0


def inside(root: Path, event: Event) -> Path | None:
    """The file that an event names, relative to the run folder; none when it points out of the folder."""
    text = event.get("path")
    if not isinstance(text, str) or not text or "\0" in text or len(text) > LONGEST_TEXT:
        return None
    relative = Path(text)
    if relative.is_absolute():
        if not relative.is_relative_to(root):
            return None
        relative = relative.relative_to(root)
    return None if ".." in relative.parts else root / relative


def run_info(event: Event) -> RunInfo:
    """The ``run`` event as data."""
    texts = {name: words(event, name) for name in ("name", "version", "family", "device")}
    counts = {
        name: whole(event, name)
        for name in (
            "total_steps",
            "epochs",
            "batches_per_epoch",
            "steps_per_epoch",
            "images",
            "validation_images",
            "prompts",
            "masked",
        )
    }
    return RunInfo(**texts, **counts)  # type: ignore[arg-type]
