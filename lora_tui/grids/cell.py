"""A cell of a grid: everything that decides one picture, and the digest that names its file. Knows no torch."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lora_tui.config.samplers import AUTOMATIC
from lora_tui.config.schema import SamplePrompt
from lora_tui.weights.ingredients import Ingredient, of_options

LORA = re.compile(r"<lora:([^:<>]+)((?::[^:<>]*)*)>", re.I)
"""A LoRA file in a prompt: its name, and what stands behind."""
LAYOUT = 1
"""Version of what a picture is drawn from: another one draws it anew."""


@dataclass(frozen=True)
class Cell:
    """One picture.

    Attributes:
        base: the base model, as a configuration names it.
        vae: a VAE in the place of the model's own; empty for that.
        clip_skip: of the families that have it.
        loras: what works beside the model, with strengths other than 0.
        prompt: without the names of LoRA files in it.
    """

    base: str
    prompt: str
    negative: str = ""
    vae: str = ""
    clip_skip: int = 1
    loras: tuple[Ingredient, ...] = ()
    width: int = 512
    height: int = 512
    steps: int = 20
    guidance: float = 7.0
    seed: int = 42
    sampler: str = "euler_a"
    spacing: str = AUTOMATIC

    def sample(self) -> SamplePrompt:
        """As the renderer takes it.

        Raises:
            pydantic.ValidationError: a number is out of its range.
        """
        names = ("prompt", "negative", "width", "height", "steps", "guidance", "seed", "sampler", "spacing")
        return SamplePrompt(**{name: getattr(self, name) for name in names})

    def as_options(self) -> dict[str, Any]:
        """As JSON can hold it; :func:`cell_of` reads it."""
        return {**asdict(self), "loras": [one.as_options() for one in self.loras]}

    def told(self) -> dict[str, Any]:
        """As a PNG tells it: files without their folders, which are nobody's business."""
        told = {**asdict(self), "loras": [one.told() for one in self.loras]}
        return {**told, "base": short(self.base), "vae": short(self.vae)}

    def key(self, contents: Mapping[str, str]) -> str:
        """What names its file, 16 hexadecimal digits.

        ``contents`` tells of what each file or model holds, by the name under which the cell has it.
        """
        told = self.as_options()
        told["base"], told["vae"] = contents.get(self.base, self.base), contents.get(self.vae, self.vae)
        if self.spacing == AUTOMATIC:
            del told["spacing"]  # as it was before there were others
        for one in told["loras"]:
            one["file"] = contents.get(one["file"], one["file"])
        text = json.dumps([LAYOUT, told], sort_keys=True, ensure_ascii=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def simplest(self, texts: Callable[[Path], bool]) -> Cell:
        """The same picture, said in one way: without LoRA files that do nothing, and strengths that say nothing.

        ``texts`` tells whether a file has layers for text encoders.
        """
        loras = tuple(
            replace(one, text=None) if one.text == one.strength or not texts(one.path) else one for one in self.loras
        )
        return replace(self, loras=tuple(one for one in loras if one.strength or one.text))


def cell_of(options: Mapping[str, Any]) -> Cell:
    """What :meth:`Cell.as_options` made.

    Raises:
        TypeError, KeyError, UserError: it is something else.
    """
    return Cell(**{**options, "loras": tuple(of_options(one) for one in options["loras"])})


def short(text: str) -> str:
    """A model's name without its folders and ending; one on the hub as it is."""
    path = Path(text)
    return path.name.removesuffix(".safetensors").removesuffix(".ckpt") if path.is_absolute() else text
