"""What the first process of a run hands to another, so that none prepares twice and all plan the same."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from lora_tui.config.schema import Config
from lora_tui.families.protocol import Model
from lora_tui.runs.memory_policy import Policy
from lora_tui.trainer.data.latents import Latents
from lora_tui.trainer.data.masks import Masks
from lora_tui.trainer.data.texts import Texts
from lora_tui.trainer.material import Material
from lora_tui.trainer.metadata import FileHashes
from lora_tui.trainer.prepare import Data
from lora_tui.trainer.session import Session


@dataclass(frozen=True)
class Provisions:
    """What the passes before the first step leave: :class:`Material` without model and session."""

    data: Data
    latents: Latents | None
    texts: Texts | None
    masks: Masks | None
    text_length: int
    base: FileHashes

    @classmethod
    def of(cls, material: Material) -> Provisions:
        """Those of ``material``."""
        return cls(material.data, material.latents, material.texts, material.masks, material.text_length, material.base)

    def material(self, session: Session, model: Model) -> Material:
        """The material that they were taken from, in another process."""
        return Material(session, self.data, model, self.latents, self.texts, self.masks, self.text_length, self.base)


@dataclass(frozen=True)
class Handover:
    """What another process needs to learn along. Pickled from the first process to another, and never kept.

    Attributes:
        number: of the process that this is for, from 1; ``count`` of all.
        place: where they meet, an address and a port.
        threads: of its arithmetic on a CPU.
        policy: where the first one is on the way to less memory, see :mod:`lora_tui.trainer.memory.ladder`.
    """

    root: Path
    config: Config
    number: int
    count: int
    place: tuple[str, int]
    device: torch.device
    dtype: torch.dtype
    threads: int
    policy: Policy
    provisions: Provisions
