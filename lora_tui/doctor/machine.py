"""GPUs, memory, disk, and the folders and settings that belong to the user."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lora_tui.doctor.check import ERROR, NOTE, OK, WARNING, Check
from lora_tui.errors import UserError
from lora_tui.jobs.resources import Sampler, disk_free
from lora_tui.places import exists, is_folder
from lora_tui.text import _, bytes_text, plain

SMALL_GPU = 6_000_000_000
"""Bytes; below this SD1.5 trains only with checkpointing and small batches."""
BUSY_SHARE = 0.5
LITTLE_MEMORY = 8_000_000_000
LITTLE_DISK = 10_000_000_000
NO_DISK = 500_000_000
TRIAL_BYTES = 4096


def gpus() -> list[dict[str, Any]]:
    """The GPUs that the driver shows and the environment lets us use, as in a ``resources`` event."""
    found = Sampler(Path.cwd()).sample()["gpus"]
    return list(found)


def machine_checks(found: Sequence[dict[str, Any]], folder: Path) -> Iterator[Check]:
    """GPUs (``found``), memory, the disk of ``folder``, and the user's own folders and settings."""
    for gpu in found:
        yield _gpu_check(gpu)
    if not found:
        yield Check(
            "machine",
            "gpu",
            NOTE,
            _("GPU"),
            _("no NVIDIA GPU to be seen"),
            _("Training runs on the CPU, which is for trials; a real model takes seconds a step."),
        )
    yield _memory_check(folder)
    yield _place_check(folder)
    yield from _user_checks()


def _gpu_check(gpu: dict[str, Any]) -> Check:
    total, used = gpu.get("memory_total") or 0, gpu.get("memory_used") or 0
    text = _("{name}: {free} of {total} free").format(
        name=plain(str(gpu.get("name") or "GPU")), free=bytes_text(total - used), total=bytes_text(total)
    )
    if gpu.get("temperature") is not None:
        text += f", {gpu['temperature']} °C"
    name, title = f"gpu.{gpu.get('index')}", _("GPU {index}").format(index=gpu.get("index"))
    if total and used / total > BUSY_SHARE:
        return Check("machine", name, WARNING, title, text, _("Another program holds its memory; see nvidia-smi."))
    if total and total < SMALL_GPU:
        remedy = _("Small: turn gradient checkpointing on and keep the batch size at 1.")
        return Check("machine", name, WARNING, title, text, remedy)
    return Check("machine", name, OK, title, text)


def _memory_check(folder: Path) -> Check:
    used, total = Sampler(folder).memory()
    text = _("{free} of {total} free, {cores} CPU cores").format(
        free=bytes_text(total - used), total=bytes_text(total), cores=len(os.sched_getaffinity(0))
    )
    if total - used < LITTLE_MEMORY:
        remedy = _("A full model needs about 5 GB while it loads; close other programs.")
        return Check("machine", "memory", WARNING, _("memory"), text, remedy)
    return Check("machine", "memory", OK, _("memory"), text)


def _place_check(folder: Path) -> Check:
    """The folder where runs would be written: whether it can be, and the room on its disk."""
    title, place = _("disk here"), plain(str(folder), limit=200)
    if exists(folder) and not is_folder(folder):
        text = _("{place} is a file, not a folder").format(place=place)
    elif not is_folder(folder):
        text = _("there is no folder {place}").format(place=place)
    elif reason := _trial(folder):
        text = _("{place} cannot be written: {reason}").format(place=place, reason=reason)
    else:
        return _disk_check("disk", title, folder, tried=True)
    return Check("machine", "disk", ERROR, title, text, _("Make it a folder that you may write to, or choose another."))


def _trial(folder: Path) -> str:
    """Write a file into ``folder`` and take it away again; empty when that went well, else why it did not.

    Permissions alone say too little: a disk may be mounted read-only, full, or over its quota.
    """
    try:
        handle, name = tempfile.mkstemp(prefix=".lora-tui-doctor.", dir=folder)
    except OSError as error:
        return plain(error.strerror or str(error))
    try:
        os.write(handle, bytes(TRIAL_BYTES))
        os.fsync(handle)
    except OSError as error:
        return plain(error.strerror or str(error))
    finally:
        os.close(handle)
        with contextlib.suppress(OSError):
            Path(name).unlink()
    return ""


def _disk_check(name: str, title: str, folder: Path, *, tried: bool = False) -> Check:
    free = disk_free(folder)
    told = _("{free} free at {place}, a file was written and removed") if tried else _("{free} free at {place}")
    text = told.format(free=bytes_text(free), place=plain(str(folder)))
    if free is not None and free < NO_DISK:
        return Check("machine", name, ERROR, title, text, _("Make room: not even a LoRA and its state fit."))
    if free is not None and free < LITTLE_DISK:
        return Check("machine", name, WARNING, title, text, _("Enough for LoRA files, little for models and caches."))
    return Check("machine", name, OK, title, text)


def _user_checks() -> Iterator[Check]:
    from lora_tui import settings

    for name, title, place in (
        ("config", _("settings"), settings.config_dir),
        ("cache", _("caches"), settings.cache_dir),
        ("state", _("notes of the app"), settings.state_dir),
    ):
        yield _folder_check(name, title, place)
    try:
        settings.load_settings()
    except UserError as error:
        yield Check("machine", "settings", ERROR, _("settings file"), plain(str(error)), plain(error.remedy))


def _folder_check(name: str, title: str, place: Any) -> Check:
    """A folder of the user's: whether it can be made and written, and whether its disk is full."""
    try:
        folder = Path(place())
        reason = _trial(folder)
    except (OSError, UserError) as error:
        return Check("machine", name, ERROR, title, plain(str(error)), _("LORA_TUI_HOME names another place."))
    if reason:
        text = _("{place} cannot be written: {reason}").format(place=plain(str(folder)), reason=reason)
        return Check("machine", name, ERROR, title, text, _("LORA_TUI_HOME names another place."))
    return _disk_check(name, title, folder)
