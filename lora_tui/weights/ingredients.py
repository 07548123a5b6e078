"""LoRA files with their strengths, as a person writes them: ``A.safetensors=0.8,0.5:INS``. Knows no torch."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lora_tui.errors import UserError
from lora_tui.places import expand, is_file
from lora_tui.text import _, plain
from lora_tui.weights.blocks import read_presets

MOST = 100.0
"""More than any strength that is meant."""


@dataclass(frozen=True)
class Ingredient:
    """One LoRA file.

    Attributes:
        strength: of the layers of the network that draws.
        text: of those of the text encoders; none: the same.
        blocks: weights of blocks, see :func:`lora_tui.weights.blocks.block_weights`; empty where all are 1.
    """

    path: Path
    strength: float = 1.0
    text: float | None = None
    blocks: str = ""

    def of(self, part: str) -> float:
        """The strength of the layers in ``part``."""
        return self.text if part.startswith("text_encoder") and self.text is not None else self.strength

    def as_options(self) -> dict[str, Any]:
        """As JSON can hold it; :func:`of_options` reads it."""
        return {"file": str(self.path), "strength": self.strength, "text": self.text, "blocks": self.blocks}

    def told(self) -> dict[str, Any]:
        """As metadata of a file tell it: without the folder, which is nobody's business."""
        return {**self.as_options(), "file": self.path.name}


def ingredients(words: Iterable[str], presets: Path | None = None) -> list[Ingredient]:
    """What each of ``words`` asks for; ``presets`` is a file with block weights of one's own by name.

    Raises:
        UserError: as :func:`ingredient` and :func:`lora_tui.weights.blocks.read_presets`.
    """
    own = read_presets(presets) if presets is not None else {}
    found = [ingredient(one) for one in words]
    return [replace(one, blocks=own.get(one.blocks, one.blocks)) for one in found]


def ingredient(words: str) -> Ingredient:
    """What ``words`` ask for: a file, then perhaps ``=STRENGTH``, ``,STRENGTH`` of text encoders and ``:BLOCKS``.

    A name with ``=`` in it is understood where there is such a file.

    Raises:
        UserError: there is no such file, or what follows is none of that (``lora.strength``).
    """
    for at, letter in enumerate(words):
        if letter == "=" and is_file(expand(words[:at])) and not is_file(expand(words)):
            return _told(expand(words[:at]), words[at + 1 :], words)
    file = expand(words)
    if is_file(file):
        return Ingredient(file)
    name = words if "=" not in words else words[: words.index("=")]
    raise UserError(
        _("there is no file {path}.").format(path=plain(name, limit=200)),
        place=plain(words, limit=200),
        remedy=_("Give FILE, FILE=0.8, FILE=0.8,0.5 (text encoders apart) or FILE=0.8:BLOCKS."),
        code="lora.missing",
    )


def _told(file: Path, rest: str, words: str) -> Ingredient:
    strengths, _colon, blocks = rest.partition(":")
    values = strengths.split(",")
    if len(values) > 2:
        raise _wrong(words, _("{text} is no strength.").format(text=plain(strengths, limit=60)))
    numbers = [_strength(value, words) for value in values]
    return Ingredient(file, numbers[0], numbers[1] if len(numbers) > 1 else None, blocks.strip())


def _strength(word: str, words: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or abs(value) > MOST:
        raise _wrong(words, _("{text} is no strength.").format(text=plain(word.strip(), limit=60) or "''"))
    return value


def _wrong(words: str, message: str) -> UserError:
    return UserError(
        message,
        place=plain(words, limit=200),
        remedy=_("Give FILE, FILE=0.8, FILE=0.8,0.5 (text encoders apart) or FILE=0.8:BLOCKS."),
        code="lora.strength",
    )


def of_options(options: Any) -> Ingredient:
    """What :meth:`Ingredient.as_options` made.

    Raises:
        UserError: it is something else.
    """
    try:
        text = options.get("text")
        place = str(options["file"])
        strength = _strength(str(options.get("strength", 1.0)), place)
        return Ingredient(
            Path(place),
            strength,
            None if text is None else _strength(str(text), place),
            str(options.get("blocks") or ""),
        )
    except (AttributeError, KeyError, TypeError):
        raise _wrong(plain(str(options), limit=80), _("it is no LoRA file with a strength.")) from None
