"""Pictures as pixels: by Kitty's graphics protocol or as Sixels, in terminals that are known to draw them.

The terminal is never asked, for over SSH and in tmux its answer comes late or to someone else: the setting decides, or
what the environment says. Where neither gives a protocol, pictures are half cells. The parts that speak the protocols
come from textual-image, which is an extra, and is imported only when a protocol is to be used.

A Kitty picture is sent once and then shown by cells of text that name it, so that it is covered, moved and wiped away
like text. A Sixel picture lies on blank cells and is sent again when one of them was painted (see ``painting``).
"""

from __future__ import annotations

import base64
import fcntl
import io
import itertools
import os
import random
import struct
import sys
import termios
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from lora_tui.drawing.terminals import Protocol, hinted_protocol
from lora_tui.text import _, plain

if TYPE_CHECKING:
    from PIL import Image

CELL = (10, 20)
"""Width and height of a cell, px, where the terminal does not tell: as on a VT340. Kitty scales pictures itself."""

MOST_BYTES = 256_000
"""What one picture may take on its way to the terminal: about twice what half cells take for half a screen."""

SLOW_BYTES = 32_000
"""The same with the setting for a slow link."""

BYTES_A_CELL = 200
"""What a cell of a small picture may take: five times a half cell; on a slow link less than one."""

MOST_CELLS = 255
"""Columns and rows of a Kitty picture: a cell names its place by a table of that many marks and a few more."""

PIXELS_A_BYTE = 3
"""Of a Kitty picture, before it is written: a photograph of 256 colours takes more than a third of a byte for each."""

SIXEL_COLOURS = ((256, 0.2), (64, 0.12), (16, 0.03))
"""Numbers of colours, most first, and the bytes for each pixel of a photograph: where that is too much, the next."""

_CHUNK = 4096
"""Characters of one command of Kitty's protocol."""

_LEAST_SIDE = 48
"""Pixels of a side below which a picture is not shrunk further to save bytes."""

_numbers = itertools.count(random.randrange(1, 1 << 15))


@dataclass(eq=False, slots=True, weakref_slot=True)
class Pixels:
    """A picture that is ready to be sent.

    Attributes:
        number: what the terminal calls it (Kitty), and what painting does.
        data: the escape sequences.
        columns: cells in each of its rows.
        rows: the text of its cells, row by row, one text a cell; blanks of a Sixel picture.
        gone: what makes the terminal forget it, where it keeps it (Kitty) instead of drawing it where the cursor is.
    """

    number: int
    data: str
    columns: int
    rows: tuple[tuple[str, ...], ...]
    gone: str = ""

    @property
    def front(self) -> str:
        """The colour that names it (Kitty), as parameters of SGR; one of 256, which all such terminals pass on."""
        return f"38;5;{self.number & 255}" if self.gone else ""


_ready: weakref.WeakValueDictionary[int, Pixels] = weakref.WeakValueDictionary()


def pixels_of(number: int) -> Pixels | None:
    """A picture by its number, none once nobody wants to show it any more."""
    return _ready.get(number)


