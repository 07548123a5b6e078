"""How many steps and epochs a run has, wherever in its files that stands.

The trainer puts both into the record when it has made its plan. A record without them (the disk was full, another
program trained) leaves the ``run`` event, which may stand behind hours of caching: it is looked for from the start of
the event file on, and a process that looks again goes on from where it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from lora_tui.files import open_file
from lora_tui.jobs.events import CHUNK, MAX_LINE, Event, parse_line
from lora_tui.runs.folder import RunFolder

ENTRY = "totals"
"""Their place in the record: an object with ``total_steps`` and ``epochs``."""

_SIGN = b'"run"'
_FIRST = 1 << 13
_MOST_KNOWN = 4096


@dataclass(frozen=True)
class _Place:
    """Where the ``run`` event stands in a file, or from where on it has to be looked for while ``line`` is empty."""

    offset: int = 0
    line: bytes = b""


_known: dict[Path, _Place] = {}


def find_totals(run: RunFolder, record: Mapping[str, Any]) -> Event | None:
    """``total_steps`` and ``epochs`` as the record or the first ``run`` event says them; none before they are known."""
    noted = record.get(ENTRY)
    if isinstance(noted, dict):
        return noted
    path = run.events_path
    try:
        with open_file(path) as file:
            place = _search(file, _known.pop(path, _Place()))
    except OSError:
        return None
    if len(_known) >= _MOST_KNOWN:
        _known.clear()
    _known[path] = place
    return parse_line(place.line) if place.line else None


def _search(file: BinaryIO, known: _Place) -> _Place:
    """The place of the first ``run`` event from where an earlier search came to; from the start in another file."""
    file.seek(known.offset)
    if known.line and file.read(len(known.line)) == known.line:
        return known
    offset = known.offset if not known.line and file.seek(0, 2) >= known.offset else 0
    size, rest = _FIRST, b""
    file.seek(offset)
    while data := file.read(size):
        data = rest + data
        end = data.rfind(b"\n") + 1
        found = _in_lines(data[:end])
        if found is not None:
            return _Place(offset + found.offset, found.line)
        offset, rest, size = offset + end, data[end:], min(size * 8, CHUNK)
        if len(rest) > MAX_LINE:
            offset, rest = offset + len(rest), b""
    return _Place(offset)


def _in_lines(lines: bytes) -> _Place | None:
    at = lines.find(_SIGN)
    while at >= 0:
        begin, end = lines.rfind(b"\n", 0, at) + 1, lines.find(b"\n", at)
        event = parse_line(lines[begin:end])
        if event is not None and event.get("kind") == "run":
            return _Place(begin, lines[begin:end])
        at = lines.find(_SIGN, end)
    return None
