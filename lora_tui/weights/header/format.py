"""The header of a ``.safetensors`` file: names, types, shapes and places of its tensors, and its metadata.

The format (safetensors, format section of its README): eight bytes with the header's length N as a
little-endian integer; N bytes of JSON; then the tensors, without gaps, at the offsets that the JSON names,
counted from the end of the header. Everything is checked before it is believed: a file may be torn or hostile.
"""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lora_tui.errors import UserError
from lora_tui.files import open_file
from lora_tui.text import _, bytes_text, plain
from lora_tui.weights.header.pickles import pickle_error

HEADER_LIMIT = 100_000_000
"""Bytes; the format's own limit, which the safetensors library holds to as well."""
MAX_DIMENSIONS = 64

DTYPE_BITS: Mapping[str, int] = {
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "BOOL": 8,
    "U8": 8,
    "I8": 8,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "I64": 64,
    "U64": 64,
    "F64": 64,
    "C64": 64,
}


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor: its type (``F16``), its shape, and its bytes ``start`` to ``end`` in the file."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int

    @property
    def bytes(self) -> int:
        return self.end - self.start


@dataclass(frozen=True)
class Header:
    """All that a file says before its tensors. ``size`` is the whole file in bytes."""

    tensors: dict[str, TensorInfo]
    metadata: dict[str, str]
    size: int


def read_header(path: Path) -> Header:
    """The header of ``path``.

    Raises:
        UserError: the file cannot be read (``weights.unreadable``), is a pickle (``weights.pickle``), is no
            safetensors file (``weights.not_safetensors``), is cut short (``weights.torn``), or its header
            contradicts itself or the file (``weights.header``).
    """
    try:
        with open_file(path) as file:  # a pipe is never waited for
            size = os.fstat(file.fileno()).st_size
            first = file.read(8)
            length = int.from_bytes(first, "little")
            _refuse_others(path, first, length)
            if size < 8 + length:
                raise _torn(path, 8 + length, size)
            text = file.read(length)
    except OSError as error:
        raise unreadable(path, error) from None
    entries = _parse(path, text)
    metadata = _metadata(path, entries.pop("__metadata__", {}))
    tensors = {name: _tensor(path, name, entry, 8 + length) for name, entry in entries.items()}
    _check_places(path, tensors, 8 + length, size)
    return Header(tensors, metadata, size)


def read_scalars(path: Path, tensors: Mapping[str, TensorInfo]) -> dict[str, float]:
    """The values of those ``tensors`` of the file that hold one floating-point or integer number; others are left out.

    Raises:
        UserError: the file cannot be read.
    """
    found: dict[str, float] = {}
    try:
        with open_file(path) as file:
            for name, tensor in tensors.items():
                if math.prod(tensor.shape) == 1 and tensor.dtype in _SCALARS:
                    data = os.pread(file.fileno(), tensor.bytes, tensor.start)
                    found[name] = scalar(tensor.dtype, data)
    except (OSError, struct.error):
        raise _torn(path, max(t.end for t in tensors.values()), 0) from None
    return found


def looks_pickled(first: bytes) -> bool:
    """Whether a file with these first bytes is what ``torch.save`` writes: a zip archive or a bare pickle."""
    if first.startswith(b"PK\x03\x04"):
        return True
    signed = len(first) > 1 and first[0] == 0x80 and 2 <= first[1] <= 5
    return signed and (first[2:3] == b"\x95" or first[4:8] != bytes(4))  # else the length of a header, 640 or so


_SCALARS = {"F16": "<e", "BF16": "bf16", "F32": "<f", "F64": "<d", "I32": "<i", "I64": "<q"} | {
    "I8": "<b",
    "I16": "<h",
    "U8": "<B",
    "U16": "<H",
    "U32": "<I",
    "U64": "<Q",
    "F8_E4M3": "f8 3",
    "F8_E5M2": "f8 2",
}
"""How each is unpacked; of eight bits, how many the mantissa has."""


def scalar(dtype: str, data: bytes) -> float:
    """The number of ``dtype`` (``F16``) that ``data`` holds.

    Raises:
        KeyError: no number of that type is read here.
    """
    kind = _SCALARS[dtype]
    if kind.startswith("f8"):
        return _eight_bits(data[0], mantissa=int(kind[-1]))
    if kind == "bf16":
        return float(struct.unpack("<f", b"\0\0" + data)[0])
    return float(struct.unpack(kind, data)[0])


