"""What is wrong, doubtful or worth knowing in a configuration, before it costs anything.

Types and ranges of single values are checked when a configuration is read (:mod:`lora_tui.config.load`);
this is about what the values mean together, and about the files and folders they name.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.config.fields import fields
from lora_tui.config.findings import SEVERITIES, Finding
from lora_tui.config.rules import (
    abilities,
    attention,
    best,
    captions,
    compiling,
    course,
    ending,
    entries,
    graphs,
    kinds,
    masks,
    memory,
    network,
    noise,
    optimizer,
    places,
    processes,
    sizes,
    start,
    values,
)
from lora_tui.config.rules import room as machine_room
from lora_tui.config.schema import Config

if TYPE_CHECKING:
    from lora_tui.dataset.batches import DataPlan
    from lora_tui.dataset.scan import Scan

__all__ = ["Finding", "check_config"]


def check_config(
    config: Config,
    *,
    scan: Scan | None = None,
    plan: DataPlan | None = None,
    deep: bool = False,
    folder: Path | None = None,
) -> tuple[Finding, ...]:
    """All findings on ``config``: errors first, then warnings, then notes, each in the order of the schema.

    Without ``scan`` and ``plan`` only the configuration and the places that it names are looked at, which
    is quick enough for every key stroke in a form. ``deep`` scans the dataset folders and plans the
    batches when they are not given and nothing stands in the way. With ``folder``, where the run's own is to lie, the
    plan is held against the room on its disk and against the memory of the device.
    """
    found = [*_each(config)]
    if deep and scan is None and not any(item.field.startswith("datasets") for item in found if _stops(item)):
        from lora_tui.dataset.scan import scan_datasets

        scan = scan_datasets(config)
    if scan is not None:
        found += [one for room in (course, masks, entries, sizes) for one in room.dataset(config, scan)]
        if deep and plan is None and scan.images and not any(_stops(item) for item in found):
            from lora_tui.dataset.batches import make_plan

            plan = make_plan(config, scan)
    if plan is not None and plan.total_steps > 0:
        found += [one for room in (course, captions, best, processes) for one in room.plan(config, plan)]
        if folder is not None:
            found += machine_room.plan(config, plan, folder)
    return tuple(sorted(found, key=_order))


def _each(config: Config) -> Iterator[Finding]:
    rooms = (
        abilities,
        best,
        network,
        kinds,
        start,
        places,
        values,
        noise,
        optimizer,
        captions,
        entries,
        masks,
        course,
        processes,
        memory,
        compiling,
        graphs,
        attention,
        ending,
    )
    for rule in (rule for room in rooms for rule in room.RULES):
        yield from rule(config)


def _stops(finding: Finding) -> bool:
    return finding.severity == "error"


def _order(finding: Finding) -> tuple[int, int, str]:
    name = ".".join(part for part in finding.field.split(".") if not part.isdecimal())
    return SEVERITIES.index(finding.severity), _positions().get(name, 0), finding.field


@cache
def _positions() -> dict[str, int]:
    """The place of each setting and each section in the schema."""
    places: dict[str, int] = {}
    for number, spec in enumerate(fields()):
        places.setdefault(spec.section, number)
        places[spec.key] = number
    return places
