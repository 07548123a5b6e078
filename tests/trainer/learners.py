"""Small models with a LoRA of random numbers, for tests of how a step is computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lora_tui.bench.flux_model import MICRO, write_flux_model
from lora_tui.bench.model import write_model
from lora_tui.bench.sd3_model import write_sd3_model
from lora_tui.config.schema import CaptionSection, ModelSection, NetworkSection
from lora_tui.families import open_model
from lora_tui.families.precision import autocast
from lora_tui.families.protocol import Storage
from lora_tui.trainer.adapters.kinds import attach

WRITERS: dict[str, Callable[[Path], Any]] = {
    "flux": lambda place: write_flux_model(place, shape=replace(MICRO, double=1, single=3)),
    "sd15": write_model,
    "sdxl": lambda place: write_model(place, family="sdxl"),
    "sd3": write_sd3_model,
}
CPU = torch.device("cpu")


class Learner:
    """A small model with a LoRA of random numbers."""

    def __init__(self, folder: Path, family: str, *, base: str = "full", again: bool = False, dropout: float = 0.0,
                 device: torch.device = CPU, dtype: torch.dtype = torch.float32, channels_last: bool = False,
                 convolutions: bool = False) -> None:  # fmt: skip
        place = folder / family
        if not place.exists():
            WRITERS[family](place)
        section = ModelSection(base=str(place), family=family)  # type: ignore[arg-type]
        storage = Storage(base, channels_last=channels_last)  # type: ignore[arg-type]
        self.model: Any = open_model(section, CaptionSection(), device=device, dtype=dtype, storage=storage)
        modules = self.model.adapted_modules(text_encoder=False)
        self.network = modules[self.model.facts.denoiser]
        targets = self.model.targets(text_encoder=False, convolutions=convolutions)
        network = NetworkSection(rank=4, alpha=2.0, dropout=dropout, all_convolutions=convolutions)
        self.adapter = attach(network, modules, targets, seed=1, device=device)
        generator = torch.Generator().manual_seed(0)
        for tensor in self.adapter.tensors().values():
            tensor.data.copy_(torch.randn(tensor.shape, generator=generator) * 0.1)
        self.model.enable_checkpointing(text_encoder=False, share=1.0 if again else 0.0)
        self.text = self.model.encode_text(self.model.tokenize(["a cat"], self.model.text_length(["a cat"])))
        if getattr(self.model, "embeds_guidance", False):
            self.text["guidance"] = torch.ones(1, device=device)
        if family == "sdxl":
            self.text["sizes"] = torch.full((1, 6), 64.0, device=device)

    def predicted(self, width: int = 8) -> Tensor:
        model, generator = self.model, torch.Generator().manual_seed(width)
        noisy = torch.randn(1, model.facts.latent_channels, 8, width, generator=generator)
        with autocast(model.device, model.dtype):
            found: Tensor = model.predict(
                noisy.to(model.device, model.dtype), torch.tensor([500], device=model.device), self.text
            )
        return found

    def learned(self, width: int = 8) -> list[Tensor]:
        """The prediction, and the gradients of all matrices."""
        with self.adapter.learning(3):
            found = self.predicted(width)
            found.float().square().sum().backward()
        tensors = self.adapter.tensors().values()
        gradients = [tensor.grad.clone() for tensor in tensors if tensor.grad is not None]
        for tensor in tensors:
            tensor.grad = None
        assert gradients
        return [found.detach(), *gradients]


def alike(wanted: list[Tensor], got: list[Tensor], within: float = 1e-4, least: float = 1e-6) -> None:
    assert len(wanted) == len(got)
    for one, other in zip(wanted, got, strict=True):
        assert (one - other).float().norm() <= within * one.float().norm() + least
