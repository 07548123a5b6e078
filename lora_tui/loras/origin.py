"""Where a LoRA file is from: the run that wrote it, and the picture that shows it. Reads from disk and blocks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lora_tui.loras.files import SUFFIX, LoraFile
from lora_tui.places import is_file
from lora_tui.records.best import course_of
from lora_tui.records.publish import cover_of
from lora_tui.runs import facts
from lora_tui.runs.folder import RunFolder

PICTURES = (".preview.png", ".png", ".preview.jpg", ".preview.jpeg", ".jpg", ".jpeg", ".preview.webp", ".webp")
"""Endings of a picture beside ``NAME.safetensors``: A1111 and ComfyUI show these."""


@dataclass(frozen=True)
class Origin:
    """The run that wrote a file, and the step that it is of (0 where nothing says it)."""

    run: RunFolder
    step: int = 0


def run_of(file: LoraFile, others: Iterable[LoraFile] = ()) -> Origin | None:
    """The run that wrote ``file``: the one in whose folder it lies, or that holds its copy among ``others``.

    Copies are told by the hash of their tensors that both state.
    """
    own = _own_run(file)
    if own is not None or not file.digest:
        return own
    for other in others:
        if other.digest == file.digest and other.path != file.path and (own := _own_run(other)) is not None:
            return own
    return None


def _own_run(file: LoraFile) -> Origin | None:
    folder = file.path.parent
    run = RunFolder(folder.parent)
    if folder != run.checkpoints_dir or not (is_file(run.config_path) or is_file(run.events_path)):
        return None
    event = course_of(run).saved.get(file.path, {})
    return Origin(run, facts.whole(event, "step") or file.step)


def picture_of(file: LoraFile, origin: Origin | None) -> Path | None:
    """The picture beside the file, else the sample of its run that was drawn at its step, or last before it."""
    stem = file.path.name[: -len(SUFFIX)]
    for ending in PICTURES:
        path = file.path.with_name(stem + ending)
        if is_file(path):
            return path
    if origin is None:
        return None
    return cover_of(origin.run, origin.step, file.triggers[0] if file.triggers else "")
