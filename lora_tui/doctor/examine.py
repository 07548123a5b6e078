"""All checks in the order in which a person reads them."""

from __future__ import annotations

from pathlib import Path

from lora_tui.doctor import cluster, machine, notices, software, terminal
from lora_tui.doctor.check import Check


def examine(folder: Path) -> tuple[Check, ...]:
    """Look at this machine; ``folder`` is where runs would be written. Takes seconds: torch is asked in a process."""
    gpus = machine.gpus()
    return (
        *software.base_checks(),
        *software.optional_checks(),
        *software.training_checks(gpus=len(gpus)),
        *machine.machine_checks(gpus, folder),
        *cluster.cluster_checks(),
        *notices.notice_checks(),
        *terminal.terminal_checks(),
    )
