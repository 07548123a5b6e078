"""What was read of a large dataset, kept in the cache, so that opening it again reads only the captions that changed.

A caption counts as unchanged when its file has the same inode, size, time of change and time of status change (which
no program can set back) as when it was read. Files that had been touched within moments of the reading are always read
again: on a coarse clock a later change would look the same. Whatever is odd about a snapshot, it is as if there were
none. The file holds numbers and texts only and a check sum; nothing in it is run.
"""

from __future__ import annotations

import json
import os
import sys
import time
import zlib
from array import array
from collections.abc import Sequence
from hashlib import blake2b
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.errors import UserError
from lora_tui.files import write_atomic

if TYPE_CHECKING:
    from lora_tui.captions.corpus import Entry
    from lora_tui.captions.index import Index

ENOUGH = 5000
"""Captions from which on a snapshot is worth its file."""
_FEW_READ = 0.05
"""Share of captions that may be read again before the snapshot is written anew."""
_KEPT_BYTES = 500_000_000
"""Snapshots of datasets that are kept, the newest: a project may have a dozen folders, and each has one."""
MOMENTS_NS = 2_000_000_000
"""Files that changed less than this before they were kept are read again."""
_MARK = b"LTCS1\n"
_NONE, _ALWAYS = -1, -2
"""In place of a size: there was no file; the file is to be read whatever it looks like."""