def _eight_bits(byte: int, *, mantissa: int) -> float:
    """A number of OCP's 8-bit floating-point formats E4M3 and E5M2; only the second has infinities."""
    sign, exponent, rest = -1.0 if byte & 0x80 else 1.0, (byte & 0x7F) >> mantissa, byte & ((1 << mantissa) - 1)
    if mantissa == 2 and exponent == 31:
        return math.nan if rest else sign * math.inf
    if byte & 0x7F == 0x7F:
        return math.nan
    bias = 7 if mantissa == 3 else 15
    whole = rest / (1 << mantissa) + (1 if exponent else 0)
    return sign * float(math.ldexp(whole, max(exponent, 1) - bias))


def _refuse_others(path: Path, first: bytes, length: int) -> None:
    if looks_pickled(first):
        raise pickle_error(path, plain(str(path)), code="weights.pickle")
    if len(first) < 8 or not 2 <= length <= HEADER_LIMIT:
        raise UserError(
            _("it is no safetensors file."),
            place=plain(str(path)),
            remedy=_("Give a .safetensors file, or fetch it again if it should be one."),
            code="weights.not_safetensors",
        )


def unreadable(path: Path, error: OSError) -> UserError:
    """That a file cannot be read, and why."""
    return UserError(
        _("the file cannot be read: {reason}.").format(reason=plain(error.strerror or str(error))),
        place=plain(str(path)),
        remedy=_("Check that it is a file, and that you may read it."),
        code="weights.unreadable",
    )


def _torn(path: Path, wanted: int, there: int) -> UserError:
    return UserError(
        _("the file is cut short: {missing} or more of its {wanted} are missing.").format(
            missing=bytes_text(wanted - there), wanted=bytes_text(wanted)
        ),
        place=plain(str(path)),
        remedy=_("Fetch or copy it again."),
        code="weights.torn",
    )


def _wrong(path: Path, what: str) -> UserError:
    return UserError(
        _("its header is wrong: {what}.").format(what=what),
        place=plain(str(path)),
        remedy=_("The file is damaged; fetch it again."),
        code="weights.header",
    )


def _parse(path: Path, text: bytes) -> dict[str, Any]:
    def once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
        entries: dict[str, Any] = {}
        for name, value in pairs:
            if name in entries:
                raise ValueError(f"{name!r} twice")
            entries[name] = value
        return entries

    try:
        entries = json.loads(text.decode("utf-8"), object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise _wrong(path, plain(reason, limit=200)) from None
    if not isinstance(entries, dict):
        raise _wrong(path, _("it is no JSON object"))
    return entries


def _metadata(path: Path, entry: object) -> dict[str, str]:
    if not isinstance(entry, dict) or not all(isinstance(value, str) for value in entry.values()):
        raise _wrong(path, _("its metadata are not texts"))
    return entry


def _tensor(path: Path, name: str, entry: object, base: int) -> TensorInfo:
    shown = plain(name, limit=80)
    if not isinstance(entry, dict):
        raise _wrong(path, _("{name} is not described").format(name=shown))
    dtype, shape, places = (
        entry.get("dtype"),
        _whole_numbers(entry.get("shape")),
        _whole_numbers(entry.get("data_offsets")),
    )
    if not isinstance(dtype, str) or dtype not in DTYPE_BITS:
        raise _wrong(path, _("{name} has the unknown type {type}").format(name=shown, type=plain(str(dtype), limit=20)))
    if shape is None or places is None or len(shape) > MAX_DIMENSIONS or len(places) != 2:
        raise _wrong(path, _("{name} has no shape or no place").format(name=shown))
    start, end = places
    if start > end or math.prod(shape) * DTYPE_BITS[dtype] != (end - start) * 8:
        raise _wrong(path, _("{name} has another size than its shape says").format(name=shown))
    return TensorInfo(dtype, tuple(shape), base + start, base + end)


def _whole_numbers(value: object) -> list[int] | None:
    """``value`` when it is a list of whole numbers that fit 63 bits."""
    if isinstance(value, list) and all(type(part) is int and 0 <= part < 2**63 for part in value):
        return value
    return None


def _check_places(path: Path, tensors: Mapping[str, TensorInfo], base: int, size: int) -> None:
    """Tensors must follow each other without gap or overlap and end with the file."""
    position = base
    for name, tensor in sorted(tensors.items(), key=lambda item: (item[1].start, item[1].end)):
        if tensor.start != position:
            what = (
                _("{name} overlaps another tensor")
                if tensor.start < position
                else _("bytes before {name} belong to nothing")
            )
            raise _wrong(path, what.format(name=plain(name, limit=80)))
        position = tensor.end
    if size < position:
        raise _torn(path, position, size)
    if size > position:
        raise _wrong(
            path, _("{extra} after the last tensor belong to nothing").format(extra=bytes_text(size - position))
        )
