"""The bytes of a journal: frames one after the other, each whole or not there.

A frame is a head of fixed size (mark, lengths, check sums), a short JSON text and a packed body. The head has a check
sum of its own, so that what follows a damaged frame is still found, and so has the text, as the last of its values, so
that it can be trusted before the body is read. Nothing is taken from a text whose check sum is wrong.
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
FAMILY = b"LTJ"
"""How the marks of other versions begin."""
MOST_TEXT = 64 << 20
"""Bytes of a JSON text; more than the names of a million files need."""
_CHECK = b',"check":'
_WINDOW = 1 << 20


class NewerError(Exception):
    """What follows was written by a program that is newer than this one; its argument says what it is."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Where one frame lies in the file, and its JSON text, none when it is damaged; the body is read when needed."""

    start: int
    end: int
    head: dict[str, Any] | None
    body_start: int
    crc: int


def pack(head: dict[str, Any], body: bytes = b"") -> bytes:
    """The bytes of a frame."""
    text = json.dumps(head, separators=(",", ":")).encode("ascii")[:-1]
    text += _CHECK + str(zlib.crc32(text)).encode("ascii") + b"}"
    fields = struct.pack("<4sIQI", MARK, len(text), len(body), zlib.crc32(body, zlib.crc32(text)))
    return b"".join((fields, struct.pack("<I", zlib.crc32(fields)), text, body))


def read_frames(file: BinaryIO, start: int, end: int) -> Iterator[Frame]:
    """The whole frames between two places of a journal.

    What is damaged in the middle comes as a frame without a text. A frame that goes beyond ``end``, as a process
    killed while writing it leaves it, ends the reading, as does what is damaged at the end.

    Raises:
        NewerError: a frame of another version.
    """
    position, damaged = start, -1
    while position < end:
        frame = _frame_at(file, position, end)
        if frame is None:
            damaged = position if damaged < 0 else damaged
            position = _next_mark(file, position + 1, end)
            continue
        if frame.end > end:
            return
        if damaged >= 0:
            yield Frame(damaged, position, None, position, 0)
            damaged = -1
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
    """The frame that begins here; none when there is none or its head cannot be trusted.

    Raises:
        NewerError: it is one of another version.
    """
    file.seek(position)
    raw = file.read(_HEAD.size)
    if len(raw) < _HEAD.size:
        return None
    mark, text_bytes, body_bytes, crc, own = _HEAD.unpack(raw)
    flipped = (int.from_bytes(mark, "big") ^ int.from_bytes(MARK, "big")).bit_count()
    is_ours = flipped < 2 and zlib.crc32(MARK + raw[4:-4]) == own  # with one wrong bit in its mark, too
    if not is_ours and mark != MARK and mark[:3] == FAMILY and mark[3:].isalnum():
        raise NewerError(mark[3:].decode("ascii"))
    if not is_ours:
        return None
    body_start = position + _HEAD.size + text_bytes
    whole = Frame(position, body_start + body_bytes, None, body_start, crc)
    if whole.end > end or text_bytes > MOST_TEXT:
        return whole
    text = file.read(text_bytes)
    if not _is_right(text) and (_CHECK in text or read_body(file, whole) is None):
        return whole
    return Frame(position, whole.end, _parsed(text), body_start, crc)


def _is_right(text: bytes) -> bool:
    """Whether a text has a check sum that says so; one of an earlier version has none."""
    body, _mark, check = text.rpartition(_CHECK)
    return bool(body) and check == str(zlib.crc32(body)).encode("ascii") + b"}"


def _parsed(text: bytes) -> dict[str, Any] | None:
    try:
        head = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return None
    return head if isinstance(head, dict) else None


def _no_number(name: str) -> None:
    raise ValueError(name)


def _next_mark(file: BinaryIO, position: int, end: int) -> int:
    while position < end:
        file.seek(position)
        found = file.read(_WINDOW).find(MARK)
        if found >= 0:
            return position + found
        position += _WINDOW - len(MARK) + 1
    return end
