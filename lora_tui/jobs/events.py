"""The event stream of a run: one JSON object a line, appended by the trainer and its keeper, read by all.

A line is written by one system call, so two writers never mix. Readers are tolerant: a torn last line waits
for its rest, a bad line is counted and passed over, a file that was replaced or cut is read anew.
"""

from __future__ import annotations

import json
import math
import os
import threading
import time
from pathlib import Path
from typing import Any

from lora_tui.files import append_descriptor, open_file
from lora_tui.text.translate import _

Event = dict[str, Any]

MAX_LINE = 1 << 20
"""Bytes of one line at most; what is longer is not ours and is counted as bad, not kept in memory."""

CHUNK = 1 << 20
"""Bytes that one poll reads at most unless told otherwise: about 4,000 steps, some 15 ms of parsing."""


LAST_MOMENT = 1e11
"""Unix seconds (in the year 5138) from which on a number is no moment that anybody meant."""


class EventWriter:
    """Appends events to a file. Safe between threads; several processes may write to one file.

    A write that fails (disk full) does not raise, because a number for a curve must never end a run: it is
    counted in ``lost``, and a ``warning`` with code ``events.lost`` is written once the disk takes lines again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lost = 0
        self._guard = threading.Lock()
        self._descriptor = append_descriptor(path)
        self._torn = _ends_torn(path)

    def emit(self, kind: str, **fields: Any) -> None:
        """Write one event: ``t`` (unix seconds), ``kind`` and ``fields``. NaN and infinities become strings."""
        with self._guard:
            if self.lost and self._write(_encode("warning", self._loss())):
                self.lost = 0
            if not self._write(_encode(kind, fields)):
                self.lost += 1

    def size(self) -> int:
        """Bytes in the file now, which is where the next event will stand or one byte before it."""
        return os.fstat(self._descriptor).st_size

    def close(self) -> None:
        """Close the file; further events are lost."""
        with self._guard:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1

    def _loss(self) -> Event:
        message = _("{count} events could not be written").format(count=self.lost)
        return {"code": "events.lost", "message": message, "remedy": _("Make room on the disk."), "count": self.lost}

    def _write(self, line: bytes) -> bool:
        """One line in one call. A line that the disk took only in part is closed before the next one."""
        data = b"\n" + line if self._torn else line
        try:
            written = os.write(self._descriptor, data)
        except OSError:
            return False
        self._torn = 0 < written < len(data) or (self._torn and written == 0)
        return written == len(data)


class LineReader:
    """Reads whole lines of a growing file in blocks. Never raises for what the file is or holds.

    Attributes:
        bad_lines: lines passed over so far, because they were too long or (by a subclass) could not be parsed.
        restarted: the last read found another file, or a shorter one, and began at its start.
        offset: bytes of the file that have been read.
        at_end: the last read reached what was then the end of the file.
    """

    def __init__(self, path: Path, *, start: int = 0) -> None:
        self.path = path
        self.bad_lines = 0
        self.restarted = False
        self.offset = start
        self.at_end = False
        self._tail = b""
        self._skipping = False
        self._identity: tuple[int, int] | None = None

    def block(self, max_bytes: int = CHUNK) -> bytes:
        """The next lines, each with its end, from at most ``max_bytes`` more of the file; empty if there are none."""
        self.restarted = False
        try:
            with open_file(self.path) as file:
                size = self._recognise(file.fileno())
                file.seek(self.offset)
                data = file.read(max_bytes)
        except OSError:
            self.at_end = True
            return b""
        self.offset += len(data)
        self.at_end = self.offset >= size or not data
        return self._whole_lines(self._tail + data if self._tail else data)

    def _recognise(self, descriptor: int) -> int:
        """Notice a replaced or shortened file and go back to its start; return its size."""
        status = os.fstat(descriptor)
        identity = (status.st_dev, status.st_ino)
        if self._identity not in (None, identity) or status.st_size < self.offset:
            self.restarted = True
            self.offset, self._tail, self._skipping = 0, b"", False
        self._identity = identity
        return status.st_size

    def _whole_lines(self, data: bytes) -> bytes:
        """Cut off the unfinished last line and keep it for later; drop lines longer than :data:`MAX_LINE`."""
        end = data.rfind(b"\n") + 1
        self._tail = data[end:]
        begin = 0
        if self._skipping and end:
            begin = data.find(b"\n") + 1
            self._skipping = False
        if len(self._tail) > MAX_LINE:
            self._tail = b""
            self.bad_lines += 0 if self._skipping else 1
            self._skipping = True
        return data[begin:end]


class EventReader(LineReader):
    """Reads events as they come; what is no event is counted in ``bad_lines``."""

    def poll(self, max_bytes: int = CHUNK) -> list[Event]:
        """The next events, from at most ``max_bytes`` of the file; an empty list when there are none yet."""
        events, bad = parse_lines(self.block(max_bytes))
        self.bad_lines += bad
        return events


def parse_lines(block: bytes) -> tuple[list[Event], int]:
    """The events of whole lines, and how many lines were none. Empty lines and blocks of zeros do not count."""
    lines = [line for line in block.split(b"\n") if line]
    together = _parse_together(lines)
    if together is not None:
        return together, 0
    events, bad = [], 0
    for line in lines:
        event = parse_line(line)
        if event is not None:
            events.append(event)
        elif line.strip(b"\0\r\t "):
            bad += 1
    return events, bad


def tail_events(path: Path, max_bytes: int = 1 << 16, *, start: int = 0) -> list[Event]:
    """The last events of a file, from its last ``max_bytes`` but not from before byte ``start``; oldest first."""
    try:
        with open_file(path) as file:
            size = file.seek(0, os.SEEK_END)
            begin = max(size - max_bytes, start, 0)
            file.seek(max(begin - 1, 0))
            data = file.read(size - begin + 1)
    except OSError:
        return []
    if begin > 0:  # what precedes the first line end belongs to a line that began before
        data = data[data.find(b"\n") + 1 :] if b"\n" in data else b""
    return parse_lines(data)[0]


def parse_line(line: bytes) -> Event | None:
    """One line as an event, or none when it is no JSON object (torn, foreign, too deep, too long)."""
    if len(line) > MAX_LINE:
        return None
    try:
        value = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _parse_together(lines: list[bytes]) -> list[Event] | None:
    """All lines in one call of the parser, twice as fast as one by one; none when any of them is bad."""
    if not lines:
        return []
    try:
        values = json.loads((b"[" + b",".join(lines) + b"]").decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    if len(values) != len(lines) or set(map(type, values)) != {dict}:
        return None
    return values  # type: ignore[no-any-return]


def as_number(value: Any) -> float | None:
    """A measured value of an event as a float: numbers and the texts ``nan``, ``inf``, ``-inf``; else none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)) or value in ("nan", "inf", "-inf"):
        try:
            return float(value)
        except OverflowError:
            return None
    return None


