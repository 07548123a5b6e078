"""LoRA files that are merged into the base model before anything is trained, each at a strength. Knows no torch."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from lora_tui.config.paths import place_and_words
from lora_tui.errors import UserError
from lora_tui.text import _, plain

MOST = 10.0
"""The highest strength, either way."""


@dataclass(frozen=True)
class MergedLora:
    """One of them: the place of its file as it was given, and its strength."""

    place: str
    strength: float = 1.0


def read_loras(texts: Iterable[str]) -> tuple[MergedLora, ...]:
    """What ``model.loras`` says: ``PLACE`` or ``PLACE strength=0.5``.

    Raises:
        UserError: one has no place, or a strength that is no number.
    """
    return tuple(_read(text) for text in texts)


def _read(text: str) -> MergedLora:
    place, words = place_and_words(text.strip())
    try:
        strength = float(words.partition("=")[2]) if words else 1.0
        if not place or not math.isfinite(strength) or abs(strength) > MOST:
            raise ValueError
    except ValueError:
        raise UserError(
            _("{text} names no LoRA to merge.").format(text=plain(text, limit=100)),
            place="model.loras",
            remedy=_("Write it like this: loras/style.safetensors strength=0.7"),
            code="model.loras",
        ) from None
    return MergedLora(place, strength)
