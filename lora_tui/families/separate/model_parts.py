"""Loading the parts of a model that may lie in files of their own, each by itself. A family derives from it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Generic

import torch
from torch import nn

from lora_tui.config.schema import ModelSection
from lora_tui.families.loading import module_of_folder
from lora_tui.families.packed import Original
from lora_tui.families.separate.checks import Checks
from lora_tui.families.separate.facts import S
from lora_tui.families.separate.model_file import Converter, transformer_of_file
from lora_tui.families.separate.model_text import TextEncoder
from lora_tui.families.separate.model_vae import KlLatents, Vae
from lora_tui.families.separate.places import bare_shapes, files_of, find_places, part_files
from lora_tui.families.separate.whole import check_part
from lora_tui.families.source import resolve
from lora_tui.families.told import read_object


class Parts(ABC, Generic[S]):
    """Where the parts come from; each method loads its part anew, on the CPU.

    Attributes:
        checks: those of the family, with its facts and its layout.
        network: the class of its transformer, of diffusers.
        schedule: its noise schedule in diffusers' words.
    """

    checks: ClassVar[Checks[Any]]
    network: ClassVar[Any]
    schedule: ClassVar[dict[str, Any]]

    def __init__(self, section: ModelSection) -> None:
        """Resolve the sources and look at their headers; nothing large is read yet.

        Raises:
            UserError: a part is missing, pickled, of another family, or damaged.
        """
        layout = self.checks.layout
        folders = ("transformer", *(part.folder for part in layout.values()))
        self.source = resolve(section.base, parts=folders, allow_pickle=section.allow_pickle)
        self.checks.check_model(self.source, own_vae=not section.vae)
        settings = (*layout, *(part.words for part in layout.values() if part.words))
        named = {name: getattr(section, name) for name in settings}
        self.places = find_places(layout, self.source, named)
        for part, place in self.places.items():
            if part != "transformer" and place.path != self.source.path and not place.is_folder:
                check_part(layout, part, place.path, named)

    # -- the family's own ----------------------------------------------------------------------------------------

    def config(self) -> dict[str, Any]:
        """Arguments of the transformer's class, for a single file."""
        told: dict[str, Any] = self.shape.transformer_config()
        return told

    @abstractmethod
    def converter(self) -> Converter:
        """What turns the tensors of a single file into those of diffusers."""

    @abstractmethod
    def encoders(self) -> dict[str, TextEncoder]:
        """The text encoders by the settings that name them, in the order in which they are moved."""

    def vae(self) -> Vae:
        """Its VAE, which is diffusers' ``AutoencoderKL`` where the family says nothing else."""
        return KlLatents(self.checks.layout["vae"], self.places["vae"])

    # -- what follows --------------------------------------------------------------------------------------------

    @cached_property
    def told_schedule(self) -> dict[str, Any]:
        """The schedule that a folder tells; of a single file that of the class."""
        place = self.source.path / "scheduler" / "scheduler_config.json"
        try:
            told = read_object(place) if self.source.kind == "folder" else {}
        except (OSError, ValueError):
            told = {}
        return {**self.schedule, **{name: told[name] for name in self.schedule if name in told}}

    @cached_property
    def shape(self) -> S:
        """Of the transformer; its other parts tell their own."""
        facts, path = self.checks.facts, self.source.path
        found: S = (
            facts.shape_of_folder(path)
            if self.source.kind == "folder"
            else facts.shape_of_tensors(bare_shapes(path))
        )  # fmt: skip
        return found

    def transformer(self, dtype: torch.dtype) -> nn.Module:
        """The transformer in full."""
        place = self.places["transformer"]
        if place.is_folder:
            found: nn.Module = module_of_folder(self.network, place.path, pickles=False, torch_dtype=dtype)
            return found
        module: nn.Module = transformer_of_file(
            self.network, self.config(), self.converter(), place.path, dtype, prefix=place.prefix
        )
        return module

    def original(self, dtype: torch.dtype) -> Original:
        """The transformer, with all that decides what it is."""
        parts = (str(dtype), self.places["transformer"].prefix)
        return Original(lambda: self.transformer(dtype), self.network, self.files_of("transformer"), parts)

    def files_of(self, part: str) -> tuple[Path, ...]:
        """The files that decide one part."""
        return part_files(self.checks.layout, self.places, part)

    def files(self) -> tuple[Path, ...]:
        """The files with the weights of every part."""
        return files_of(self.checks.layout, self.places)
