"""What a cell needs to be loaded: the plan counts by it, and the one who draws loads by it. Knows no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lora_tui.config.schema import TOLD_GUIDANCE
from lora_tui.grids.cell import Cell
from lora_tui.weights.ingredients import Ingredient

LoraUse = tuple[Path, int]
"""A LoRA file, and which of its uses in one cell."""


def lora_uses(cell: Cell) -> Mapping[LoraUse, Ingredient]:
    """What works beside the model; a file that is named twice works twice."""
    seen: Counter[Path] = Counter()
    found = {}
    for one in cell.loras:
        found[one.path, seen[one.path]] = one
        seen[one.path] += 1
    return found


def needs_negative(family: str, cell: Cell) -> bool:
    """Whether the negative prompt is read at all."""
    return cell.guidance > 1 and family not in TOLD_GUIDANCE


def text_state(cell: Cell, texts: Callable[[Path], bool]) -> tuple[Any, ...]:
    """What decides an embedding besides its text: base, layer, and the LoRA files that change the encoders (third).

    ``texts`` tells whether a file has layers for them.
    """
    changing = tuple(
        (one.path, one.of("text_encoder"), one.blocks)
        for one in cell.loras
        if texts(one.path) and one.of("text_encoder")
    )
    return cell.base, cell.clip_skip, changing