def snapshot_path(root: str, *settings: object) -> Path | None:
    """Where the snapshot of a dataset is kept that is read with these settings; none without a cache folder."""
    from lora_tui.settings import cache_dir

    key = blake2b(repr((root, settings)).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
    try:
        return cache_dir() / "captions" / f"{key}.snapshot"
    except UserError:
        return None


class Stamps:
    """What the caption files looked like when they were read, by the numbers of their images."""

    def __init__(self) -> None:
        self.sizes, self.changed, self.status, self.inodes = array("q"), array("q"), array("q"), array("Q")

    def add(self, state: os.stat_result | None, *, trusted: bool = True) -> None:
        """Note the file of the next image; none when there is no file."""
        if state is None:
            values = _NONE, 0, 0, 0
        else:
            values = state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino
        self.sizes.append(values[0] if trusted else _ALWAYS)
        self.changed.append(values[1])
        self.status.append(values[2])
        self.inodes.append(values[3])

    def arrays(self) -> tuple[array[int], ...]:
        return self.sizes, self.changed, self.status, self.inodes


class Snapshot:
    """A snapshot that was read; rows are images in the order in which they were."""

    def __init__(self, head: dict[str, list[str]], columns: Sequence[array[int]], texts: memoryview) -> None:
        self._captions, self._vocabulary = head["captions"], list(map(sys.intern, head["tags"]))
        self._doubled = frozenset(map(int, head["doubled"]))
        self._sizes, self._changed, self._status, self._inodes = columns[:4]
        self._lengths, self._ids, self._counts, self._where = columns[4:]
        self._texts = texts
        self._text_ends = array("Q", accumulate(max(size, 0) for size in self._sizes))
        self._tag_ends = array("Q", accumulate(self._lengths))
        self._rows: dict[str, int] | None = None

    def __len__(self) -> int:
        return len(self._captions)

    def row(self, number: int, caption: str) -> int | None:
        """The row of a caption file, most probably ``number``."""
        if number < len(self._captions) and self._captions[number] == caption:
            return number
        if self._rows is None:
            self._rows = {name: row for row, name in reversed(list(enumerate(self._captions)))}
        return self._rows.get(caption)

    def fits(self, row: int, state: os.stat_result | None) -> bool:
        """Whether a file that looks so holds what the row says."""
        if state is None:
            return self._sizes[row] == _NONE
        return (
            self._sizes[row] == state.st_size
            and self._status[row] == state.st_ctime_ns
            and self._changed[row] == state.st_mtime_ns
            and self._inodes[row] == state.st_ino
        )

    def raw(self, row: int) -> bytes | None:
        """The bytes of a caption file; none where there was none."""
        if self._sizes[row] < 0:
            return None
        end = self._text_ends[row]
        return bytes(self._texts[end - self._sizes[row] : end])

    def tags(self, row: int) -> tuple[str, ...]:
        """Its tags."""
        end = self._tag_ends[row]
        return tuple(map(self._vocabulary.__getitem__, self._ids[end - self._lengths[row] : end]))

    def fill(self, index: Index, entries: Sequence[Entry]) -> None:
        """Put the tags of ``entries``, which are exactly the rows, into an empty index."""
        tags = {entry.number: entry.tags for entry in entries if entry.tags}
        for number in self._doubled:
            tags[number] = tuple(dict.fromkeys(tags[number]))
        ends = accumulate(self._counts)
        postings = {
            tag: self._where[end - count : end]
            for tag, count, end in zip(self._vocabulary, self._counts, ends, strict=True)
        }
        index.restore(tags, postings)


def load(path: Path) -> Snapshot | None:
    """The snapshot in a file; none when there is none that can be used."""
    try:
        data = memoryview(path.read_bytes())
        head_end = len(_MARK) + 12
        if bytes(data[: len(_MARK)]) != _MARK or zlib.crc32(data[head_end:]) != int.from_bytes(
            data[head_end - 4 : head_end], "little"
        ):
            return None
        position = head_end + int.from_bytes(data[len(_MARK) : head_end - 4], "little")
        head = json.loads(bytes(data[head_end:position]))
        columns = []
        for kind, length in head["columns"]:
            column = array(kind)
            end = position + length * column.itemsize
            column.frombytes(data[position:end])
            columns.append(column)
            position = end
        return Snapshot(head, columns, data[position:])
    except (OSError, ValueError, KeyError, TypeError, MemoryError):
        return None


def save(path: Path, entries: Sequence[Entry], index: Index, stamps: Stamps) -> None:
    """Keep what was read, and forget the oldest of too many snapshots; a disk that refuses is none of our business.

    Args:
        index: of exactly these entries, as it was built.
    """
    recent = time.time_ns() - MOMENTS_NS
    for row, (changed, status) in enumerate(zip(stamps.changed, stamps.status, strict=True)):
        if max(changed, status) > recent:
            stamps.sizes[row] = _ALWAYS
    ids = {tag: number for number, tag in enumerate(index.tags())}
    raws = [entry.raw or b"" if size >= 0 else b"" for entry, size in zip(entries, stamps.sizes, strict=True)]
    lists = [entry.tags if size >= 0 else () for entry, size in zip(entries, stamps.sizes, strict=True)]
    where = [index.packed(tag) for tag in ids]
    numbers, held = array("I"), array("I")
    for tags in lists:  # one by one, so that other threads have their turns between them
        numbers.extend(map(ids.__getitem__, tags))
    for posting in where:
        held.extend(posting)
    columns = [*stamps.arrays(), array("I", map(len, lists)), numbers, array("I", map(len, where)), held]
    head = {
        "captions": [entry.caption_name for entry in entries],
        "tags": list(ids),
        "doubled": [entry.number for entry in entries if len(index.tags_of(entry.number)) != len(entry.tags)],
        "columns": [(column.typecode, len(column)) for column in columns],
    }
    text = json.dumps(head, separators=(",", ":")).encode("ascii")
    parts = [text, *map(bytes, columns), *raws]
    check = 0
    for part in parts:
        check = zlib.crc32(part, check)
    data = b"".join([_MARK, len(text).to_bytes(8, "little"), check.to_bytes(4, "little"), *parts])
    del parts, raws
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomic(path, data, durable=False)
        _forget(path.parent)
    except OSError:
        return


def _forget(folder: Path) -> None:
    """Remove the oldest of too many snapshots; OSError when one vanishes meanwhile."""
    known = sorted(((one.stat(), one) for one in folder.glob("*.snapshot")), key=lambda pair: -pair[0].st_mtime_ns)
    sizes = accumulate(state.st_size for state, _one in known)
    for (_state, old), size in list(zip(known, sizes, strict=True))[1:]:
        if size > _KEPT_BYTES:
            old.unlink(missing_ok=True)


def is_worth(read: int, total: int) -> bool:
    """Whether to keep what was read: of many captions, more than a few of which no snapshot knew."""
    return total >= ENOUGH and read > _FEW_READ * total
