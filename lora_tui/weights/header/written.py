"""What stands before the tensors of a safetensors file that is written, see :mod:`lora_tui.weights.header.format`."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import TypedDict

from lora_tui.weights.header.format import DTYPE_BITS

_ORDER = (
    "BOOL", "F4", "F6_E2M3", "F6_E3M2", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ",
    "I16", "U16", "F16", "BF16", "I32", "U32", "F32", "C64", "F64", "I64", "U64",
)  # fmt: skip
"""The safetensors library's: tensors of the last of these types come first."""
Place = tuple[str, str, tuple[int, ...]]
"""Name, type (``F16``) and shape of a tensor."""


class Entry(TypedDict):
    """A tensor as the JSON tells it; ``data_offsets`` are its first byte and the one behind it, after the header."""

    dtype: str
    shape: list[int]
    data_offsets: list[int]


def ordered(tensors: Iterable[Place]) -> list[Place]:
    """The tensors in the order of the safetensors library: the largest numbers first, then by name."""
    return sorted(tensors, key=lambda one: (-_ORDER.index(one[1]), one[0]))


def placed(tensors: Iterable[Place]) -> dict[str, Entry]:
    """The tensors one after the other, as they are given."""
    entries: dict[str, Entry] = {}
    at = 0
    for name, dtype, shape in tensors:
        end = at + math.prod(shape) * DTYPE_BITS[dtype] // 8
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, end]}
        at = end
    return entries


def header_text(entries: Mapping[str, Entry], metadata: Mapping[str, str]) -> bytes:
    """The JSON, keys of the metadata in order: the same content is the same bytes."""
    told = {"__metadata__": dict(sorted(metadata.items())), **entries}
    try:
        return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # half a pair of surrogates, which can only be written by its number
        return json.dumps(told, separators=(",", ":")).encode()


def framed(text: bytes) -> bytes:
    """The header of a file: the length of ``text``, and ``text`` with blanks up to a multiple of eight bytes."""
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text
