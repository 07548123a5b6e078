"""What a training step is held to, by what is measured and where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

STEP = 1.05
"""Of our step to the bare loop's, anywhere."""
STEP_CPU = 0.95
"""The same in time of the processor, with the levers that serve there."""
STEP_GPU = 1 / 1.3
"""On a GPU for the two settings that people train most."""
COMMON = {("sd15", 512, 8), ("sdxl", 1024, 4)}
"""Family, side (px) and batch of these."""
FLUX_SECONDS, FLUX_SHARE = 0.36, 0.60
"""A step of FLUX.1 at full size, 1024 px, batch 1, nothing computed again, on a card of the H200's rate (next: 0.30 s);
its share of the card's matrix rate."""
CAP, CAPPED, STREAMED = 24.0, 22e9, 12e9
"""Gigabytes of a card that FLUX.1 at full size is to fit; bytes in use by the driver then, and with streamed blocks."""


class Asked(Protocol):
    """What is measured: options of the command."""

    family: str
    size: str
    resolution: int
    batch_size: int
    rank: int
    precision: str
    checkpointing: bool
    streamed: int
    cap: float


@dataclass(frozen=True)
class Bars:
    """None where nothing is held to.

    Attributes:
        step: ratio to a bare loop, at most.
        processor: the same in time of the processor.
        milliseconds: of our step, at most.
        share: of the machine's matrix rate, at least.
        driver: bytes in use by the driver, at most.
    """

    step: float = STEP
    processor: float = STEP_CPU
    milliseconds: float | None = None
    share: float | None = None
    driver: float | None = None


def bars_for(asked: Asked, device: str) -> Bars:
    """The bars of a measurement on ``device``, the name of a GPU; empty for a CPU."""
    if not device:
        return Bars()
    common = asked.size == "full" and (asked.family, asked.resolution, asked.batch_size) in COMMON
    step = STEP_GPU if common else STEP
    large = asked.family == "flux" and asked.size == "full" and (asked.resolution, asked.batch_size) == (1024, 1)
    if not large or asked.precision != "bf16" or asked.rank > 16:
        return Bars(step)
    quick = not asked.checkpointing and not asked.streamed and not asked.cap and "H200" in device
    driver = (STREAMED if asked.streamed else CAPPED) if 0 < asked.cap <= CAP else None
    return Bars(step, STEP_CPU, FLUX_SECONDS * 1000 if quick else None, FLUX_SHARE if quick else None, driver)
