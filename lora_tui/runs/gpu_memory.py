"""How much memory of the GPUs a run holds or held, as its keeper saw it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lora_tui.jobs.backwards import newest_first
from lora_tui.jobs.events import as_count
from lora_tui.runs.folder import RunFolder

_LOOKED_THROUGH = 200
"""Events other than steps that are looked through from the end: the keeper adds a sample every two seconds."""


@dataclass(frozen=True)
class GpuMemory:
    """The memory that a run holds on one GPU, in bytes.

    Attributes:
        index: number of the GPU.
        now: at the last sample; none when it held nothing any more.
        most: the most of any sample since the run was last started.
    """

    index: int
    now: int | None
    most: int


def gpu_memory_in(sample: Mapping[str, Any]) -> tuple[GpuMemory, ...]:
    """What a ``resources`` event says of it; empty where the driver does not tell memory by process."""
    gpus = sample.get("gpus")
    found = []
    for gpu in gpus if isinstance(gpus, list) else []:
        if isinstance(gpu, Mapping):
            index, now, most = (as_count(gpu.get(name)) for name in ("index", "memory_run", "memory_run_most"))
            if most:
                found.append(GpuMemory(index, now or None, most))
    return tuple(found)


def gpu_memory_of(run: RunFolder) -> tuple[GpuMemory, ...]:
    """The same from the newest sample of a run."""
    events = itertools.islice(newest_first(run.events_path, ("step", "phase")), _LOOKED_THROUGH)
    sample = next((event for event in events if event.get("kind") == "resources"), {})
    return gpu_memory_in(sample)
