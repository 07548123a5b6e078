"""Copies of tensors that wait in the computer's memory to be written while the training goes on.

Those of a GPU go into pinned memory that is kept for the next save: the transfers wait in the GPU's own queue, before
the next update, and nobody waits for them but who writes them. Into other memory each would be waited for.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from lora_tui.families.devices import pin_large_whole

K = TypeVar("K", bound=Hashable)

ALIGNED = 64
"""Bytes between which tensors begin in a piece of memory: a multiple of every type's size, and a processor's line."""
ROOMY = 2
"""A piece serves for what takes at least one of so many parts of it; larger ones are left for what needs them."""


class Copies:
    """Copies in memory of their own, made when :meth:`of` returns."""

    stays = False
    """Whether tensors may be given as they lie on the device, so that converting them waits for nothing either."""

    def begin(self) -> None:
        """Nobody needs the copies any more that were made until now."""

    def of(self, tensors: Mapping[K, Tensor]) -> tuple[dict[K, Tensor], Callable[[], object]]:
        """A contiguous copy of each as it is now, and what waits until all of them hold it, from any thread."""
        return {name: _copy(tensor) for name, tensor in tensors.items()}, lambda: None


class PinnedCopies(Copies):
    """Copies of a GPU's tensors in pinned memory, as they are in the order of its queue."""

    stays = True

    def __init__(self) -> None:
        self._free: list[Tensor] = []
        self._taken: list[Tensor] = []

    def begin(self) -> None:
        self._free, self._taken = [*self._free, *self._taken], []

    def of(self, tensors: Mapping[K, Tensor]) -> tuple[dict[K, Tensor], Callable[[], object]]:
        given = [tensor.detach() for tensor in tensors.values()]
        places, size = laid_out(given)
        copies = views(self._memory(size), places, given)
        for copy, tensor in zip(copies, given, strict=True):
            copy.copy_(tensor, non_blocking=True)
        return dict(zip(tensors, copies, strict=True)), queued()

    def _memory(self, size: int) -> Tensor:
        """The smallest piece that is free and serves, or a new one: [at least size], bytes."""
        serving = [piece for piece in self._free if size <= len(piece) <= max(ROOMY * size, ALIGNED)]
        if serving:
            piece = min(serving, key=len)
            self._free = [one for one in self._free if one is not piece]
        else:
            piece = pinned(max(size, ALIGNED))
        self._taken.append(piece)
        return piece


def copies_of(device: torch.device) -> Copies:
    """How tensors of ``device`` are copied."""
    return PinnedCopies() if device.type == "cuda" else Copies()


def laid_out(tensors: Sequence[Tensor]) -> tuple[list[int], int]:
    """Where each begins in one piece of memory that holds all of them, and how large that is; bytes."""
    sizes = [-(-tensor.nbytes // ALIGNED) * ALIGNED for tensor in tensors]
    *places, size = itertools.accumulate(sizes, initial=0)
    return places, size


def views(memory: Tensor, places: Sequence[int], like: Sequence[Tensor]) -> list[Tensor]:
    """Pieces of ``memory`` (bytes) that begin at ``places``, with shapes and types of ``like``, contiguous."""
    return [
        memory[place : place + tensor.nbytes].view(tensor.dtype).view(tensor.shape)
        for place, tensor in zip(places, like, strict=True)
    ]


def pinned(size: int) -> Tensor:
    """So many bytes that a GPU can write while the processor does something else; plain ones where it has none."""
    pin_large_whole()
    try:
        return torch.empty(size, dtype=torch.uint8, pin_memory=True)
    except RuntimeError:  # a limit of the system: each copy is waited for then
        return torch.empty(size, dtype=torch.uint8)


def queued() -> Callable[[], object]:
    """What waits until the current GPU has done all that it was asked for until now, from any thread."""
    event, device = torch.cuda.Event(blocking=True), torch.cuda.current_device()
    event.record()

    def wait() -> None:
        with torch.cuda.device(device):  # a thread of its own is on the first GPU, whose memory it would begin to use
            event.synchronize()

    return wait


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
