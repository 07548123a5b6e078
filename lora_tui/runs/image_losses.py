"""The loss of each image on fixed noise, as a run measured it when it was asked to: ``images/001500.json``."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lora_tui.jobs.events import as_count, as_number

FOLDER = "images"
"""Of a run: a file for each step at which it was measured."""

VERSION = 1
LARGEST = 1 << 26
"""Bytes of a file that is read: three hundred thousand images have less."""


@dataclass(frozen=True)
class ImageLoss:
    """One image.

    Attributes:
        path: its file, as it was when it was measured.
        loss: the mean over all noise levels.
        levels: the loss at each of them, from little noise to much.
        change: how much less (below 0) or more it is than at the first measurement; none where that has it not.
    """

    path: Path
    loss: float
    levels: tuple[float, ...]
    change: float | None = None


def measured_steps(root: Path) -> list[int]:
    """The steps at which the run in ``root`` was measured, ascending."""
    try:
        found = [path.stem for path in (root / FOLDER).iterdir() if path.suffix == ".json" and path.stem.isdigit()]
    except OSError:
        return []
    return sorted(int(stem) for stem in found if len(stem) < 16)


def read_image_losses(root: Path, step: int) -> list[ImageLoss]:
    """What was measured at ``step``, the worst first; empty where nothing can be read."""
    now = _read(root, step)
    steps = measured_steps(root)
    first = _read(root, steps[0]) if steps and steps[0] != step else {}
    found = []
    for uid, (path, levels) in now.items():
        loss = _mean(levels)
        before = _mean(first[uid][1]) if uid in first else None
        found.append(ImageLoss(path, loss, levels, loss - before if before is not None else None))
    return sorted(found, key=lambda image: (-image.loss if math.isfinite(image.loss) else -math.inf, str(image.path)))


def _mean(levels: Sequence[float]) -> float:
    return sum(levels) / len(levels)


def _read(root: Path, step: int) -> dict[str, tuple[Path, tuple[float, ...]]]:
    path = root / FOLDER / f"{step:06d}.json"
    try:
        if not path.is_file() or path.stat().st_size > LARGEST:
            return {}
        value: Any = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(value, dict) or as_count(value.get("version")) != VERSION:
        return {}
    images = value.get("images")
    found = {}
    for image in images if isinstance(images, list) else []:
        if not isinstance(image, dict) or not isinstance(image.get("levels"), list):
            continue
        place, uid = image.get("path"), image.get("uid")
        levels = tuple(number for one in image["levels"] if (number := as_number(one)) is not None)
        if isinstance(place, str) and isinstance(uid, str) and levels and "\0" not in place:
            found[uid] = (Path(place), levels)
    return found
