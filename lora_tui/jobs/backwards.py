"""The event file from its end: newest events first, and no more of the file read than is asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from lora_tui.files import open_file
from lora_tui.jobs.events import MAX_LINE, Event, parse_line

FIRST, LARGEST = 1 << 13, 1 << 20
"""Bytes of the first block and of the largest: each is eight times the one before it."""

_KIND_WITHIN = 64
"""Our writer names the kind within this many bytes of a line's start."""


def newest_first(path: Path, passed_over: Sequence[str] = ()) -> Iterator[Event]:
    """The events of a file, newest first, read in growing blocks as they are asked for.

    Lines of the kinds in ``passed_over`` are skipped without parsing them, as far as their text shows the kind; a
    list may grow while events are taken, and the rest of the block in hand obeys it, too. A file that is missing has
    no events, nor has what is no file; what is no event is left out.
    """
    try:
        with open_file(path) as file:
            end, length, rest = file.seek(0, os.SEEK_END), FIRST, b""
            while end > 0:
                begin = max(end - length, 0)
                file.seek(begin)
                data = file.read(end - begin) + rest
                cut = data.find(b"\n") + 1 if begin else 0  # what precedes belongs to a line that began before
                if begin and not cut:
                    cut = len(data)
                rest = data[:cut] if cut <= MAX_LINE else b""
                yield from _parsed(data[cut:], passed_over)
                end, length = begin, min(length * 8, LARGEST)
    except OSError:
        return


def _parsed(block: bytes, passed_over: Sequence[str]) -> Iterator[Event]:
    known = 0
    signs: list[bytes] = []
    for line in reversed(block.split(b"\n")):
        if len(passed_over) != known:
            known, signs = len(passed_over), [f'"kind":"{kind}"'.encode() for kind in passed_over]
        if not line or any(sign in line[:_KIND_WITHIN] for sign in signs):
            continue
        event = parse_line(line)
        if event is not None:
            yield event
