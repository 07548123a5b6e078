"""Which trainings are at work where a new one would go, so that nobody shares a device without knowing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.errors import UserError
from lora_tui.runs.choose import living_runs
from lora_tui.runs.status import inspect
from lora_tui.text import _, bytes_text, plain

if TYPE_CHECKING:
    from lora_tui.config.schema import Config
    from lora_tui.runs.folder import RunFolder


@dataclass(frozen=True)
class Neighbour:
    """A living run that computes, or may compute, on the device of a new one.

    Attributes:
        ram: bytes of main memory that its trainer holds; none when that cannot be known.
    """

    run: RunFolder
    number: int
    ram: int | None


def neighbours(config: Config, but: Path | None = None) -> tuple[Neighbour, ...]:
    """The living runs of this machine on the device of ``config``, newest first; the run in ``but`` is left out."""
    found = []
    for run in living_runs():
        if run.root == but or not _may_meet(config.memory.device, _device_of(run)):
            continue
        status = inspect(run)
        if status.alive and status.state != "paused" and status.sent is None:  # one in Slurm is on another machine
            found.append(Neighbour(run, status.number, _memory_of(status.pid)))
    return tuple(found)


def neighbour_lines(config: Config, but: Path | None = None) -> list[str]:
    """What a person should know before the device is shared: which runs, their memory, what is free."""
    found = neighbours(config, but)
    if not found:
        return []
    lines = []
    for one in found:
        name = plain(one.run.name, limit=60)
        if one.ram is None:
            lines.append(_("{run} is running on the same device; both will be slower.").format(run=name))
        else:
            text = _("{run} is running on the same device and holds {memory} of RAM; both will be slower.")
            lines.append(text.format(run=name, memory=bytes_text(one.ram)))
    return [*lines, _("Free now: {parts}").format(parts=", ".join(_free(config.memory.device)))]


def _may_meet(one: str, other: str) -> bool:
    """Whether two settings of the device can mean the same one; ``cuda`` alone is the first GPU."""
    first, second = (name.replace("cuda:0", "cuda") for name in (one, other))
    return first == second or "auto" in (first, second)


def _device_of(run: RunFolder) -> str:
    from lora_tui.config.load import load_config

    try:
        return load_config(run.config_path).memory.device
    except UserError:  # written by a newer version: it may be anywhere
        return "auto"


def _memory_of(pid: int) -> int | None:
    import psutil  # type: ignore[import-untyped]

    try:
        return int(psutil.Process(pid).memory_info().rss) if pid else None
    except psutil.Error:
        return None


def _free(device: str) -> list[str]:
    from lora_tui.jobs.resources import Sampler

    sample = Sampler(Path("/")).sample()
    used, total = sample["ram_used"], sample["ram_total"]
    parts = [_("{free} of {total} RAM").format(free=bytes_text(total - used), total=bytes_text(total))]
    for gpu in sample["gpus"] if device != "cpu" else ():
        used, total = gpu["memory_used"], gpu["memory_total"]
        if used is not None and total is not None:
            text = _("{free} of {total} on GPU {number}")
            parts.append(text.format(free=bytes_text(total - used), total=bytes_text(total), number=gpu["index"]))
    return parts
