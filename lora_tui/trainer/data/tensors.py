"""Cached tensors: one small safetensors file an entry on disk, the lately used ones in memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping

import psutil  # type: ignore[import-untyped]
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from lora_tui.caches.store import ContentStore

MEMORY_CAP_BYTES = 4_000_000_000


class TensorStore:
    """Named tensors by key, through a :class:`~lora_tui.caches.ContentStore`; any thread may use it.

    At most ``memory_cap`` bytes stay in memory (by default :func:`default_cap`); the entry unused for longest goes
    first.
    """

    def __init__(self, store: ContentStore, *, memory_cap: int | None = None) -> None:
        self.store = store
        self._memory: OrderedDict[str, dict[str, Tensor]] = OrderedDict()
        self._held = 0
        self._cap = default_cap() if memory_cap is None else memory_cap
        self._lock = threading.Lock()  # guards _memory and _held; files are read and written without it

    def __getstate__(self) -> tuple[ContentStore, int]:
        """For another process, which has a memory of its own."""
        return self.store, self._cap

    def __setstate__(self, state: tuple[ContentStore, int]) -> None:
        store, cap = state
        self.__init__(store, memory_cap=cap)  # type: ignore[misc]

    def has(self, key: str) -> bool:
        """Whether the entry is there and whole; a torn one is forgotten."""
        if self._recall(key) is not None:
            return True
        return self.store.has(key) and self._read(key) is not None

    def put(self, key: str, tensors: Mapping[str, Tensor]) -> None:
        """Store ``tensors`` (moved to the CPU).

        Raises:
            OSError: the disk is full.
        """
        # copied, since a part of a large tensor would keep the whole of it in memory
        kept = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
        self.store.put(key, save(kept))
        self._keep(key, kept)

    def get(self, key: str) -> dict[str, Tensor]:
        """The entry's tensors, on the CPU.

        Raises:
            KeyError: it is not there (any more).
        """
        held = self._recall(key)
        if held is None:
            held = self._read(key)
            if held is None:
                raise KeyError(key)
        return held

    def _recall(self, key: str) -> dict[str, Tensor] | None:
        """The entry if it is in memory, marked as used now."""
        with self._lock:
            held = self._memory.get(key)
            if held is not None:
                self._memory.move_to_end(key)
            return held

    def _read(self, key: str) -> dict[str, Tensor] | None:
        try:
            tensors = load(self.store.path(key).read_bytes())
        except (OSError, SafetensorError):
            self.store.discard(key)
            return None
        self._keep(key, tensors)
        return tensors

    def _keep(self, key: str, tensors: dict[str, Tensor]) -> None:
        with self._lock:
            self._held += _size(tensors) - _size(self._memory.pop(key, {}))
            self._memory[key] = tensors
            while self._held > self._cap and len(self._memory) > 1:
                _, oldest = self._memory.popitem(last=False)
                self._held -= _size(oldest)


def default_cap() -> int:
    """Bytes that a store may keep in memory: 4 GB, or a quarter of what is free if that is less."""
    return min(MEMORY_CAP_BYTES, int(psutil.virtual_memory().available) // 4)


def _size(tensors: Mapping[str, Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors.values())
