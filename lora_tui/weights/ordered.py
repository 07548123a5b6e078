"""Safetensors files whose bytes depend on nothing but what is in them.

The safetensors library keeps metadata in a hash map, so two files of the same content differ in the order of their
keys; and it writes files by way of a temporary one of its own, which stays for good when the process is killed. So they
are written here, in the library's order and by its rules, with the keys of the metadata sorted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from lora_tui.files import naming
from lora_tui.weights.header.written import framed, header_text, ordered, placed

TYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
    torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
    torch.uint64: "U64", torch.uint32: "U32", torch.uint16: "U16", torch.complex64: "C64",
    torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2", torch.float8_e4m3fnuz: "F8_E4M3FNUZ",
    torch.float8_e5m2fnuz: "F8_E5M2FNUZ",
}  # fmt: skip
"""What the format calls the types of tensors."""


def save_ordered(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """The bytes of a safetensors file with these tensors and metadata, the same each time.

    Raises:
        KeyError: the format has no such type.
    """
    return b"".join(_pieces(tensors, metadata))


def save_file_ordered(tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str]) -> None:
    """As :func:`save_ordered`, into ``path`` itself, without a copy of the tensors in memory.

    Raises:
        KeyError: the format has no such type.
        OSError: the disk is full or cannot be written; a part of the file stands there.
    """
    pieces = _pieces(tensors, metadata)
    with naming(path), path.open("wb") as file:
        for piece in pieces:
            file.write(piece)


def bytes_of(tensor: Tensor) -> memoryview:
    """What a file holds of a tensor; a copy only where it is on another device or not in one piece."""
    return memoryview(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())


def _pieces(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> Iterator[bytes | memoryview]:
    entries = placed(ordered((name, TYPES[one.dtype], tuple(one.shape)) for name, one in tensors.items()))
    yield framed(header_text(entries, metadata))
    for name in entries:
        yield bytes_of(tensors[name])
