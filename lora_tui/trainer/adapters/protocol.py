"""What a run asks of an adapter, whatever its kind."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch
from torch import Tensor

from lora_tui.trainer.memory.share import Share

#: (part, dotted path of the base layer)
Place = tuple[str, str]


class Adapter(Protocol):
    """The trained layers of a run."""

    def tensors(self) -> dict[str, Tensor]:
        """All that changes while it learns, parameters and buffers, as ``part:path.name`` in a fixed order."""
        ...

    def groups(self, rates: Mapping[str, float]) -> list[dict[str, Any]]:
        """Parameter groups for an optimizer: ``params``, ``lr`` (the base rate) and ``name`` (of the part).

        ``rates`` are the base learning rates by part. A part may have several groups, with rates of their own.
        """
        ...

    def export(self) -> dict[Place, dict[str, Tensor]]:
        """What a file of it holds, by layer: kohya's kind (``lora_up.weight``, ``alpha``) -> tensor."""
        ...

    def at_strength(self, strength: float) -> AbstractContextManager[None]:
        """Draw with it at ``strength``; 0 leaves it out altogether."""
        ...

    def learning(self, seed: int, share: Share | None = None) -> AbstractContextManager[None]:
        """Work as while it learns, with what is left out at random; the random numbers are those of ``seed``.

        A ``share`` of a batch leaves out what the whole batch does there.
        """
        ...

    def settle(self) -> None:
        """Keep within bounds after an update. Waits for nothing."""
        ...

    def metadata(self) -> dict[str, Any]:
        """The ``ss_network_*`` entries of its files."""
        ...


def fits(adapter: Adapter, saved: Mapping[str, Tensor]) -> bool:
    """Whether ``saved`` are the tensors of an adapter like this one: the same names and shapes."""
    own = adapter.tensors()
    return own.keys() == saved.keys() and all(own[name].shape == saved[name].shape for name in own)


@torch.no_grad()
def load_tensors(adapter: Adapter, saved: Mapping[str, Tensor]) -> None:
    """Put ``saved`` tensors back; they must fit."""
    for name, tensor in adapter.tensors().items():
        tensor.copy_(saved[name])
