"""What goes to the terminal: only what it does not show already, with as few codes as tell it.

Textual sends whole rows of whole widgets when one of them changed, and every piece of text with all its colours.
Over a slow line that is most of what is seen to lag. Here every piece of a frame is compared with what was painted at
its place before, and colours are named where they change.

Frames may be left out (:meth:`LoraTuiApp._display` does while the terminal is behind): what counts as painted is
what was written, so that the next frame paints what is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from rich.color import ColorSystem
from rich.console import COLOR_SYSTEMS, Console
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.strip import Strip

Piece = tuple[int, int, Strip]
"""Line and column of its first cell, from 0, and what stands there."""


class Look(NamedTuple):
    """How text is drawn, as the parameters of an SGR sequence (ECMA-48, 8.3.117)."""

    weight: str = ""
    lines: str = ""
    front: str = "39"
    back: str = "49"


PLAIN = Look()

_WEIGHTS = (("1", "bold"), ("2", "dim"), ("3", "italic"), ("5", "blink"), ("6", "blink2"))
_LINES = (
    *(("4", "underline"), ("7", "reverse"), ("8", "conceal"), ("9", "strike"), ("21", "underline2")),
    *(("51", "frame"), ("52", "encircle"), ("53", "overline")),
)
"""Attributes that are not seen on blanks, and those that are."""


class Painting:
    """What the terminal shows now, as far as it is known."""

    def __init__(self) -> None:
        self._lines: dict[int, dict[int, Strip]] = {}

    def forget(self) -> None:
        """Nothing is known: the terminal was resized, cleared, or somebody else wrote to it."""
        self._lines.clear()

    def sequence(self, update: CompositorUpdate, console: Console) -> str:
        """What to write so that the terminal shows the update; from now on it counts as shown."""
        pieces = _pieces(update)
        if pieces is None:
            self.forget()
            return update.render_segments(console)
        pen = _Pen(COLOR_SYSTEMS.get(console.color_system or "", ColorSystem.TRUECOLOR))
        for y, x, strip in pieces:
            line = self._lines.setdefault(y, {})
            known = line.get(x)
            if known is strip:
                continue
            width = strip.cell_length
            if known is not None and known.cell_length == width:
                offset, segments = _changed(known, strip)
                if segments:
                    pen.draw(y, x + offset, segments)
            else:
                for other in [at for at, old in line.items() if at < x + width and at + old.cell_length > x]:
                    del line[other]
                pen.draw(y, x, list(strip))
            line[x] = strip
        return pen.end()


class Reduced(CompositorUpdate):
    """An update that is reduced when it is written, so that one that never is counts as nothing.

    ``size`` is what was written then, in characters.
    """

    def __init__(self, painting: Painting, update: CompositorUpdate) -> None:
        self._painting, self._update = painting, update
        self.size = 0

    def render_segments(self, console: Console) -> str:
        """The sequence to write."""
        text = self._painting.sequence(self._update, console)
        self.size = len(text)
        return text


class Pace:
    """Keeps what is written below a rate: after much of it, nothing for a while. Frames wait meanwhile, and are one.

    A link's own buffers take megabytes before they make a program wait, and all of that is seen before the next key.
    """

    def __init__(self, rate: float, ahead: float = 0.3) -> None:
        """``rate`` in characters a second, 0 for none; ``ahead``: seconds of it that may be written at once."""
        self._rate, self._ahead = rate, ahead
        self._paid = 0.0

    def written(self, size: int, now: float) -> None:
        """So many characters were written at the moment ``now`` (seconds of any clock)."""
        if self._rate:
            self._paid = max(self._paid, now) + size / self._rate

    def wait(self, now: float) -> float:
        """Seconds until more may be written, 0 for at once."""
        return max(self._paid - self._ahead - now, 0.0)


def _pieces(update: CompositorUpdate) -> Iterator[Piece] | None:
    """The pieces of an update, none for a kind of update that is not known."""
    if isinstance(update, LayoutUpdate):
        return _of_layout(update)
    return _of_chops(update) if isinstance(update, ChopsUpdate) else None


def _of_layout(update: LayoutUpdate) -> Iterator[Piece]:
    for y, line in enumerate(update.strips, update.region.y):
        x = update.region.x
        for strip in line:
            yield y, x, strip
            x += strip.cell_length


def _of_chops(update: ChopsUpdate) -> Iterator[Piece]:
    for y, first, last in update.spans:
        for end, (x, strip) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
            if strip is None or x > last or end <= first:
                continue
            yield y, x, strip if end <= last else strip.crop(0, last - x)


def _changed(old: Strip, new: Strip) -> tuple[int, list[Segment]]:
    """Where two rows of the same width begin to differ, in cells, and what stands there in the new one."""
    before, after = list(old), list(new)
    first, offset = 0, 0
    while first < len(before) and first < len(after) and before[first] == after[first]:
        offset += after[first].cell_length
        first += 1
    last = len(after)
    shift = len(before) - last
    while last > first and last + shift > first and before[last + shift - 1] == after[last - 1]:
        last -= 1
    return offset, after[first:last]


class _Pen:
    """Writes pieces of text at their places, naming a look only where it changes."""

    def __init__(self, colours: ColorSystem) -> None:
        self._colours = colours
        self._now = PLAIN
        self._written: list[str] = []

    def draw(self, y: int, x: int, segments: Sequence[Segment]) -> None:
        """Write the segments from this cell on."""
        self._written.append(f"\x1b[{y + 1};{x + 1}H")
        for text, style, control in segments:
            if control or not text:
                continue
            link = style.link if style is not None else None
            if link is not None and style is not None:  # a hyperlink has a beginning and an end of its own
                self._change(PLAIN)
                self._written.append(style.render(text, color_system=self._colours))
                continue
            look = _look(style, self._colours) if style is not None else PLAIN
            if text.isspace() and not look.lines:
                now = self._now
                look = Look("" if now.lines else now.weight, "", PLAIN.front if now.lines else now.front, look.back)
            self._change(look)
            self._written.append(text)

    def end(self) -> str:
        """All that was drawn, the terminal's look as it was before."""
        self._change(PLAIN)
        return "".join(self._written)

    def _change(self, look: Look) -> None:
        now = self._now
        if look == now:
            return
        if look == PLAIN:
            codes: list[str] = [""]
        elif (look.weight, look.lines) == (now.weight, now.lines):
            codes = [code for code, old in ((look.front, now.front), (look.back, now.back)) if code != old]
        else:
            fresh = ((look.weight, ""), (look.lines, ""), (look.front, PLAIN.front), (look.back, PLAIN.back))
            codes = ["0", *(code for code, plain in fresh if code != plain)]
        self._written.append(f"\x1b[{';'.join(codes)}m")
        self._now = look


@lru_cache(4096)
def _look(style: Style, colours: ColorSystem) -> Look:
    front, back = style.color, style.bgcolor
    return Look(
        _attributes(style, _WEIGHTS),
        _attributes(style, _LINES),
        ";".join(front.downgrade(colours).get_ansi_codes()) if front is not None else PLAIN.front,
        ";".join(back.downgrade(colours).get_ansi_codes(foreground=False)) if back is not None else PLAIN.back,
    )


def _attributes(style: Style, names: Iterable[tuple[str, str]]) -> str:
    return ";".join(code for code, name in names if getattr(style, name))
