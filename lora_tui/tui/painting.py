"""What goes to the terminal: only what it does not show already, with as few codes as tell it.

Textual sends whole rows of whole widgets when one of them changed, and every piece of text with all its colours.
Over a slow line that is most of what is seen to lag. Here every piece of a frame is compared with what was painted at
its place before, and colours are named where they change.

Frames may be left out (:meth:`LoraTuiApp._display` does while the terminal is behind): what counts as painted is
what was written, so that the next frame paints what is missing.

Cells that show pixels (see ``graphics``) are known by their style. A picture that the terminal keeps is sent before its
first cell; one that it draws over blanks is sent once all of these are there, and again when one was painted anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from rich.color import ColorSystem
from rich.console import COLOR_SYSTEMS, Console
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.strip import Strip

from lora_tui.tui.graphics import Pixels, pixels_of

SHORT = 6
"""Characters that cost about as much as moving the cursor does."""

Piece = tuple[int, int, Strip]
"""Line and column of its first cell, from 0, and what stands there."""

PIXELS = "pixels"
"""Where the style of a cell says of which picture it shows a part, and which row of it."""

KEPT_PICTURES = 48
"""Pictures that a terminal is asked to keep: coming back to one of them costs its cells alone."""


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
        self._sent: dict[int, str] = {}
        self._perhaps: dict[int, str] = {}

    def forget(self) -> None:
        """Nothing is known: the terminal was resized, cleared, or somebody else wrote to it."""
        self._lines.clear()
        self._perhaps |= self._sent
        self._sent.clear()

    def farewell(self) -> str:
        """What to write so that the terminal keeps no picture."""
        gone = "".join((self._perhaps | self._sent).values())
        self._sent, self._perhaps = {}, {}
        return gone

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
                for offset, segments in _changed(known, strip):
                    pen.draw(y, x + offset, segments)
            else:
                for other in [at for at, old in line.items() if at < x + width and at + old.cell_length > x]:
                    del line[other]
                pen.draw(y, x, list(strip))
            line[x] = strip
        return self._pictures_before(pen) + pen.end() + self._pictures_after(pen)

    def _pictures_before(self, pen: _Pen) -> str:
        """What makes the terminal know the pictures whose cells were drawn, and forget those seen longest ago."""
        written = []
        for number in pen.pictures:
            pixels = pixels_of(number)
            if pixels is None or not pixels.gone:
                continue
            if number not in self._sent:
                written.append(pixels.data)
            self._sent.pop(number, None)
            self._sent[number] = pixels.gone  # the newest is the last
        if len(self._sent) > KEPT_PICTURES:
            seen = {place.number for place in self._places()}
            for number in [number for number in self._sent if number not in seen][: len(self._sent) - KEPT_PICTURES]:
                written.append(self._sent.pop(number))
        return "".join(written)

    def _pictures_after(self, pen: _Pen) -> str:
        """The pictures that lie on cells which were drawn, where all of their cells are seen."""
        drawn = {number for number in pen.pictures if (pixels := pixels_of(number)) and not pixels.gone}
        if not drawn:
            return ""
        rows: Counter[tuple[int, int, int]] = Counter()
        for place in self._places():
            pixels = pixels_of(place.number) if place.number in drawn else None
            if pixels is not None and place.width == pixels.columns:
                rows[place.number, place.y - place.row, place.x] += 1
        written = []
        for (number, y, x), seen in rows.items():
            pixels = pixels_of(number)
            if pixels is not None and seen == len(pixels.rows):
                written.append(f"\x1b[{y + 1};{x + 1}H{pixels.data}")
        return "".join(written)

    def _places(self) -> Iterator[_Place]:
        """Where rows of pictures are on the screen: pieces of them where something covers the rest."""
        for y, line in self._lines.items():
            for at, strip in line.items():
                x = at
                last: _Place | None = None
                for segment in strip:
                    found = picture_in(segment.style) if segment.style is not None else None
                    width = segment.cell_length
                    if found is not None and last is not None and (last.number, last.row) == found[:2]:
                        last = last._replace(width=last.width + width)
                    else:
                        if last is not None:
                            yield last
                        last = _Place(found[0], found[1], y, x, width) if found is not None else None
                    x += width
                if last is not None:
                    yield last


class _Place(NamedTuple):
    """Cells in a line that show part of a row of a picture."""

    number: int
    row: int
    y: int
    x: int
    width: int


def picture_style(pixels: Pixels, row: int, ground: Style) -> Style:
    """The style of the cells of a row of a picture."""
    return ground + Style(meta={PIXELS: (pixels.number, row, pixels.front)})


@lru_cache(4096)
def picture_in(style: Style) -> tuple[int, int, str] | None:
    """The number of the picture that cells of this style show, its row, and the colour that names it."""
    found: tuple[int, int, str] | None = style.meta.get(PIXELS)
    return found


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


def _changed(old: Strip, new: Strip) -> Iterator[tuple[int, list[Segment]]]:
    """Where the new one of two rows of the same width differs: offsets in cells, and what stands there.

    A short stretch between two that differ is written, too, when it needs no code of its own: that is less than a
    word to the cursor.
    """
    before, offset = {}, 0
    for segment in old:
        before[offset] = segment
        offset += segment.cell_length
    start, offset = 0, 0
    changed: list[Segment] = []
    same: list[Segment] = []
    for segment in new:
        if before.get(offset) == segment:
            same.append(segment)
        else:
            if changed and _is_bridge(changed[-1], same):
                changed += same
            elif changed:
                yield start, changed
                changed = []
            if not changed:
                start = offset
            changed.append(segment)
            same = []
        offset += segment.cell_length
    if changed:
        yield start, changed


def _is_bridge(last: Segment, same: Sequence[Segment]) -> bool:
    """Whether what is the same is written sooner than the cursor is moved behind it."""
    return not same or (len(same) == 1 and same[0].style == last.style and len(same[0].text) <= SHORT)


class _Pen:
    """Writes pieces of text at their places, naming a look only where it changes."""

    def __init__(self, colours: ColorSystem) -> None:
        self._colours = colours
        self._now = PLAIN
        self._written: list[str] = []
        self.pictures: dict[int, None] = {}

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
            if style is not None and (shown := picture_in(style)) is not None:
                self.pictures[shown[0]] = None
                look = look._replace(front=shown[2] or look.front)
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
