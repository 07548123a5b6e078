"""The bytes of a journal: frames one after the other, each whole or not there.

A frame is a head of fixed size (mark, lengths, check sums), a short JSON text and a packed body. The head has a check
sum of its own, so that what follows a damaged frame is still found.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

_HEAD = struct.Struct("<4sIQII")
"""Mark, bytes of the JSON text, bytes of the body, CRC-32 of both, CRC-32 of the four fields before."""

MARK = b"LTJ1"
_WINDOW = 1 << 20


@dataclass(frozen=True, slots=True)
class Frame:
    """Where one frame lies in the file, and its JSON text; the body is read when it is needed."""

    start: int
    end: int
    head: dict[str, Any]
    body_start: int
    crc: int


def pack(head: dict[str, Any], body: bytes = b"") -> bytes:
    """The bytes of a frame."""
    text = json.dumps(head, separators=(",", ":")).encode("ascii")
    fields = struct.pack("<4sIQI", MARK, len(text), len(body), zlib.crc32(body, zlib.crc32(text)))
    return b"".join((fields, struct.pack("<I", zlib.crc32(fields)), text, body))


def read_frames(file: BinaryIO, start: int, end: int) -> Iterator[Frame]:
    """The whole frames between two places of a journal.

    What is damaged in the middle is passed over. A frame that goes beyond ``end``, as a process killed while writing
    it leaves it, ends the reading.
    """
    position = start
    while position < end:
        frame = _frame_at(file, position, end)
        if frame is None:
            position = _next_mark(file, position + 1, end)
            continue
        if frame.end > end:
            return
        yield frame
        position = frame.end


def read_body(file: BinaryIO, frame: Frame) -> memoryview | None:
    """The body of a frame; none when its check sum is wrong."""
    text_start = frame.start + _HEAD.size
    file.seek(text_start)
    raw = file.read(frame.end - text_start)
    if zlib.crc32(raw) != frame.crc or len(raw) != frame.end - text_start:
        return None
    return memoryview(raw)[frame.body_start - text_start :]


def _frame_at(file: BinaryIO, position: int, end: int) -> Frame | None:
    """The frame that begins here; none when there is none or its head cannot be trusted."""
    file.seek(position)
    raw = file.read(_HEAD.size)
    if len(raw) < _HEAD.size or raw[:4] != MARK or zlib.crc32(raw[:-4]) != _HEAD.unpack(raw)[4]:
        return None
    _mark, text_bytes, body_bytes, crc, _own = _HEAD.unpack(raw)
    body_start = position + _HEAD.size + text_bytes
    whole = Frame(position, body_start + body_bytes, {}, body_start, crc)
    if whole.end > end:
        return whole
    try:
        head = json.loads(file.read(text_bytes))
    except ValueError:
        return None
    return Frame(position, whole.end, head, body_start, crc) if isinstance(head, dict) else None


def _next_mark(file: BinaryIO, position: int, end: int) -> int:
    while position < end:
        file.seek(position)
        found = file.read(_WINDOW).find(MARK)
        if found >= 0:
            return position + found
        position += _WINDOW - len(MARK) + 1
    return end