@dataclass(frozen=True)
class Graphics:
    """How this terminal draws pixels.

    Attributes:
        cell: width and height of a cell, px.
        through_tmux: whether commands are wrapped so that tmux passes them on.
        most_bytes: what one picture may take.
        problem: why a protocol that was asked for is not used; empty when there is nothing to say.
    """

    protocol: Protocol = ""
    cell: tuple[int, int] = CELL
    through_tmux: bool = False
    most_bytes: int = MOST_BYTES
    problem: str = ""

    def budget(self, columns: int, rows: int) -> int:
        """Bytes that a picture of so many cells may take."""
        return min(self.most_bytes, 4_000 + BYTES_A_CELL * columns * rows * self.most_bytes // MOST_BYTES)

    def encode(self, image: Image.Image, columns: int, rows: int) -> Pixels | None:
        """An RGB image in ``columns`` x ``rows`` cells; none when it cannot be made small enough."""
        if self.protocol == "kitty":
            number = _next_number()
            data = _kitty_data(self, image, number, columns, rows)
            forget = self.sent(f"a=d,d=I,i={number},q=2")
            made = Pixels(number, data, columns, _kitty_cells(number, columns, rows), forget)
        elif self.protocol == "sixel":
            found = _sixel_data(self, image, columns, rows)
            if found is None:
                return None
            made = Pixels(_next_number(), found, columns, ((" ",) * columns,) * rows)
        else:
            return None
        _ready[made.number] = made
        return made

    def sent(self, command: str) -> str:
        """A command of Kitty's protocol as it is written, so that tmux passes it on to the terminal around it."""
        plain_command = f"\x1b_G{command}\x1b\\"
        if not self.through_tmux:
            return plain_command
        return "\x1bPtmux;" + plain_command.replace("\x1b", "\x1b\x1b") + "\x1b\\"


NO_GRAPHICS = Graphics()
"""Half cells."""


def open_graphics(
    images: str,
    *,
    slow: bool = False,
    environment: Mapping[str, str] = os.environ,
    tmux_passes: Callable[[], bool] | None = None,
    cell: tuple[int, int] | None = None,
) -> Graphics:
    """The protocol that the setting ``images`` and the environment lead to.

    Args:
        slow: whether the link is slow.
        tmux_passes: says whether tmux passes on what it does not know; asks tmux itself by default.
        cell: size of a cell in px; by default as the terminal's driver tells.
    """
    if images not in ("auto", "kitty", "sixel"):
        return NO_GRAPHICS
    asked = images != "auto"
    size = cell if cell is not None else cell_size()
    wanted: Protocol = images if images in ("kitty", "sixel") else hinted_protocol(environment)  # type: ignore[assignment]
    if not wanted:
        return NO_GRAPHICS
    inside = environment.get("TMUX") or environment.get("STY")
    if inside and not asked:
        return NO_GRAPHICS  # what is around tmux is not known
    problem = _obstacle(wanted, environment, tmux_passes or _tmux_passes, size) or _load(wanted)
    if problem:
        return Graphics(problem=problem if asked else "")
    most = SLOW_BYTES if slow else MOST_BYTES
    return Graphics(wanted, size or CELL, through_tmux=bool(environment.get("TMUX")), most_bytes=most)


def cell_size() -> tuple[int, int] | None:
    """Width and height of a cell in px as the terminal's driver tells them; none when it does not."""
    with suppress(OSError, ValueError, AttributeError):
        answer = fcntl.ioctl(sys.__stdout__.fileno(), termios.TIOCGWINSZ, b"\0" * 8)  # type: ignore[union-attr]
        rows, columns, width, height = struct.unpack("HHHH", answer)
        if rows and columns and width >= columns and height >= rows:
            return width // columns, height // rows
    return None


def _obstacle(
    wanted: Protocol, environment: Mapping[str, str], tmux_passes: Callable[[], bool], cell: tuple[int, int] | None
) -> str:
    """Why pictures cannot be drawn by a protocol here; empty when they can."""
    if environment.get("TMUX"):
        if wanted == "sixel":
            return _("Sixel pictures do not keep their place in tmux; pictures are drawn as half cells.")
        if not tmux_passes():
            line = "set -g allow-passthrough on"
            text = _("tmux keeps pictures back; they are drawn as half cells. In ~/.tmux.conf: {line}")
            return text.format(line=line)
    elif environment.get("STY"):
        return _("GNU screen keeps pictures back; they are drawn as half cells.")
    if wanted == "sixel" and cell is None:
        return _("The terminal does not tell how large its cells are; pictures are drawn as half cells.")
    return ""


def _tmux_passes() -> bool:
    from lora_tui.doctor.terminal import ask_tmux

    return ask_tmux().allow_passthrough in ("on", "all")


def _load(wanted: Protocol) -> str:
    """Import what speaks the protocol; why it cannot be, empty when it can."""
    try:
        _kitty_marks() if wanted == "kitty" else _sixel_encoder()
    except ModuleNotFoundError:
        text = _("Pictures are drawn as half cells: {extra} is not installed.")
        return text.format(extra='pip install "lora-tui[graphics]"')
    except Exception as error:  # another version of a library that is young
        text = _("Pictures are drawn as half cells: textual-image cannot be used ({reason}).")
        return text.format(reason=plain(f"{type(error).__name__}: {error}", limit=100))
    return ""


@contextmanager
def _no_terminal() -> Iterator[None]:
    """No terminal to be seen: textual-image asks the terminal what it can while it is imported."""
    kept, sys.__stdout__ = sys.__stdout__, None  # type: ignore[misc]
    try:
        yield
    finally:
        sys.__stdout__ = kept  # type: ignore[misc]


@cache
def _kitty_marks() -> tuple[str, tuple[str, ...]]:
    """The character of a cell that shows part of a picture, and the marks that number its row and column."""
    with _no_terminal():
        from textual_image.renderable import tgp
    return chr(tgp._PLACEHOLDER), tuple(chr(code) for code in tgp._NUMBER_TO_DIACRITIC)


@cache
def _sixel_encoder() -> Callable[[Image.Image, int], str]:
    with _no_terminal():
        from textual_image._sixel import SixelOptions, image_to_sixels

    def encoded(image: Image.Image, colours: int) -> str:
        return str(image_to_sixels(image, SixelOptions(colors=colours)))

    return encoded


def _next_number() -> int:
    """A number whose lowest byte is no colour of the basic ones, with a highest byte of its own for each program."""
    high, low = divmod(next(_numbers), 240)
    return (1 + high % 255) << 24 | (16 + low)


def _kitty_cells(number: int, columns: int, rows: int) -> tuple[tuple[str, ...], ...]:
    cell, marks = _kitty_marks()
    last = marks[number >> 24]
    return tuple(tuple(cell + marks[row] + marks[column] + last for column in range(columns)) for row in range(rows))


def _kitty_data(how: Graphics, image: Image.Image, number: int, columns: int, rows: int) -> str:
    """The commands that send an image and say how many cells it takes.

    Source: the specification of Kitty's graphics protocol, "Unicode placeholders".
    """
    most = how.budget(columns, rows)
    width, height = columns * how.cell[0], rows * how.cell[1]
    scale = min((PIXELS_A_BYTE * most / (width * height)) ** 0.5, 1.0)  # Kitty enlarges it again
    fitted = _within(image, max(int(width * scale), 1), max(int(height * scale), 1))
    payload = base64.standard_b64encode(_png(fitted, most)).decode("ascii")
    head = f"a=T,U=1,q=2,f=100,i={number},c={columns},r={rows},"
    parts = []
    for start in range(0, len(payload), _CHUNK):
        more = int(start + _CHUNK < len(payload))
        parts.append(how.sent(f"{head}m={more};{payload[start : start + _CHUNK]}"))
        head = "q=2,"
    return "".join(parts)


def _png(image: Image.Image, most: int) -> bytes:
    """The image as PNG of at most ``most`` bytes of base64: with fewer colours, then smaller, until it fits."""
    most = most * 3 // 4
    data = _saved(image)
    while len(data) > most and max(image.size) > _LEAST_SIDE:
        data = _saved(image.quantize(256))
        if len(data) > most:
            scale = max((most / len(data)) ** 0.5 * 0.95, 0.3)
            image = image.resize((max(int(image.width * scale), 1), max(int(image.height * scale), 1)))
    return data


def _saved(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()


def _sixel_data(how: Graphics, image: Image.Image, columns: int, rows: int) -> str | None:
    """The image as Sixels no higher than its rows of cells; none when even few colours take too much."""
    encoded, most = _sixel_encoder(), how.budget(columns, rows)
    fitted = _within(image, columns * how.cell[0], rows * how.cell[1])
    height = max(fitted.height // 6 * 6, 6)  # a Sixel is six pixels high: none may reach into the row below
    if height > rows * how.cell[1]:
        return None
    fitted = fitted.crop((0, 0, fitted.width, height)) if height <= fitted.height else fitted
    area = fitted.width * fitted.height
    for colours, bytes_a_pixel in SIXEL_COLOURS:
        if area * bytes_a_pixel > most:
            continue
        data = encoded(fitted, colours)
        if len(data) <= most:
            return data
    return None


def _within(image: Image.Image, width: int, height: int) -> Any:
    """The image scaled into so many pixels, its shape kept."""
    scale = min(width / image.width, height / image.height)
    size = max(min(round(image.width * scale), width), 1), max(min(round(image.height * scale), height), 1)
    return image if size == image.size else image.resize(size, reducing_gap=2.0)
