"""Text in terminal cells: width, cutting and padding, with wide characters counted as two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from rich.cells import cell_len, set_cell_size

Align = Literal["left", "right"]
Cut = Literal["end", "middle", "late"]


class Cell(NamedTuple):
    """A piece of text and its tone: empty, ``muted``, ``accent``, ``running``, ``success``, ``warning``, ``error``,
    ``strong``, ``focus``."""

    text: str
    tone: str = ""


TONES = ("muted", "accent", "running", "success", "warning", "error", "strong", "focus")


def fit(text: str, width: int, *, align: Align = "left", cut: Cut = "end", ellipsis: str = "…") -> str:
    """``text`` in exactly ``width`` cells: cut with an ellipsis, or padded on the side away from ``align``.

    Right-aligned text is a number as a rule: one that does not fit shows its ellipsis in front.
    """
    if width <= 0:
        return ""
    length = cell_len(text)
    if length > width:
        text = _cut(text, width, align, cut, ellipsis)
        length = cell_len(text)
    padding = " " * (width - length)
    return padding + text if align == "right" else text + padding


def _cut(text: str, width: int, align: Align, cut: Cut, ellipsis: str) -> str:
    room = width - cell_len(ellipsis)
    if room <= 0:
        return set_cell_size(ellipsis, width)
    if align == "right":
        return ellipsis + tail(text, room)
    if cut != "end" and room >= 8:
        last = room // (2 if cut == "middle" else 3)
        return set_cell_size(text, room - last).rstrip() + ellipsis + tail(text, last)
    return _head(text, room) + ellipsis


def _head(text: str, width: int) -> str:
    used = 0
    for position, character in enumerate(text):
        used += cell_len(character)
        if used > width:
            return text[:position]
    return text


def tail(text: str, width: int) -> str:
    """The end of ``text`` in at most ``width`` cells."""
    used = 0
    for position in range(len(text) - 1, -1, -1):
        used += cell_len(text[position])
        if used > width:
            return text[position + 1 :]
    return text


def wrap(text: str, width: int, lines: int = 0, *, ellipsis: str = "…") -> list[str]:
    """``text`` broken at spaces into lines of at most ``width`` cells; long words are cut.

    Text without spaces (Chinese) breaks anywhere. With ``lines`` the last one ends in an ellipsis
    when more would follow.
    """
    width = max(width, 1)
    found: list[str] = []
    for paragraph in text.split("\n"):
        found.extend(_wrapped(paragraph, width))
    if lines and len(found) > lines:
        found = found[:lines]
        found[-1] = _head(found[-1], width - cell_len(ellipsis)).rstrip() + ellipsis
    return found


def flow(parts: Sequence[str], width: int, gap: str = "  ") -> list[str]:
    """Lines of at most ``width`` cells with as many whole parts each as fit; only a longer part is over it."""
    lines: list[str] = []
    for part in parts:
        if lines and cell_len(lines[-1]) + len(gap) + cell_len(part) <= width:
            lines[-1] += gap + part
        else:
            lines.append(part)
    return lines


def flow_cells(cells: Sequence[Cell], width: int) -> list[list[Cell]]:
    """Cells with a blank between them, in lines of at most ``width`` cells; one that is longer is broken at blanks."""
    lines: list[list[Cell]] = [[]]
    used = 0
    for text, tone in cells:
        for number, part in enumerate([text] if cell_len(text) <= width else wrap(text, width)):
            gap = 1 if used else 0
            if number or used + gap + cell_len(part) > width:
                lines.append([])
                used = gap = 0
            lines[-1] += [Cell(" ")] * gap + [Cell(part, tone)]
            used += gap + cell_len(part)
    return lines if lines != [[]] else []


_NEVER_FIRST = frozenset("，。、；：！？）》」』】”’…,;:!?)")
_NEVER_LAST = frozenset("（《「『【“‘")


def _wrapped(text: str, width: int) -> list[str]:
    lines: list[str] = []
    line = ""
    for word in _words(text):
        if cell_len(line) + cell_len(word.rstrip()) <= width:
            line += word
            continue
        if line.strip():
            lines.append(line.rstrip())
        line = word.lstrip()
        while cell_len(line.rstrip()) > width:
            head = _head(line, width) or line[0]
            lines.append(head)
            line = line[len(head) :]
    if line.strip() or not lines:
        lines.append(line.rstrip())
    return lines


def _words(text: str) -> list[str]:
    """Words with the spaces after them; a wide character is a word of its own.

    Marks that begin no line stay with what is before them, those that end none with what follows.
    """
    words: list[str] = []
    current = ""
    for character in text:
        if current and (character in _NEVER_FIRST or current[-1] in _NEVER_LAST):
            current += character
        elif cell_len(character) == 2 or (current and cell_len(current[-1]) == 2 and character != " "):
            if current:
                words.append(current)
            current = character
        elif current.endswith(" ") and character != " ":
            words.append(current)
            current = character
        else:
            current += character
    if current:
        words.append(current)
    return words
