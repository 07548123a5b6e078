"""Networks of 8 and 4 bits, packed once and kept on disk: the next start reads them instead of the whole model.

An entry is filed under what the weights' files hold, the kind and the layers, so it can be missing but never stale.
Each of its tensors has a digest of its own, which is compared when it is read: one that is torn or damaged is
forgotten, and the network is packed again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from lora_tui.caches.contents import sha256_of
from lora_tui.caches.store import ContentStore, key_of
from lora_tui.families.loading import network_without_weights
from lora_tui.families.parted import frozen
from lora_tui.families.quantized import Kind, quantize_linears
from lora_tui.settings import cache_dir
from lora_tui.weights.ordered import save_file_ordered

LAYOUT = 1  # version of what an entry holds, and of how weights are packed
CAP_BYTES = 100_000_000_000
"""Of all packed networks: FLUX.1 takes 12 GB in 8 bits."""
READERS = 8  # threads at most that compare digests; each does about 1 GB a second

#: Where a packed network comes from: the cache, or packed now and kept there, or (the disk is full) not kept.
Origin = Literal["read", "kept", "not_kept"]


@dataclass(frozen=True)
class Original:
    """The network in full.

    Attributes:
        load: reads it, on the CPU.
        kind: its class, of diffusers.
        files: all files that decide its weights and its shape; none where that cannot be said, and it is not kept.
        parts: what else decides them, such as the precision.
    """

    load: Callable[[], Any]
    kind: type
    files: tuple[Path, ...]
    parts: tuple[str, ...] = ()


def network_of(original: Original, kind: Literal["full"] | Kind, layers: Collection[str], device: torch.device) -> Any:
    """The network in full on the CPU, or :func:`packed`."""
    return original.load() if kind == "full" else packed(original, kind, layers, device)


def packed_store() -> ContentStore:
    """Where packed networks of all runs lie."""
    return ContentStore(cache_dir(), "packed", cap=CAP_BYTES)


def packed(original: Original, kind: Kind, layers: Collection[str], device: torch.device) -> Any:
    """The network with its ``layers`` packed, frozen: from the cache on the CPU, else packed on ``device`` and kept.

    Its attribute ``packed_from`` is an :data:`Origin`.
    """
    key = _key(original, kind, layers) if original.files else ""
    if key and (found := _read(original, kind, layers, key)) is not None:
        found.packed_from = "read"
        return found
    network = frozen(original.load())
    quantize_linears(network, kind, lambda name: name in layers, device=device)
    network.packed_from = "kept" if key and _write(network, key) else "not_kept"
    return network


def _key(original: Original, kind: Kind, layers: Collection[str]) -> str:
    files = [sha256_of(path) for path in original.files]
    return key_of("packed", LAYOUT, kind, original.kind.__name__, repr([files, original.parts, sorted(layers)]))


def _write(network: Any, key: str) -> bool:
    """Keep ``network``; whether there was room."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    metadata = {"config": network.to_json_string(), "digests": json.dumps(_digests(tensors))}
    try:
        packed_store().put_file(key, lambda path: save_file_ordered(tensors, path, metadata))
    except OSError:
        return False
    return True


def _read(original: Original, kind: Kind, layers: Collection[str], key: str) -> Any | None:
    """The network from the cache; none where it is not there or not whole."""
    store = packed_store()
    if not store.has(key):
        return None
    try:
        with safe_open(store.path(key), framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dictionary
        if _digests(tensors) != json.loads(metadata["digests"]):
            raise ValueError("damaged")
        return _assembled(original.kind, json.loads(metadata["config"]), kind, layers, tensors)
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, RuntimeError):
        store.discard(key)
        return None


def _assembled(
    network: Any, config: Mapping[str, Any], kind: Kind, layers: Collection[str], tensors: Mapping[str, Tensor]
) -> Any:
    """A network of class ``network`` with these tensors.

    Raises:
        RuntimeError, ValueError: a tensor is missing, or is of another shape.
    """
    module = frozen(network_without_weights(network, config))
    quantize_linears(module, kind, lambda name: name in layers)
    module.load_state_dict(tensors, assign=True)
    if any(tensor.is_meta for tensor in (*module.parameters(), *module.buffers())):
        raise ValueError("not all of it can be kept")
    return frozen(module)


def _digests(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Of the bytes of each tensor, its type and its shape."""

    def digest(tensor: Tensor) -> str:
        found = hashlib.blake2b(f"{tensor.dtype}:{tuple(tensor.shape)}".encode(), digest_size=16)
        found.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
        return found.hexdigest()

    with ThreadPoolExecutor(min(READERS, len(os.sched_getaffinity(0)))) as pool:
        return dict(zip(tensors, pool.map(digest, tensors.values()), strict=True))
