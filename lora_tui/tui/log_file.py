"""A growing log file by lines: an index of where they start, the lines themselves read when they are shown."""

from __future__ import annotations

import os
from array import array
from bisect import bisect_right
from pathlib import Path

BLOCK = 1 << 20
"""Bytes read at a time while the index grows."""

LONGEST = 2000
"""Bytes of a line that are shown."""


class LogFile:
    """Lines by number. Never raises for what the file is or holds; a replaced or cut file is read anew."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._starts = array("Q")
        self._read = 0
        self._identity: tuple[int, int] | None = None

    @property
    def count(self) -> int:
        """How many lines there are, an unfinished last one included."""
        if not self._starts:
            return 0
        return len(self._starts) - (1 if self._starts[-1] == self._read else 0)

    def poll(self, budget: int = 8 * BLOCK) -> bool:
        """Index what was added, at most ``budget`` bytes of it; whether anything changed."""
        before = (self._read, self._identity)
        try:
            with self.path.open("rb", buffering=0) as file:
                status = os.fstat(file.fileno())
                identity = (status.st_dev, status.st_ino)
                if identity != self._identity or status.st_size < self._read:
                    self._starts, self._read, self._identity = array("Q", [0]), 0, identity
                file.seek(self._read)
                while budget > 0 and (block := file.read(min(BLOCK, budget))):
                    self._index(block)
                    budget -= len(block)
        except OSError:
            self._starts, self._read, self._identity = array("Q"), 0, None
        return before != (self._read, self._identity)

    def _index(self, block: bytes) -> None:
        place = block.find(b"\n")
        while place >= 0:
            self._starts.append(self._read + place + 1)
            place = block.find(b"\n", place + 1)
        self._read += len(block)

    def find(self, text: str, most: int = 10_000) -> list[int]:
        """Numbers of the lines that have ``text`` in them, whatever its case (of ASCII letters); ``most`` at most.

        Reads the whole file: for a thread.
        """
        wanted, found = text.encode().lower(), list[int]()
        if not wanted:
            return found
        rest, begin = b"", 0  # what is not looked through yet, and where in the file it begins
        try:
            with self.path.open("rb", buffering=0) as file:
                while block := file.read(BLOCK):
                    data = (rest + block).lower()
                    end = data.rfind(b"\n") + 1 or (len(data) if len(data) > BLOCK else 0)
                    place = data.find(wanted, 0, end)
                    while place >= 0 and len(found) < most:
                        found.append(bisect_right(self._starts, begin + place) - 1)
                        stop = data.find(b"\n", place)
                        place = data.find(wanted, stop, end) if stop >= 0 else -1
                    begin, rest = begin + end, (rest + block)[end:]
        except OSError:
            return found
        if rest and wanted in rest.lower() and len(found) < most:
            found.append(bisect_right(self._starts, begin + rest.lower().find(wanted)) - 1)
        return [number for number in dict.fromkeys(found) if 0 <= number < self.count]

    def line(self, number: int) -> str:
        """A line without its end; of one that was overwritten by carriage returns, what was left to see."""
        if not 0 <= number < self.count:
            return ""
        start = self._starts[number]
        end = self._starts[number + 1] if number + 1 < len(self._starts) else self._read
        try:
            with self.path.open("rb", buffering=0) as file:
                file.seek(start)
                data = file.read(min(end - start, 1 << 16))
        except OSError:
            return ""
        data = data.rstrip(b"\r\n")
        return data[data.rfind(b"\r") + 1 :][:LONGEST].decode("utf-8", "replace")
