"""Gradient checkpointing of all or some blocks: what they compute is forgotten, and computed again for the gradients.

What is learned stays the same; a block that is not computed again keeps its activations until its gradients are done.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint


def compute_again(network: Any, share: float, always: Collection[nn.Module] = ()) -> None:
    """Have ``network`` (of diffusers) compute a ``share`` (0 to 1) of its blocks again, spread evenly over its length.

    ``always`` are blocks to be computed again whatever the share, as streamed ones must be. It may be called again
    with other numbers.
    """
    if share <= 0 and not always:
        network.disable_gradient_checkpointing()
        return
    network.enable_gradient_checkpointing(_some(share, frozenset(always)))


def _some(share: float, always: frozenset[nn.Module]) -> Callable[..., Any]:
    """What diffusers calls for each block that can be computed again; blocks are numbered as they first come."""
    numbers: dict[nn.Module, int] = {}

    def run(block: nn.Module, *args: Any) -> Any:
        number = numbers.setdefault(block, len(numbers))
        if block in always or is_chosen(number, share):
            return checkpoint(block, *args, use_reentrant=False)
        return block(*args)

    return run


def is_chosen(number: int, share: float) -> bool:
    """Whether the block of this number (from 0) belongs to a ``share`` of all, taken as evenly as they go."""
    return int((number + 1) * share + 1e-9) > int(number * share + 1e-9)
