"""Safetensors files whose bytes depend on nothing but what is in them.

The library keeps metadata in a hash map, so two files of the same content differ in the order of their keys. Here the
keys of the metadata are sorted after it has written them; the header keeps its length, so no tensor moves.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save, save_file
from torch import Tensor


def save_ordered(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """The bytes of a safetensors file with these tensors and metadata, the same each time."""
    data = save(dict(tensors), metadata=dict(metadata))
    end = 8 + int.from_bytes(data[:8], "little")
    return data[:8] + _ordered(data[8:end]) + data[end:]


def save_file_ordered(tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str]) -> None:
    """As :func:`save_ordered`, into ``path`` without a copy of the tensors in memory.

    Raises:
        OSError: the disk is full or cannot be written.
    """
    save_file(dict(tensors), path, metadata=dict(metadata))
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        header = _ordered(file.read(length))
        file.seek(8)
        file.write(header)


def _ordered(header: bytes) -> bytes:
    """The JSON ``header`` with the keys of its metadata sorted, padded to the length it had."""
    entries = json.loads(header)
    entries["__metadata__"] = dict(sorted(entries.get("__metadata__", {}).items()))
    text = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
    if len(text) > len(header):  # the library escapes otherwise than expected: its order is as good as any
        return header
    return text.ljust(len(header))
