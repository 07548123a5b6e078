"""Several processes that share each step: what they share, and the GPUs that they need."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.config.findings import Finding, error, note, warning
from lora_tui.config.rules.optimizer import has_gpu
from lora_tui.config.schema import Config
from lora_tui.errors import UserError
from lora_tui.jobs.launcher import launched
from lora_tui.text import _, ngettext

if TYPE_CHECKING:
    from lora_tui.dataset.batches import DataPlan

_GPUS = Path("/proc/driver/nvidia/gpus")


def batches(config: Config) -> Iterator[Finding]:
    """Whether the batches of a step can be shared, and whether all have as many of them."""
    processes, added = config.memory.processes, config.steps.gradient_accumulation
    if processes == 1:
        return
    if added < processes:
        yield error(
            "steps.gradient_accumulation",
            ngettext(
                "{processes} processes share the batches of a step, and it has {count}.",
                "{processes} processes share the batches of a step, and it has {count}.",
                added,
            ).format(processes=processes, count=added),
            _instead(config, processes),
            "processes.too_few_batches",
        )
    elif added % processes:
        rounds = -(-added // processes)
        yield warning(
            "steps.gradient_accumulation",
            _("{count} batches on {processes} processes take as long as {full}: some of them wait.").format(
                count=added, processes=processes, full=rounds * processes
            ),
            _("Set steps.gradient_accumulation to {count}.").format(count=rounds * processes),
            "processes.uneven",
        )


def _instead(config: Config, processes: int) -> str:
    """What to set, so that a step learns from as many images where that can be."""
    size = config.steps.batch_size * config.steps.gradient_accumulation
    if size % processes == 0:
        return _(
            "Set steps.gradient_accumulation to {count} and steps.batch_size to {size}: a step learns from as many "
            "images as now."
        ).format(count=processes, size=size // processes)
    return _("Set steps.gradient_accumulation to {count}, or memory.processes to {most}.").format(
        count=processes, most=config.steps.gradient_accumulation
    )


def devices(config: Config) -> Iterator[Finding]:
    """A GPU for each."""
    processes, device = config.memory.processes, config.memory.device
    if processes == 1:
        return
    if device.startswith("cuda:"):
        yield error(
            "memory.device",
            _("It names one GPU, and {count} processes need one each.").format(count=processes),
            _("Set memory.device to auto; CUDA_VISIBLE_DEVICES says which GPUs are taken."),
            "processes.one_device",
        )
        return
    if device == "cpu" or not has_gpu():
        yield note(
            "memory.processes",
            _("Without GPUs the processes share this machine's cores, and little is gained."),
            _("Set memory.processes to 1."),
            "processes.on_cpu",
        )
        return
    count, needed = gpu_count(), here(processes)
    if 0 < count < needed:
        yield error(
            "memory.processes",
            ngettext(
                "{processes} processes need a GPU each, and there is {count}.",
                "{processes} processes need a GPU each, and there are {count}.",
                count,
            ).format(processes=needed, count=count),
            _("Set memory.processes to {count}.").format(count=count),
            "processes.too_few_devices",
        )


def here(processes: int) -> int:
    """How many of a run's processes are on this machine: all of them, unless a launcher started them on several."""
    try:
        place = launched()
    except UserError:  # said by the command that joins them
        place = None
    return place.local_count if place and place.count == processes else processes


def gpu_count() -> int:
    """NVIDIA GPUs that a run may use here, as far as can be told without asking the driver; 0 when it cannot."""
    try:
        there = len(list(_GPUS.iterdir()))
    except OSError:
        there = 0
    wanted = os.environ.get("CUDA_VISIBLE_DEVICES")
    if wanted is None:
        return there
    return len([name for name in wanted.split(",") if name.strip() not in ("", "-1")])


def plan(config: Config, data: DataPlan) -> Iterator[Finding]:
    """Epochs with fewer batches than processes: some would never have any."""
    processes, most = config.memory.processes, data.batches_per_epoch
    if most < processes <= config.steps.gradient_accumulation:
        yield error(
            "memory.processes",
            ngettext(
                "An epoch has {count} batch, too few for {processes} processes.",
                "An epoch has {count} batches, too few for {processes} processes.",
                most,
            ).format(count=most, processes=processes),
            _("Set memory.processes to at most {count}, or raise the repeats.").format(count=most),
            "processes.too_few_batches",
        )


RULES = (batches, devices)
