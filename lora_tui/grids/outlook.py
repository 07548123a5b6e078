"""What a grid would take, before it costs: pictures, loads, time and disk, in figures and in words."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lora_tui.grids.ask import Asked
from lora_tui.grids.cell import Cell
from lora_tui.grids.pace import known_pace
from lora_tui.grids.plan import BYTES_A_PIXEL, plan_of, seconds_of
from lora_tui.places import exists
from lora_tui.text import _, bytes_text, count, duration, ngettext

LARGE_CELLS = 2_000
LARGE_SECONDS = 24 * 3600.0
MOST_COUNTED = 20_000
"""Cells that are looked at one by one; larger grids are told by their number alone."""


@dataclass(frozen=True)
class Outlook:
    """``cells`` are places, ``pictures`` those that differ, ``kept`` of them are there; ``counted`` tells whether the
    figures behind were counted or only follow from the number of cells; an order that is no grid has no ``axes``."""

    cells: int
    pictures: int
    kept: int
    bases: int
    loras: int
    vaes: int
    texts: int
    steps: int
    seconds: float | None
    disk_bytes: int
    free_bytes: int | None
    axes: tuple[tuple[str, int], ...]
    counted: bool = True

    @property
    def large(self) -> bool:
        """Whether somebody should be asked first."""
        new = self.pictures - self.kept
        scarce = self.free_bytes is not None and self.disk_bytes > self.free_bytes * 0.9
        return new > LARGE_CELLS or (self.seconds or 0) > LARGE_SECONDS or scarce

    def size_words(self) -> str:
        """How large it is, in one sentence."""
        time = duration(self.seconds) if self.seconds else _("an unknown time")
        size = bytes_text(self.disk_bytes)
        if not self.axes:
            return _("those are {count} pictures, which take {time} and {disk} of the disk.").format(
                count=count(self.pictures), time=time, disk=size
            )
        return _("it has {count} cells, which take {time} and {disk} of the disk.").format(
            count=count(self.cells), time=time, disk=size
        )

    def as_dict(self) -> dict[str, Any]:
        names = ("cells", "pictures", "kept", "bases", "loras", "vaes", "texts", "steps", "seconds", "disk_bytes",
                 "free_bytes", "counted", "large")  # fmt: skip
        found = {name: getattr(self, name) for name in names}
        return {**found, "axes": [{"kind": kind, "values": number} for kind, number in self.axes]}


def outlook(asked: Asked) -> Outlook:
    """What drawing it takes.

    Raises:
        UserError: a cell cannot be drawn as it is asked for.
    """
    grid = asked.grid
    axes = tuple((axis.kind, len(axis.values)) for axis in grid.shown)
    free = _free(asked.project)
    if grid.count > MOST_COUNTED:
        first = grid.cell(next(grid.places()))
        pixels = first.width * first.height
        pace = known_pace().get(grid.family)
        seconds = pace * pixels * first.steps * grid.count / 1e6 if pace else None
        size = round(grid.count * pixels * BYTES_A_PIXEL)
        return Outlook(grid.count, grid.count, 0, 0, 0, 0, 0, grid.count * first.steps, seconds, size, free, axes,
                       counted=False)  # fmt: skip
    cells = dict.fromkeys(grid.cell(place) for place in grid.places())
    there = asked.folder.there() if asked.folder is not None else set()
    keys = asked.folder.keys(cells) if asked.folder is not None else {}
    missing = [cell for cell in cells if keys.get(cell) not in there]
    return replace(
        of_cells(missing, grid.family, asked.config.model.vae, asked.project), cells=grid.count, pictures=len(cells),
        kept=len(cells) - len(missing), axes=axes,
    )  # fmt: skip


def of_cells(cells: Sequence[Cell], family: str, own_vae: str, folder: Path) -> Outlook:
    """What drawing ``cells`` on the disk of ``folder`` takes; ``own_vae`` is the one that the configuration names."""
    plan = plan_of(cells, family, own_vae)
    return Outlook(
        cells=len(cells), pictures=len(cells), kept=0, bases=plan.bases, loras=plan.loras, vaes=plan.vaes,
        texts=plan.texts, steps=plan.steps, seconds=seconds_of(plan, known_pace(), family),
        disk_bytes=plan.disk_bytes, free_bytes=_free(folder), axes=(),
    )  # fmt: skip


def _free(folder: Path) -> int | None:
    """Bytes free on the disk of a folder that may not be there yet; none where that cannot be told."""
    try:
        return shutil.disk_usage(next(one for one in (folder, *folder.parents) if exists(one))).free
    except (OSError, StopIteration):
        return None


def lines(seen: Outlook) -> list[str]:
    """The outlook of a grid for a person."""
    return [
        _("{cells} cells: {axes}").format(
            cells=count(seen.cells), axes=" × ".join(f"{kind} {number}" for kind, number in seen.axes)
        ),
        *cost_lines(seen),
    ]


def cost_lines(seen: Outlook) -> list[str]:
    """What drawing takes, for a person."""
    found = []
    if seen.pictures < seen.cells or seen.kept:
        found.append(
            _("{pictures} different pictures, {kept} of them are there").format(
                pictures=count(seen.pictures), kept=count(seen.kept)
            )
        )
    if seen.counted:
        parts = [
            ngettext("{n} base model", "{n} base models", seen.bases).format(n=seen.bases),
            ngettext("{n} LoRA file", "{n} LoRA files", seen.loras).format(n=seen.loras),
            ngettext("{n} text", "{n} texts", seen.texts).format(n=seen.texts),
        ]
        if seen.vaes:
            parts.append(ngettext("{n} VAE", "{n} VAEs", seen.vaes).format(n=seen.vaes))
        found.append(_("loads {parts}, each once; {steps} steps").format(
            parts=_(", ").join(parts), steps=count(seen.steps)
        ))  # fmt: skip
    time = _("about {time}").format(time=duration(seen.seconds)) if seen.seconds else _("time is known once it draws")
    free = _(", {free} free").format(free=bytes_text(seen.free_bytes)) if seen.free_bytes is not None else ""
    found.append(_("{time}; about {disk} of disk{free}").format(
        time=time, disk=bytes_text(seen.disk_bytes), free=free
    ))  # fmt: skip
    return found
