"""The two lines at the bottom of every screen: what is so (status), and the keys that work here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.segment import Segment
from textual import events
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from lora_tui.tui.cells import TONES, fit
from lora_tui.tui.marks import marks_of


@dataclass(frozen=True)
class KeyHint:
    """One entry of the line of keys: the action, its key and words as shown, and whether it can be done now."""

    action: str
    key: str
    title: str
    possible: bool = True
    kept: bool = False

    @property
    def width(self) -> int:
        """Cells of key, space and words."""
        return cell_len(self.key) + 1 + cell_len(self.title)


class Status(Widget):
    """One line. What is being read covers what is so, and what was just done both until :meth:`forget`."""

    COMPONENT_CLASSES = {f"tone--{tone}" for tone in TONES}
    DEFAULT_CSS = "Status { height: 1; }"

    def __init__(self) -> None:
        super().__init__()
        self._lasting = ""
        self._reading = ""
        self._passing = ""
        self._tone = ""
        self._right = ""
        self._reading_right = ""

    @property
    def text(self) -> str:
        """What the line says now."""
        return self._passing or self._reading or self._lasting

    def show(self, text: str, right: str = "") -> None:
        """Say what is so: scope, filter, counts; ``right`` stands at the end of the line."""
        if (text, right) != (self._lasting, self._right):
            self._lasting, self._right = text, right
            self.refresh()

    def read(self, text: str, right: str = "") -> None:
        """Say what is being read, over what is so; nothing once it is there."""
        if (text, right) != (self._reading, self._reading_right):
            self._reading, self._reading_right = text, right
            self.refresh()

    def tell(self, text: str, tone: str = "") -> None:
        """Say what just happened, over what is so."""
        self._passing, self._tone = text, tone
        self.refresh()

    def forget(self) -> None:
        """Show again what is so."""
        if self._passing:
            self._passing = ""
            self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        base = self.rich_style
        muted = base + self.get_component_rich_style("tone--muted", partial=True)
        style = muted
        if self._passing:
            style = base + self.get_component_rich_style(f"tone--{self._tone}", partial=True) if self._tone else base
        right = "" if self._passing else self._reading_right if self._reading else self._right
        room = width - (cell_len(right) + 2 if right else 0)
        ellipsis = marks_of(self.app).ellipsis
        segments = [Segment(fit(self.text, room, cut="late", ellipsis=ellipsis), style)]
        if right:
            segments += [Segment("  ", base), Segment(right, muted)]
        return Strip(segments).adjust_cell_length(width, base)


class Keys(Widget):
    """One line of keys in the order of use.

    Where they do not fit, those give way that can do nothing now, then the last ones; the ``kept`` ones stay longest.
    """

    COMPONENT_CLASSES = {"keys--key", "keys--title", "keys--off"}
    DEFAULT_CSS = "Keys { height: 1; }"

    class Pressed(Message):
        """A hint was clicked."""

        def __init__(self, action: str) -> None:
            super().__init__()
            self.action = action

    def __init__(self) -> None:
        super().__init__()
        self._hints: tuple[KeyHint, ...] = ()

    @property
    def hints(self) -> tuple[KeyHint, ...]:
        """Every hint, also those that the width leaves out."""
        return self._hints

    def show(self, hints: Sequence[KeyHint]) -> None:
        """Show other keys; repaints only when they differ."""
        if tuple(hints) != self._hints:
            self._hints = tuple(hints)
            self.refresh()

    def fitting(self, width: int) -> list[KeyHint]:
        """The hints that ``width`` cells hold."""
        chosen = list(self._hints)
        while chosen and _width(chosen, gap=1) > width:
            idle = [hint for hint in chosen if not hint.possible]
            droppable = idle or [hint for hint in chosen if not hint.kept] or chosen
            chosen.remove(droppable[-1])
        return chosen

    def gap(self, width: int) -> int:
        """Blanks between hints: two where there is room for all that are shown, else one."""
        return 2 if _width(self.fitting(width), gap=2) <= width else 1

    def render_line(self, y: int) -> Strip:
        base = self.rich_style
        key = base + self.get_component_rich_style("keys--key", partial=True)
        title = base + self.get_component_rich_style("keys--title", partial=True)
        off = base + self.get_component_rich_style("keys--off", partial=True)
        segments: list[Segment] = []
        between = " " * self.gap(self.size.width)
        for hint in self.fitting(self.size.width):
            if segments:
                segments.append(Segment(between, base))
            segments.append(Segment(hint.key, key if hint.possible else off))
            segments.append(Segment(" " + hint.title, title if hint.possible else off))
        return Strip(segments).adjust_cell_length(self.size.width, base)

    def on_click(self, event: events.Click) -> None:
        left, gap = 0, self.gap(self.size.width)
        for hint in self.fitting(self.size.width):
            if left <= event.x < left + hint.width:
                self.post_message(self.Pressed(hint.action))
                return
            left += hint.width + gap


def _width(hints: Sequence[KeyHint], *, gap: int) -> int:
    return sum(hint.width + gap for hint in hints) - gap
