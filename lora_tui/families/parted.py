"""What models of all families do alike with their parts: freeze them, move them off the device and back."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class Parted:
    """The part of a :class:`lora_tui.families.protocol.Model` that moves what is in memory."""

    device: torch.device

    def loaded(self) -> list[nn.Module]:
        """The parts in memory now; each family's own."""
        return []

    def park(self) -> None:
        for part in self.loaded():
            part.to("cpu")
        self.empty_cache()

    def unpark(self) -> None:
        for part in self.loaded():
            part.to(self.device)

    def empty_cache(self) -> None:
        """Give memory of parts that are gone back to the device."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


def frozen(module: nn.Module) -> Any:
    """``module`` as a base model's: it learns nothing, and nothing in it is random."""
    module.requires_grad_(False)
    return module.eval()


def checkpoint_text_encoder(module: Any) -> None:
    """Compute the activations of a text encoder of transformers again in the backward pass."""
    module.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    module.train()  # transformers checkpoints only in training mode; CLIP has no dropout
