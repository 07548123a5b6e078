"""The body of a transaction: names and sizes of its files, then their contents, packed so that a part can be read.

It is one zlib stream. A long one is cut into blocks of whole files, each of which can be unpacked without what is
before it (a full flush); the frame's head says where they begin. Programs that know of no blocks read it all the same.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, BinaryIO

BLOCK = 256 << 10
"""Bytes of contents in a block, or a little more."""
_CHUNK = 64 << 10
_RAW = -15
"""How zlib is told that a stream has no head of its own."""

Blocks = tuple[tuple[int, int], ...]
"""For each block the number of its first file, and where it begins in the body."""


@dataclass(frozen=True, slots=True)
class FileChange:
    """One file's content before and after; none where there is no file. The name is relative to the journal's home."""

    name: str
    before: bytes | None
    after: bytes | None


def pack_changes(changes: Sequence[FileChange]) -> tuple[bytes, Blocks]:
    """Names and contents, compressed: what is after stands next to what was before, and costs next to nothing."""
    sizes = [[one.name, _size(one.before), _size(one.after)] for one in changes]
    text = json.dumps(sizes, separators=(",", ":")).encode("ascii")
    packer = zlib.compressobj(1)
    packed = bytearray(packer.compress(len(text).to_bytes(8, "little") + text))
    contents = [(one.before or b"") + (one.after or b"") for one in changes]
    groups = _groups([len(content) for content in contents])
    blocks = []
    for first, last in groups:
        if len(groups) > 1:
            packed += packer.flush(zlib.Z_FULL_FLUSH)
            blocks.append((first, len(packed)))
        packed += packer.compress(b"".join(contents[first:last]))
    packed += packer.flush()
    return bytes(packed), tuple(blocks)


def unpack_changes(body: bytes | memoryview) -> list[FileChange]:
    """What :func:`pack_changes` packed.

    Raises:
        ValueError, zlib.error: it is damaged.
    """
    raw = memoryview(zlib.decompress(body))
    position = 8 + int.from_bytes(raw[:8], "little")
    found = []
    for name, before, after in _table(bytes(raw[8:position])):
        contents: list[bytes | None] = []
        for size in (before, after):
            contents.append(None if size < 0 else bytes(raw[position : position + size]))
            position += max(size, 0)
        found.append(FileChange(name, contents[0], contents[1]))
    if position != len(raw):
        raise ValueError("the contents are not as long as they should be")
    return found


def names_in(file: BinaryIO, start: int, end: int) -> list[str]:
    """The names of the files of a body that lies between two places, without unpacking what they hold.

    Raises:
        ValueError, zlib.error: it is damaged.
    """
    return [name for name, _before, _after in _table(_Stream(file, start, end).text())]


def change_in(file: BinaryIO, start: int, end: int, blocks: Blocks, name: str) -> FileChange | None:
    """One file of a body that lies between two places; none when it is not in it. Its check sum is not looked at.

    Raises:
        ValueError, zlib.error: it is damaged.
    """
    stream = _Stream(file, start, end)
    text = stream.text()
    if b"[" + json.dumps(name).encode("ascii") + b"," not in text:
        return None
    table = _table(text)
    index = next((index for index, row in enumerate(table) if row[0] == name), -1)
    if index < 0:
        return None
    first, place = max((block for block in blocks if block[0] <= index), default=(0, -1))
    if place >= 0:
        stream = _Stream(file, start + place, end, _RAW)
    stream.skip(sum(max(size, 0) for row in table[first:index] for size in row[1:]))
    before, after = (None if size < 0 else stream.read(size) for size in table[index][1:])
    return FileChange(name, before, after)


def blocks_of(head: dict[str, Any]) -> Blocks:
    """The blocks that a frame's head tells of; none when they are not what they should be."""
    try:
        found = tuple((int(first), int(place)) for first, place in head.get("blocks", ()))
    except (TypeError, ValueError):
        return ()
    return found if all(min(block) >= 0 for block in found) else ()


class _Stream:
    """The unpacked bytes of a part of a file, one after the other."""

    def __init__(self, file: BinaryIO, start: int, end: int, kind: int = zlib.MAX_WBITS) -> None:
        self._file, self._left, self._packed = file, end - start, b""
        self._unpacker = zlib.decompressobj(kind)
        file.seek(start)

    def text(self) -> bytes:
        """What stands in front: a length and as many bytes."""
        return self.read(int.from_bytes(self.read(8), "little"))

    def read(self, size: int) -> bytes:
        """The next bytes, exactly so many.

        Raises:
            ValueError, zlib.error: there are not so many.
        """
        parts = []
        while size > 0:
            if not self._packed:
                self._packed = self._file.read(min(_CHUNK, self._left))
                self._left -= len(self._packed)
            ended = not self._packed
            part = self._unpacker.decompress(self._packed, size)
            self._packed = self._unpacker.unconsumed_tail
            if ended and not part:
                raise ValueError("the body ends too early")
            size -= len(part)
            parts.append(part)
        return b"".join(parts)

    def skip(self, size: int) -> None:
        """Pass over the next bytes."""
        while size > 0:
            size -= len(self.read(min(size, _CHUNK)))


def _table(text: bytes) -> list[tuple[str, int, int]]:
    """The names and sizes of a body's files."""
    rows = json.loads(text)
    for name, _before, _after in rows:
        if not name or name[0] == "/" or (".." in name and ".." in name.split("/")):
            raise ValueError("a name that leads out of the dataset")  # a journal may come with a dataset from anywhere
    return rows  # type: ignore[no-any-return]


def _groups(sizes: Sequence[int]) -> list[tuple[int, int]]:
    """First file and the one after the last of each block."""
    borders, filled = [0], 0
    for number, size in enumerate(sizes):
        if filled >= BLOCK:
            borders.append(number)
            filled = 0
        filled += size
    return list(zip(borders, chain(borders[1:], (len(sizes),)), strict=True))


def _size(content: bytes | None) -> int:
    return -1 if content is None else len(content)
