"""What an axis could be completed with while it is typed: names of axes, then values. Knows no torch."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lora_tui.config.samplers import A1111
from lora_tui.errors import UserError
from lora_tui.grids.axes import KINDS
from lora_tui.grids.files import RunFile, files_of_run
from lora_tui.grids.grid import Grid
from lora_tui.runs.folder import RunFolder
from lora_tui.text import N_, _
from lora_tui.weights.blocks import PRESETS

EXAMPLES: dict[str, tuple[str, ...]] = {
    "checkpoint": ("all", "last", "best"),
    "strength": ("0-1 (+0.2)", "0.6-1 (+0.1)", "0-2 [5]"),
    "unet": ("0-1 (+0.2)",),
    "text": ("0-1 (+0.25)",),
    "lora2": ("none",),
    "vae": ("own",),
    "sampler": ("all",),
    "steps": ("10-40 (+10)", "20, 30"),
    "guidance": ("1-9 (+2)", "5, 7, 9"),
    "clip skip": ("1, 2",),
    "seed": ("1-4", "-1"),
    "size": ("512x512, 512x768",),
}
"""Values to begin with, by axis."""
MEANINGS = {
    "all": N_("every one that there is"),
    "last": N_("the newest file"),
    "best": N_("the file noted as the best"),
    "none": N_("without it"),
    "own": N_("the model's own VAE"),
    "-1": N_("drawn once"),
}
MOST_LISTED = 40


@dataclass(frozen=True)
class Suggestion:
    """``text`` is the whole line with it, ``label`` what is shown of it, ``remark`` what it means."""

    text: str
    label: str
    remark: str = ""


@dataclass(frozen=True)
class Known:
    """What values are suggested from: the run's files, LoRA files by name, axes that the grid has already."""

    checkpoints: tuple[RunFile, ...] = ()
    loras: tuple[str, ...] = ()
    axes: tuple[str, ...] = ()


def known_of(run: RunFolder | None, folders: Iterable[Path], grid: Grid | None = None) -> Known:
    """What can be suggested where these are meant. Never raises."""
    checkpoints: tuple[RunFile, ...] = ()
    if run is not None:
        with contextlib.suppress(UserError, OSError):
            checkpoints = files_of_run(run)
    loras: dict[str, None] = {}
    for folder in folders:
        with contextlib.suppress(OSError):
            loras |= dict.fromkeys(sorted(path.stem for path in folder.glob("*.safetensors"))[:MOST_LISTED])
    return Known(checkpoints, tuple(loras), tuple(axis.kind for axis in grid.axes) if grid is not None else ())


def suggestions(text: str, known: Known) -> list[Suggestion]:
    """What the axis ``text`` (``NAME=VALUES``, as far as it is typed) could go on with."""
    name, equals, values = text.partition("=")
    if not equals:
        wanted = name.strip().casefold()
        order = [*(kind for kind in known.axes if kind in KINDS), *(kind for kind in KINDS if kind not in known.axes)]
        fits = [kind for kind in order if kind.startswith(wanted)] or [kind for kind in order if wanted in kind]
        return [Suggestion(f"{kind}=", kind, _(KINDS[kind].title)) for kind in fits]
    kind = next((one for one in KINDS if one == name.strip().casefold()), "")
    before, comma, last = values.rpartition(",")
    lead = f"{name}={before}{comma}{' ' if comma else ''}"
    taken = {one.strip() for one in before.split(",")}
    wanted = last.strip().casefold()
    found = [(value, remark) for value, remark in _values(kind, known) if value not in taken]
    fitting = [one for one in found if wanted in one[0].casefold()]
    return [Suggestion(lead + value, value, remark) for value, remark in fitting[:MOST_LISTED]]


def _values(kind: str, known: Known) -> Iterator[tuple[str, str]]:
    for value in EXAMPLES.get(kind, ()):
        yield value, _(MEANINGS[value]) if value in MEANINGS else ""
    yield from _more(kind, known)


def _more(kind: str, known: Known) -> Iterable[tuple[str, str]]:
    if kind == "checkpoint":
        return [(one.label, one.path.name) for one in known.checkpoints]
    if kind in ("lora", "lora2"):
        return [(name, "") for name in known.loras]
    if kind == "sampler":
        return [(name, "") for name in A1111.values()]
    if kind == "blocks":
        return [(name, "") for name in PRESETS]
    return []
