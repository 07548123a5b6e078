"""Whether this machine has room for what a run writes, and its device memory for the largest step."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.config.cadence import CHECKPOINT, SAMPLE, STATE
from lora_tui.config.estimate import disk_parts, memory_parts
from lora_tui.config.findings import Finding, error, warning
from lora_tui.config.fitting import Change, cheapest_fit
from lora_tui.config.mistakes import shown
from lora_tui.config.outlook import card_preset
from lora_tui.config.plan import planned_moments
from lora_tui.config.schema import Config
from lora_tui.settings import cache_dir
from lora_tui.text import _, plain
from lora_tui.text.formats import bytes_text

if TYPE_CHECKING:
    from lora_tui.dataset.batches import DataPlan

#: part of the disk -> the setting that makes it smaller; those of the last two lie in the cache
SETTINGS: Mapping[str, str] = {
    "checkpoints": "saving.keep_last",
    "states": "saving.keep_states",
    "samples": "sampling.every_epochs",
    "latents": "memory.cache_latents",
    "texts": "captions.variants",
}
CACHED: Mapping[str, str] = {"latents": "latents", "texts": "text"}
"""Parts that are kept between runs, and their folders in the cache."""


#: parts that lie in a run's own folder, and where there
OWN: Mapping[str, str] = {"checkpoints": "checkpoints", "states": "state", "samples": "samples"}


def plan(config: Config, data: DataPlan, folder: Path) -> Iterator[Finding]:
    """What the disk of ``folder``, where the run's own will lie, and the device cannot hold."""
    yield from disk(config, data, folder)
    there, needed = memory_of(config.memory.device), sum(memory_parts(config, data).values())
    if there is not None and needed > there:
        key, remedy = less_memory(config, data, there)
        yield warning(
            key,
            _("The largest step is planned to take {needed} of memory, and the device has {there}.").format(
                needed=bytes_text(needed), there=bytes_text(there)
            ),
            remedy,
            "memory.too_little",
        )


@cache
def memory_of(device: str) -> int | None:
    """The memory of a device, looked at once: it does not change."""
    from lora_tui.jobs.resources import device_memory

    return device_memory(device)


def disk(config: Config, data: DataPlan, folder: Path, run: Path | None = None) -> Iterator[Finding]:
    """What the disk of ``folder`` cannot hold; with ``run``, a run's own folder, of what that has not written yet."""
    at = planned_moments(config, data)
    parts = disk_parts(config, data, checkpoints=len(at[CHECKPOINT]), states=len(at[STATE]), drawn=len(at[SAMPLE]))
    parts = {name: size for name, size in parts.items() if name in SETTINGS}  # a packed base is kept where it fits
    if run is not None:
        parts |= {name: parts[name] - _held(run / place, parts[name]) for name, place in OWN.items()}
    for place, names in _disks(folder, parts).items():
        free = shutil.disk_usage(place).free
        sizes = {name: parts[name] for name in names}
        if sum(sizes.values()) > free:  # only then are the caches looked at
            sizes = {name: size - kept_bytes(name, size) for name, size in sizes.items()}
        needed, largest = sum(sizes.values()), max(sizes, key=lambda name: sizes[name])
        if needed > free:
            what, remedy = _what(largest)
            if largest == "states":
                remedy = fewer_states(config, data, len(at[STATE]), sizes[largest], needed - free)
            yield error(
                SETTINGS[largest],
                _("The run writes up to {needed}, and {place} has {free} free.").format(
                    needed=bytes_text(needed), place=plain(str(place), limit=80), free=bytes_text(free)
                ),
                _("Make room there. Most, {size}, is for {what}: {remedy}").format(
                    size=bytes_text(sizes[largest]), what=what, remedy=remedy
                ),
                "disk.too_small",
            )


def _disks(folder: Path, parts: Mapping[str, int]) -> dict[Path, tuple[str, ...]]:
    """The parts by the disk that they lie on, each named by a folder that is there."""
    runs, caches = _there(folder), _there(cache_dir())
    own = tuple(name for name in parts if name not in CACHED)
    if runs.stat().st_dev == caches.stat().st_dev:
        return {runs: tuple(parts)}
    return {runs: own, caches: tuple(CACHED)}


def _there(folder: Path) -> Path:
    """``folder``, or the nearest above it that exists."""
    folder = folder.absolute()
    return next((path for path in (folder, *folder.parents) if path.is_dir()), Path("/"))


def kept_bytes(name: str, most: int) -> int:
    """Bytes that a cache holds already, ``most`` at most: some of them may be the run's, and are not written again."""
    return _held(cache_dir() / CACHED[name], most) if name in CACHED else 0


def _held(folder: Path, most: int) -> int:
    """Bytes of the files below a folder, ``most`` at most."""
    found = 0
    for root, _folders, files in os.walk(folder):
        for file in files:
            try:
                found += (Path(root) / file).stat().st_size
            except OSError:  # removed meanwhile
                continue
            if found >= most:
                return most
    return found


def _what(part: str) -> tuple[str, str]:
    """What a part is, and how there is less of it."""
    return {
        "checkpoints": (_("LoRA files"), _("set saving.keep_last, or save less often.")),
        "states": (_("states"), _("set saving.keep_states to 1.")),  # see :func:`fewer_states`
        "samples": (_("samples"), _("draw fewer or smaller ones, or less often.")),
        "latents": (_("latents"), _("train at fewer resolutions and crops, or turn memory.cache_latents off.")),
        "texts": (_("text embeddings"), _("lower captions.variants.")),
    }[part]


def fewer_states(config: Config, data: DataPlan, states: int, size: int, short: int) -> str:
    """How ``states`` resume states that take ``size`` bytes take less where ``short`` bytes are missing.

    What would not suffice is not named as if it did.
    """
    one = config.model_copy(update={"saving": config.saving.model_copy(update={"keep_states": 1})})
    freed = size - disk_parts(one, data, checkpoints=0, states=states, drawn=0)["states"]
    if freed >= short:
        return _("set saving.keep_states to 1.")
    if freed <= 0:
        return _("no fewer can be kept; lower network.rank, or take a disk with more room.")
    return _(
        "saving.keep_states = 1 frees only {freed} of the {short} that are missing; lower network.rank, too."
    ).format(freed=bytes_text(freed), short=bytes_text(short))


def fit_for(config: Config, data: DataPlan) -> Change | None:
    """The cheapest change with which the largest step fits into the device; none where it fits, or nothing helps."""
    there = memory_of(config.memory.device)
    change = cheapest_fit(config, data, there) if there is not None else None
    return change if change is not None and change.values else None


def less_memory(config: Config, data: DataPlan, there: int) -> tuple[str, str]:
    """The first setting to change, and the whole of the cheapest change with what it brings and costs."""
    change, card = cheapest_fit(config, data, there), card_preset(config.model.family, there)
    if change is not None and change.values:
        told = _(", ").join(f"{key} = {shown(value)}" for key, value in change.values.items())
        remedy = _("Set {settings}: then {memory}, for about {share}% more time.").format(
            settings=told, memory=bytes_text(change.memory), share=round(100 * change.slower)
        )
        key = next(iter(change.values))
    else:
        key, remedy = "data.resolution", _("Lower the resolution or the rank: nothing that keeps the result helps.")
    if card is not None:
        remedy += " " + _("The preset {name} has settings for such a card.").format(name=card.name)
    return key, remedy
