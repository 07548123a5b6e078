"""A machine with as much memory as a test wants: torch runs out of it where it would on a GPU of that size."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lora_tui.families.streamed import StreamedBlocks
from lora_tui.trainer.memory import fitting


class Limit(TorchDispatchMode):
    """Counts the bytes of living tensors that this thread makes, and raises torch's own error beyond ``allowed``.

    Attributes:
        allowed: bytes; none is no limit.
        peak: the most since it was last set to 0.
        failures: how often it raised.
        after: operations that still work before the next one runs out of memory; none is no limit.
        elsewhere: storages that count for nothing, as they lie in another memory.
    """

    def __init__(self, allowed: int | None = None) -> None:
        super().__init__()
        self.allowed = allowed
        self.now = self.peak = self.failures = 0
        self.after: int | None = None
        self.elsewhere: weakref.WeakSet[Any] = weakref.WeakSet()
        self._living: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self.after is not None:
            self.after -= 1
            if self.after < 0:
                raise torch.OutOfMemoryError("simulated: out of memory")
        result = func(*args, **(kwargs or {}))
        before = self.now
        for tensor in (result,) if isinstance(result, torch.Tensor) else tree_leaves(result):
            if isinstance(tensor, torch.Tensor) and tensor.device.type == "cpu":
                self._count(tensor.untyped_storage())
        if self.allowed is not None and self.now > max(self.allowed, before):
            self.failures += 1
            raise torch.OutOfMemoryError("simulated: out of memory")
        self.peak = max(self.peak, self.now)
        return result

    def _count(self, storage: Any) -> None:
        if id(storage) in self._living or storage in self.elsewhere:
            return
        size, name = storage.nbytes(), id(storage)
        self._living[name] = size
        self.now += size
        weakref.finalize(storage, self._gone, name)

    def _gone(self, name: int) -> None:
        self.now -= self._living.pop(name, 0)

    def leave_out(self, storage: Any) -> None:
        """Count ``storage`` as lying in another memory from now on."""
        self.elsewhere.add(storage)
        self._gone(id(storage))


@contextmanager
def small_machine(limit: Limit, *, own_memory: bool = False) -> Iterator[None]:
    """Run what is within under ``limit``; ``own_memory``: as a GPU, whose streamed blocks lie elsewhere."""
    take, has = StreamedBlocks._take, fitting.has_own_memory

    def taken(self: StreamedBlocks, block: Any) -> Any:
        home, held = take(self, block)
        limit.leave_out(home.untyped_storage())
        return home, held

    if own_memory:
        StreamedBlocks._take, fitting.has_own_memory = taken, lambda _device: True  # type: ignore[method-assign]
    try:
        with limit:
            yield
    finally:
        StreamedBlocks._take, fitting.has_own_memory = take, has  # type: ignore[method-assign]


def watching(emit: Callable[..., None], seen: Callable[[str, dict[str, Any]], None]) -> Callable[..., None]:
    """``emit`` of an event writer that tells ``seen`` of each event after it is written."""

    def both(kind: str, **fields: Any) -> None:
        emit(kind, **fields)
        seen(kind, fields)

    return both
