"""What commands print: one JSON document or lines for a person, and progress on stderr."""

from __future__ import annotations

import json
import shutil
import sys
import time
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TextIO

from lora_tui.text.formats import count, duration
from lora_tui.text.plain import plain
from lora_tui.text.translate import _

PLAIN_EVERY = 10.0
"""Seconds between progress lines where stderr is no terminal."""


def print_json(value: Any) -> None:
    """The one JSON document of a command, on stdout. Paths become text, NaN and infinities become null."""
    text = json.dumps(_jsonable(value), ensure_ascii=False, indent=1, allow_nan=False)
    try:
        sys.stdout.write(text + "\n")
    except UnicodeEncodeError:
        sys.stdout.write(json.dumps(_jsonable(value), indent=1, allow_nan=False) + "\n")
    sys.stdout.flush()


def say(text: str = "") -> None:
    """A line of result on stdout."""
    _write(sys.stdout, text)


def note(text: str) -> None:
    """A line of progress or advice on stderr, which ``--json`` leaves untouched."""
    _write(sys.stderr, text)


def table(rows: Iterable[Sequence[Any]], headings: Sequence[str], *, right: Iterable[int] = ()) -> str:
    """Rows as columns padded to the width that a terminal gives each text; columns in ``right`` end flush.

    Every cell passes :func:`lora_tui.text.plain`; trailing blanks are cut.
    """
    cells = [[plain(str(heading)) for heading in headings]]
    cells += [[plain(str(cell)) for cell in row] for row in rows]
    widths = [max(width(row[column]) for row in cells) for column in range(len(headings))]
    flush = set(right)
    lines = []
    for row in cells:
        parts = []
        for column, cell in enumerate(row):
            blank = " " * (widths[column] - width(cell))
            parts.append(blank + cell if column in flush else cell + blank)
        lines.append("  ".join(parts).rstrip())
    return "\n".join(lines)


def width(text: str) -> int:
    """Cells that ``text`` takes on a terminal: two for wide East Asian characters, none for combining marks."""
    if text.isascii():
        return len(text)
    cells = 0
    for char in text:
        if unicodedata.combining(char):
            continue
        cells += 2 if unicodedata.east_asian_width(char) in ("W", "F") else 1
    return cells


def clip(text: str, cells: int) -> str:
    """``text`` cut to at most ``cells`` cells."""
    if width(text) <= cells:
        return text
    kept = ""
    used = 0
    for char in text:
        used += width(char)
        if used > cells - 1:
            break
        kept += char
    return kept + "…"


class Progress:
    """Progress of long work on stderr: one line that changes on a terminal, a line now and then elsewhere.

    Use as a context manager; :meth:`update` may be called as often as you like.
    """

    def __init__(self, label: str, total: int = 0, *, stream: TextIO | None = None, quiet: bool = False) -> None:
        self.label = label
        self.total = total
        self._stream = stream or sys.stderr
        self._quiet = quiet
        self._terminal = not quiet and self._stream.isatty()
        self._begun = time.monotonic()
        self._shown_at = 0.0
        self._shown = ""

    def update(
        self,
        done: int,
        total: int | None = None,
        detail: str = "",
        eta: float | None = None,
        *,
        label: str | None = None,
    ) -> None:
        """Show how far it is. ``eta`` in seconds overrides the estimate from the time so far."""
        self.label = self.label if label is None else label
        if total is not None:
            self.total = total
        now = time.monotonic()
        if self._quiet or now - self._shown_at < (0.1 if self._terminal else PLAIN_EVERY):
            return
        self._shown_at = now
        if eta is None and done > 0 and self.total > done:
            eta = (now - self._begun) / done * (self.total - done)
        self.show(progress_text(self.label, done, self.total, detail, eta, bar=24 if self._terminal else 0))

    def show(self, text: str) -> None:
        """Show a line of one's own making in place of the bar."""
        if self._quiet or text == self._shown:
            return
        if self._terminal:
            room = shutil.get_terminal_size().columns - 1
            _write(self._stream, "\r\x1b[K" + clip(text, room), end="")
        else:
            _write(self._stream, text)
        self._shown = text

    def line(self, text: str) -> None:
        """A lasting line above the one that changes."""
        if self._quiet:
            return
        if self._terminal:
            _write(self._stream, "\r\x1b[K" + text)
            _write(self._stream, self._shown, end="")
        else:
            _write(self._stream, text)

    def finish(self) -> None:
        """Leave the last line standing and go to the next."""
        if self._terminal and self._shown:
            _write(self._stream, "")
        self._shown = ""

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_error: object) -> None:
        self.finish()


def progress_text(label: str, done: int, total: int, detail: str = "", eta: float | None = None, bar: int = 0) -> str:
    """One line: label, bar of ``bar`` cells, share, counts, detail and the time that is left."""
    parts = [label]
    if total > 0:
        share = min(max(done / total, 0.0), 1.0)
        if bar:
            filled = int(share * bar)
            parts.append("[" + "#" * filled + "." * (bar - filled) + "]")
        parts.append(f"{share:4.0%}")
        parts.append(_("{done} of {total}").format(done=count(done), total=count(total)))
    elif done:
        parts.append(count(done))
    if detail:
        parts.append(plain(detail))
    if eta is not None:
        parts.append(_("{time} left").format(time=duration(eta)))
    return "  ".join(part for part in parts if part)


def _write(stream: TextIO, text: str, end: str = "\n") -> None:
    try:
        stream.write(text + end)
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + end)
    stream.flush()


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_jsonable(item) for item in value]
    if isinstance(value, float):
        return value if value - value == 0 else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, Path):
        return str(value)
    return str(value)