def as_count(value: Any, most: int = 1 << 53) -> int:
    """A whole number from 0 to ``most``; 0 for anything that is none."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most else 0


def as_time(value: Any) -> float | None:
    """A moment in unix seconds, within the years that calendars know; none for anything that is none."""
    number = as_number(value)
    return number if number is not None and 0 < number < LAST_MOMENT else None


def _ends_torn(path: Path) -> bool:
    """Whether an earlier life of the run left a last line without its end."""
    with open_file(path) as file:
        size = file.seek(0, os.SEEK_END)
        if size == 0:
            return False
        file.seek(size - 1)
        return file.read(1) != b"\n"


def _encode(kind: str, fields: Event) -> bytes:
    event = {"t": round(time.time(), 3), "kind": kind, **{name: _tidy(value) for name, value in fields.items()}}
    return json.dumps(event, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"


def _tidy(value: Any) -> Any:
    """``value`` as JSON can say it: floats in 12 digits, which are read four times faster than 17; scalars of numpy
    and torch as numbers; paths and everything else as text."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        if math.isfinite(value):
            return float(f"{value:.12g}")
        return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")
    if isinstance(value, dict):
        return {str(key): _tidy(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_tidy(item) for item in value]
    item = getattr(value, "item", None)
    return _tidy(item()) if callable(item) else str(value)
