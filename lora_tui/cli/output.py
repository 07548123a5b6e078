"""What commands print: one JSON document or lines for a person, and progress on stderr."""

from __future__ import annotations

import contextlib
import json
import os
import re
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


_OBEYED = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Characters that JSON allows within a text and terminals obey; they are written by their numbers."""


class OutputError(OSError):
    """Standard output takes nothing more: its disk is full, or it was closed. A reader that left is no such error."""


def hold_streams() -> None:
    """Give back to standard input, output and error their numbers where the caller closed them.

    Else the next file that is opened gets the number, and what a library or a child prints lands in it. What is
    written to a standard output that was closed fails; what is written to standard error is lost, as was asked for.
    """
    for number, flags in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, flags)  # gets the lowest free number, which is this one
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - as long as the program lives
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115


def let_go(stream: TextIO) -> None:
    """Nothing can be written to ``stream`` any more; keep the interpreter from trying again when it exits."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def finish() -> None:
    """Write out what standard output still holds back.

    Raises:
        OutputError, BrokenPipeError: it takes nothing more.
    """
    _write(sys.stdout, "")


def print_json(value: Any) -> None:
    """The one JSON document of a command, on stdout, valid UTF-8 in every locale.

    Paths become text, NaN and infinities become null. A name that is no Unicode stands as Python reads it: each byte
    that does not fit is a lone surrogate, escaped as ``\\udcXX`` (PEP 383), so that ``os.fsencode`` of the loaded
    text gives the bytes back.
    """
    plain_value = _jsonable(value)
    text = json.dumps(plain_value, ensure_ascii=False, indent=1, allow_nan=False)
    encoding = (sys.stdout.encoding or "ascii").lower().replace("-", "")
    if encoding != "utf8" or any("\ud800" <= character <= "\udfff" for character in text):
        text = json.dumps(plain_value, indent=1, allow_nan=False)
    _write(sys.stdout, _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n")


def say(text: str = "") -> None:
    """A line of result on stdout, or several; what a terminal would obey in it is shown instead."""
    _write(sys.stdout, plain(text, newlines=True) + "\n")


def note(text: str) -> None:
    """A line of progress or advice on stderr, which ``--json`` leaves untouched; shown as :func:`say` does."""
    _write(sys.stderr, plain(text, newlines=True) + "\n")


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
        guess: bool = True,
    ) -> None:
        """Show how far it is. ``eta`` in seconds overrides the ``guess`` from the time since this was made."""
        self.label = self.label if label is None else label
        if total is not None:
            self.total = total
        now = time.monotonic()
        if self._quiet or now - self._shown_at < (0.1 if self._terminal else PLAIN_EVERY):
            return
        self._shown_at = now
        if guess and eta is None and done > 0 and self.total > done:
            eta = (now - self._begun) / done * (self.total - done)
        self.show(progress_text(self.label, done, self.total, detail, eta, bar=24 if self._terminal else 0))

    def show(self, text: str) -> None:
        """Show a line of one's own making in place of the bar."""
        text = plain(text)
        if self._quiet or text == self._shown:
            return
        if self._terminal:
            room = shutil.get_terminal_size().columns - 1
            _write(self._stream, "\r\x1b[K" + clip(text, room))
        else:
            _write(self._stream, text + "\n")
        self._shown = text

    def line(self, text: str) -> None:
        """A lasting line above the one that changes."""
        if self._quiet:
            return
        text = plain(text)
        if self._terminal:
            _write(self._stream, "\r\x1b[K" + text + "\n")
            _write(self._stream, self._shown)
        else:
            _write(self._stream, text + "\n")

    def signal(self, escape: str) -> None:
        """Write a bell or an escape that moves nothing, where there is a terminal to hear it."""
        if self._terminal and escape:
            _write(self._stream, escape)

    def finish(self) -> None:
        """Leave the last line standing and go to the next."""
        if self._terminal and self._shown:
            _write(self._stream, "\n")
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


def _write(stream: TextIO, text: str) -> None:
    """Write and flush. A standard error that takes nothing more fails no command: there is nobody to tell."""
    try:
        if text:  # an unbuffered stream would try to write nothing, and fail
            try:
                stream.write(text)
            except UnicodeEncodeError:
                encoding = stream.encoding or "ascii"
                stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except (OSError, ValueError) as error:
        if stream is sys.stderr:
            let_go(stream)
        elif isinstance(error, BrokenPipeError):
            raise
        else:
            reason = error.strerror if isinstance(error, OSError) else ""
            raise OutputError(reason or str(error)) from error


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
