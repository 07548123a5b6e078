"""What the families with separate parts read alike of configuration files and headers. Knows no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lora_tui.families.told import read_config
from lora_tui.families.unet.shape import TextShape


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
