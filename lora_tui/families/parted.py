"""What models of all families do alike with their parts: freeze them, move them off the device and back."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lora_tui.families.beneath import Beneath
from lora_tui.families.protocol import Releasable, Storage
from lora_tui.families.stored import put_anew, stream_of


class Parted:
    """The part of a :class:`lora_tui.families.protocol.Model` that moves what is in memory."""

    device: torch.device
    storage: Storage
    tiled: bool = False
    aside: frozenset[Releasable] = frozenset()
    beneath: Beneath = Beneath()

    def loaded(self) -> list[nn.Module]:
        """The parts in memory now; each family's own."""
        return []

    def park(self) -> None:
        for part in self.loaded():
            if stream := stream_of(part):
                stream.rest()
            part.to("cpu")
        self.empty_cache()

    def unpark(self) -> None:
        for part in self.loaded():
            part.to(getattr(part, "place", self.device))
            if stream := stream_of(part):
                stream.go_on()

    def keep(self, storage: Storage) -> None:
        """See :class:`lora_tui.families.protocol.Model`."""
        self.storage = storage
        for part in self.loaded():
            if hasattr(part, "streamable"):
                put_anew(part, storage, self.device)

    def put_aside(self, *parts: Releasable) -> None:
        """See :class:`lora_tui.families.protocol.Model`."""
        new = set(parts) - self.aside
        self.aside |= new
        self.release(*new)

    def release(self, *parts: Releasable) -> None:
        """Forget these parts; each family's own."""

    def shift(self, width: int, height: int) -> float:
        """See :class:`lora_tui.families.protocol.Model`; each family's own."""
        return 1.0

    def drawing_shift(self, width: int, height: int, steps: int) -> float:
        """See :class:`lora_tui.families.protocol.Model`; that of training where a family says nothing else."""
        return self.shift(width, height)

    def guided(self, told: Tensor, untold: Tensor, strength: float) -> Tensor:
        """See :class:`lora_tui.families.protocol.Model`; as far beyond the negative prompt as it is strong."""
        return untold + strength * (told - untold)

    def placed(self, part: Releasable, module: nn.Module) -> Any:
        """``module``, of ``part``, where that works."""
        module.place = torch.device("cpu") if part in self.aside else self.device  # type: ignore[assignment]
        return module.to(module.place)  # type: ignore[arg-type]

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
