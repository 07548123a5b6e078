"""A picture's numbers in tables, on sheets and on the page for a browser, without any folder's name. Knows no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import PurePath
from typing import Any

from lora_tui.scores.told import DIGITS, CellScores, Scores
from lora_tui.text import _

COLUMNS = ("likeness", "held_out", "prompt", "prompt_plain", "change", "nearest", "nearest_image", "copied", "blank")


def as_table(scores: CellScores) -> dict[str, Any]:
    """By the names of :class:`~lora_tui.scores.told.CellScores`, what was measured alone; images by their names."""
    told = {**asdict(scores), "nearest_image": PurePath(scores.nearest_image).name}
    found = {name: told[name] for name in COLUMNS if told[name] not in (None, "", False)}
    return {name: round(value, DIGITS) if isinstance(value, float) else value for name, value in found.items()}


def row(scores: CellScores | None) -> list[Any]:
    """A value for each of :data:`COLUMNS`."""
    told: Mapping[str, Any] = as_table(scores) if scores is not None else {}
    return [told.get(name, "") for name in COLUMNS]


def heads() -> list[str]:
    """The names of :data:`COLUMNS` in a table."""
    return [name.replace("_", " ") for name in COLUMNS]


def short(scores: CellScores | None) -> str:
    """What stands below a picture: likeness, fit to the prompt, and an alarm."""
    if scores is None:
        return ""
    fit = scores.prompt_plain if scores.prompt_plain is not None else scores.prompt
    parts = [
        _("like {value}").format(value=f"{scores.likeness:.2f}") if scores.likeness is not None else "",
        _("prompt {value}").format(value=f"{fit:.2f}") if fit is not None else "",
        _("copy!") if scores.copied else "",
        _("blank!") if scores.blank else "",
    ]
    return "  ".join(part for part in parts if part)


def for_page(scores: Scores) -> dict[str, Any]:
    """What the page says above the pictures."""
    from lora_tui.scores.reasons import name_of

    best = scores.recommendation
    said = _("recommended: {name}").format(name=name_of(best.checkpoint, best.strength)) if best is not None else ""
    return {
        "recommended": said,
        "cells": list(best.cells) if best is not None else [],
        "reasons": [*(best.reasons if best is not None else ()), *scores.notes],
    }
