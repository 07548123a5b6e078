"""What the families with separate parts read alike of configuration files and headers. Knows no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lora_tui.families.told import LAYERS, read_config
from lora_tui.families.unet.shape import TextShape

DIGITS = 9
"""More of them in a block's number are no number."""


def part_configs(folder: Path, *parts: str) -> tuple[dict[str, Any], ...]:
    """What the ``config.json`` of each of the ``parts`` of a diffusers folder says.

    Raises:
        OSError, ValueError, UserError: as :func:`lora_tui.families.told.read_config`.
    """
    return tuple(read_config(folder / part / "config.json") for part in parts)


def clip_of_config(config: Mapping[str, Any], *, projected: bool) -> TextShape:
    """The shape of CLIP's text encoder that a ``config.json`` of transformers tells; ``projected``: with its vector.

    Raises:
        KeyError, ValueError, TypeError: it says something else.
    """
    return TextShape(
        width=int(config["hidden_size"]),
        layers=int(config["num_hidden_layers"]),
        inner=int(config["intermediate_size"]),
        vocabulary=int(config["vocab_size"]),
        positions=int(config["max_position_embeddings"]),
        projection=int(config["projection_dim"]) if projected else 0,
    )


def block_count(names: Iterable[str], start: str, ending: str = "") -> int:
    """How many blocks there are whose tensors' names begin with ``start`` and a number, by the highest of the numbers.

    Whether all of them are there is for others to say, who know the names of a block's tensors.

    Args:
        ending: what stands behind the number, where only some of a block's tensors count.

    Raises:
        ValueError: of a block that no model has.
    """
    highest = -1
    for name in names:
        number, _dot, rest = name[len(start) :].partition(".") if name.startswith(start) else ("", "", "")
        if number.isdecimal() and len(number) <= DIGITS and (not ending or rest == ending):
            highest = max(highest, int(number))
    if highest >= LAYERS:
        raise ValueError(f"{start}{LAYERS}")
    return highest + 1
