"""A run's events as values to be told: numbers over steps, images, and where a resume went back to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lora_tui.jobs.events import Event, EventReader, as_number
from lora_tui.runs import facts
from lora_tui.runs.folder import RunFolder

NAMES = {
    "loss": "train/loss",
    "grad_norm": "train/grad_norm",
    "step_seconds": "speed/step_seconds",
    "data_wait": "speed/data_wait",
    "images_per_second": "speed/images_per_second",
    "memory_allocated": "memory/allocated",
    "memory_reserved": "memory/reserved",
}
"""Fields of a step and what they are called elsewhere; of learning rates ``lr/PART``."""

MOST_RATES = 16
MOST_IMAGE_BYTES = 20_000_000


@dataclass(frozen=True)
class Numbers:
    """Values at one step; ``time`` in unix seconds."""

    step: int
    time: float
    values: dict[str, float]


@dataclass(frozen=True)
class Image:
    """A picture that was drawn at a step."""

    step: int
    time: float
    name: str
    path: Path
    text: str


@dataclass(frozen=True)
class Rewind:
    """The run went back to ``step``: what was told of later ones does not hold any more."""

    step: int
    time: float


Told = Numbers | Image | Rewind


class Writer(Protocol):
    """Who takes it."""

    def take(self, told: Told) -> None:
        """Tell one thing."""

    def flush(self) -> None:
        """See to it that what was taken can be seen."""

    def close(self) -> None:
        """Nothing more comes."""


class Feed:
    """Reads on in the events of a run; ``start`` is the byte to begin at."""

    def __init__(self, run: RunFolder, *, start: int = 0, images: bool = True) -> None:
        self._run = run
        self._images = images
        self._reader = EventReader(run.events_path, start=start)

    @property
    def offset(self) -> int:
        """The byte up to which was read."""
        return self._reader.offset

    @property
    def at_end(self) -> bool:
        """Whether the last read came to the end of the file."""
        return self._reader.at_end

    def poll(self) -> Iterator[Told]:
        """What is new. Lines that are no events, and values that are no numbers, are left out."""
        for event in self._reader.poll():
            found = told_by(self._run, event)
            if found is not None and (self._images or not isinstance(found, Image)):
                yield found


def told_by(run: RunFolder, event: Event) -> Told | None:
    """What an event says to others, if anything."""
    kind, step, time = event.get("kind"), facts.whole(event, "step"), facts.moment(event)
    if kind == "step":
        values = {name: value for field, name in NAMES.items() if (value := as_number(event.get(field))) is not None}
        rates = event.get("lr")
        for part, rate in list(rates.items())[:MOST_RATES] if isinstance(rates, dict) else ():
            value = as_number(rate)
            if value is not None:
                values[f"lr/{part[:80]}"] = value
        values["train/epoch"] = float(facts.whole(event, "epoch"))
        return Numbers(step, time, values)
    if kind == "validation":
        loss = as_number(event.get("loss"))
        return Numbers(step, time, {"validation/loss": loss}) if loss is not None else None
    if kind == "sample":
        path = facts.inside(run.root, event)
        name = f"samples/{facts.whole(event, 'prompt') + 1:02d}"
        return Image(step, time, name, path, facts.words(event, "text")) if path is not None else None
    return Rewind(step, time) if kind == "resumed" else None


def image_bytes(image: Image) -> bytes | None:
    """The file of an image; none where it is gone or far too large."""
    try:
        if image.path.stat().st_size > MOST_IMAGE_BYTES:
            return None
        return image.path.read_bytes()
    except OSError:
        return None
