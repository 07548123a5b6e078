"""The numbered blocks that a model's weights hold, and whether its configuration tells of them. Knows no torch.

A library builds as many blocks as the configuration says, and leaves what the weights hold beyond without a word: half
a model would be trained.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lora_tui.errors import UserError
from lora_tui.families.parts import incomplete
from lora_tui.families.told import LAYERS
from lora_tui.text import _, plain

#: What the names of numbered blocks begin with, by the setting that counts them.
BLOCKS: dict[str, tuple[str, ...]] = {
    "num_layers": ("transformer_blocks.", "encoder.block."),
    "num_single_layers": ("single_transformer_blocks.",),
    "n_layers": ("layers.",),
    "n_refiner_layers": ("noise_refiner.", "context_refiner."),
    "num_hidden_layers": ("text_model.encoder.layers.", "encoder.layers.", "model.layers.", "layers."),
}
DIGITS = 9
"""More of them in a block's number are no number."""
CUT = ("model.layers.", "layers.")
"""Of language models, whose last layers are never loaded: files may lack them."""


def check_blocks(config: Mapping[str, Any], tensors: Iterable[str], folder: Path) -> None:
    """Refuse weights that hold other blocks than the ``config`` of their ``folder`` counts.

    Args:
        tensors: the names of all that the weights hold.

    Raises:
        UserError: there are more of them (``model.folder``), or one is missing (``model.incomplete``).
    """
    names = tuple(tensors)
    for setting, starts in BLOCKS.items():
        count = config.get(setting)
        if not isinstance(count, int):
            continue
        for start in starts:
            there = numbers_of(names, start)
            if there and max(there) >= count:
                raise further(setting, count, f"{start}{max(there)}", folder)
            gaps = set(range(count)) - there
            if there and gaps and not (setting == "num_hidden_layers" and start in CUT):
                raise incomplete(len(gaps), f"{start}{min(gaps)}", str(folder))


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


def numbers_of(names: Iterable[str], start: str) -> set[int]:
    """The numbers of the blocks whose names begin with ``start``."""
    found = (re.match(r"\d{1,6}(?=\.)", name[len(start) :]) for name in names if name.startswith(start))
    return {int(number[0]) for number in found if number}


def further(setting: str, count: object, block: str, folder: Path) -> UserError:
    """The error for weights in ``folder`` with a ``block`` beyond the ``count`` that ``setting`` tells."""
    return UserError(
        _("{part}/config.json says {name} = {count}, but its weights hold {block} too.").format(
            part=plain(folder.name, limit=80), name=setting, count=count, block=plain(block, limit=120)
        ),
        place=str(folder),
        remedy=_("The weights and the configuration are of two models; fetch the model again."),
        code="model.folder",
    )
