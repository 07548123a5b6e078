"""Weights in captions and prompts, as people write them for A1111's web interface and for sd-scripts.

``(a)`` weighs 1.1, ``[a]`` 1/1.1, ``(a:1.3)`` 1.3; brackets multiply when nested; a backslash makes a bracket plain.
A bracket that nothing closes weighs all that follows; a closing one without a partner is plain text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

ROUND, SQUARE = 1.1, 1 / 1.1
"""What ``(a)`` and ``[a]`` weigh."""
LIMIT = 10.0
"""No part weighs more, nor less than its negative: beyond, nothing but noise is left of the others."""

_PARTS = re.compile(r"\\[()\[\]\\]|\\|[(\[)\]]|:\s*([+-]?(?:\d+\.?\d*|\.\d+))\s*\)|[^\\()\[\]:]+|:")


class Piece(NamedTuple):
    """A stretch of text and what it weighs."""

    text: str
    weight: float


def weighted_pieces(text: str) -> list[Piece]:
    """The pieces of ``text`` in order, neighbours of one weight joined; one empty piece for an empty text."""
    pieces: list[list[str | float]] = []
    waiting: dict[str, list[int]] = {"(": [], "[": []}  # at which piece each open bracket began

    def weigh(first: int, factor: float) -> None:
        for piece in pieces[first:]:
            piece[1] = float(piece[1]) * factor

    for found in _PARTS.finditer(text):
        part = found[0]
        if part in waiting:
            waiting[part].append(len(pieces))
        elif found[1] is not None and waiting["("]:
            weigh(waiting["("].pop(), float(found[1]))
        elif part == ")" and waiting["("]:
            weigh(waiting["("].pop(), ROUND)
        elif part == "]" and waiting["["]:
            weigh(waiting["["].pop(), SQUARE)
        else:
            pieces.append([part[1:] if len(part) == 2 and part[0] == "\\" else part, 1.0])
    for opening, factor in (("(", ROUND), ("[", SQUARE)):
        for first in waiting[opening]:
            weigh(first, factor)
    return _joined(Piece(str(words), min(max(float(weight), -LIMIT), LIMIT)) for words, weight in pieces)


def _joined(pieces: Iterable[Piece]) -> list[Piece]:
    found: list[Piece] = []
    for piece in pieces:
        if found and found[-1].weight == piece.weight:
            found[-1] = Piece(found[-1].text + piece.text, piece.weight)
        else:
            found.append(piece)
    return found or [Piece("", 1.0)]
