"""Small safetensors files made by hand, good and bad."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

BYTES = {"F16": 2, "BF16": 2, "F32": 4, "F8_E4M3": 1, "I64": 8}


def entries(shapes: Mapping[str, tuple[int, ...]], dtype: str = "F16") -> dict[str, Any]:
    """Header entries of tensors that follow each other."""
    found, position = {}, 0
    for name, shape in shapes.items():
        end = position + math.prod(shape) * BYTES[dtype]
        found[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [position, end]}
        position = end
    return found


def write(path: Path, header: Any, body: bytes | int) -> Path:
    """A file with this header (an object, or JSON text) and this body (bytes, or that many zeros, kept sparse)."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        if isinstance(body, bytes):
            file.write(body)
        else:
            file.truncate(8 + len(text) + body)
    return path


def model(path: Path, shapes: Mapping[str, tuple[int, ...]], metadata: Mapping[str, str] | None = None) -> Path:
    """A file of F16 zeros with these tensors."""
    header = entries(shapes)
    body = sum(math.prod(shape) * 2 for shape in shapes.values())
    return write(path, {"__metadata__": dict(metadata), **header} if metadata else header, body)
