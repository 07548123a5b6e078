"""The body of a transaction: names and sizes of its files, then their contents, packed so that a part can be read.

It is one zlib stream. A long one is cut into blocks of whole files, each of which can be unpacked without what is
before it (a full flush); the frame's head says where they begin. Programs that know of no blocks read it all the same.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import chain
from typing import Any, BinaryIO

BLOCK = 256 << 10
"""Bytes of contents in a block, or a little more."""
MOST_CONTENTS = 512 << 20
"""Bytes of contents in a body, before and after together; what tells of more is no journal of captions."""
_MOST_NAMES = 64 << 20
_MOST_FILE = 16 << 20
_CHUNK = 64 << 10
_BORDER = b"],["
_RAW = -15
"""How zlib is told that a stream has no head of its own."""

Blocks = tuple[tuple[int, int], ...]
"""For each block the number of its first file, and where it begins in the body."""


@dataclass(frozen=True, slots=True)
class FileChange:
    """One file's content before and after; none where there is no file. The name is relative to the journal's home.

    Attributes:
        link: where the link leads that stands there instead of a file, if one comes or goes; else empty. Links that
            stay need no word.
    """

    name: str
    before: bytes | None
    after: bytes | None
    link: str = ""

    @property
    def back(self) -> FileChange:
        """The same the other way round."""
        return FileChange(self.name, self.after, self.before, self.link)


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
    stream = _Stream(BytesIO(body), 0, len(body))
    found = []
    for name, *sizes in _table(stream.text()):
        before, after = (None if size < 0 else stream.read(size) for size in sizes)
        found.append(FileChange(name, before, after))
    if not stream.is_done:
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
    at = text.find(b"[" + json.dumps(name).encode("ascii") + b",")
    if at < 0:
        return None
    index, row = _row_at(text, at, name)
    if index < 0:
        return None
    first, place = max((block for block in blocks if block[0] <= index), default=(0, -1))
    if place >= 0:
        stream = _Stream(file, start + place, end, _RAW)
    stream.skip(sum(max(size, 0) for each in range(first, index) for size in row(each)))
    before, after = (None if size < 0 else stream.read(size) for size in row(index))
    return FileChange(name, before, after)


def _row_at(text: bytes, at: int, name: str) -> tuple[int, Callable[[int], tuple[int, int]]]:
    """The number of the file that begins at a place of a table, -1 for none; what gives the sizes of a file.

    A table of very many names is not parsed for one of them, unless a name looks like the border of two.
    """
    pieces = text[2:-2].split(_BORDER)
    if b"\\" not in text and 2 * len(pieces) == text.count(b'"'):

        def sizes(index: int) -> tuple[int, int]:
            _name, before, after = pieces[index].rsplit(b",", 2)
            return int(before), int(after)

        return text.count(_BORDER, 0, at + 1), sizes
    table = _table(text)
    found = next((index for index, row in enumerate(table) if row[0] == name), -1)
    return found, lambda index: table[index][1:]


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
        self._ready, self._at = b"", 0
        file.seek(start)

    @property
    def is_done(self) -> bool:
        """Whether nothing is left, and the check sum at the end is right."""
        return self._at == len(self._ready) and not self._more() and self._unpacker.eof

    def text(self) -> bytes:
        """What stands in front: a length and as many bytes."""
        length = int.from_bytes(self.read(8), "little")
        if length > _MOST_NAMES:
            raise ValueError("more names than there can be")
        return self.read(length)

    def read(self, size: int) -> bytes:
        """The next bytes, exactly so many.

        Raises:
            ValueError, zlib.error: there are not so many.
        """
        end = self._at + size
        if end <= len(self._ready):
            part, self._at = self._ready[self._at : end], end
            return part
        parts, size = [self._ready[self._at :]], end - len(self._ready)
        while size > 0:
            if not self._more():
                raise ValueError("the body ends too early")
            parts.append(self._ready[:size])
            self._at = min(size, len(self._ready))
            size -= self._at
        return b"".join(parts)

    def _more(self) -> bool:
        """Unpack the next bytes in place of those that were read; whether there are any."""
        self._ready, self._at = b"", 0
        while not self._ready and not self._unpacker.eof:
            if not self._packed:
                self._packed = self._file.read(min(_CHUNK, self._left))
                self._left -= len(self._packed)
            ended = not self._packed  # the unpacker may hold some yet
            self._ready = self._unpacker.decompress(self._packed, _CHUNK)
            self._packed = self._unpacker.unconsumed_tail
            if ended and not self._ready:
                return False
        return bool(self._ready)

    def skip(self, size: int) -> None:
        """Pass over the next bytes."""
        while size > 0:
            size -= len(self.read(min(size, _CHUNK)))


def _table(text: bytes) -> list[tuple[str, int, int]]:
    """The names and sizes of a body's files.

    Raises:
        ValueError: it is none, or has a name that leads out of the dataset or that no file can have: a journal may
            come with a dataset from anywhere.
    """
    rows, contents = json.loads(text), 0
    if type(rows) is not list:
        raise ValueError("no list of files")
    for row in rows:
        name, before, after = row
        if type(row) is not list or type(name) is not str or type(before) is not int or type(after) is not int:
            raise ValueError("no name with two sizes")
        if not name or name[0] == "/" or "\0" in name or (".." in name and ".." in name.split("/")):
            raise ValueError("a name that leads out of the dataset")
        if not name.isascii():
            os.fsencode(name)
        if not -1 <= before <= _MOST_FILE or not -1 <= after <= _MOST_FILE:
            raise ValueError("a size that no caption has")
        contents += before + after
    if contents > MOST_CONTENTS:
        raise ValueError("more contents than there can be")
    return rows


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
