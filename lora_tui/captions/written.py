"""A caption as it is written by hand in a field of several lines: what the field shows, and what comes of it.

A field knows line feeds and letters. Captions may hold more: line ends of several kinds, control characters, bytes
that are no text. Each of these has a stand-in in the field, a character for private use that the caption does not
have, so that what nobody typed over comes back as it was, down to the byte. Knows no widget and no file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher

from lora_tui.captions.document import CaptionDocument
from lora_tui.text import plain

_LINE_END = re.compile(r"\r\n|\r|\n")
_LAST_ENDS = re.compile(r"(?:\r\n|\r|\n)*\Z")
_PRIVATE = range(0xF0000, 0xFFFFE)
"""Characters that no standard gives a meaning: the supplementary private use area A."""


@dataclass(frozen=True)
class Written:
    """A caption in a field.

    Attributes:
        shown: what the field begins with: line feeds end lines, what ends the file is not shown.
        symbols: how each stand-in in ``shown`` is drawn, one cell wide.
    """

    shown: str
    symbols: dict[str, str]
    _before: str
    _meant: dict[str, str]
    _ends: tuple[str, ...]
    _tail: str

    @classmethod
    def of(cls, document: CaptionDocument | None) -> Written:
        """For a caption file, or for one that is not there yet."""
        text = document.text if document is not None else ""
        tail = _LAST_ENDS.search(text)
        assert tail is not None  # the pattern fits everything
        body = text[: tail.start()]
        ends = tuple(_LINE_END.findall(body))
        lines = _LINE_END.split(body)
        odd = sorted({char for line in lines for char in line if plain(char) != char})
        free = (chr(code) for code in _PRIVATE if chr(code) not in text)
        stands = dict(zip(odd, free, strict=False))
        shown = "\n".join(lines).translate({ord(char): stand for char, stand in stands.items()})
        symbols = {stand: _symbol(char) for char, stand in stands.items()}
        return cls(shown, symbols, text, {stand: char for char, stand in stands.items()}, ends, tail[0])

    def text(self, typed: str) -> str:
        """The text of the file for what stands in the field now; empty when nothing but blanks is left there."""
        if typed == self.shown:
            return self._before
        body = typed.rstrip("\n")
        if not body.strip():
            return ""
        lines = [self._restored(line) for line in body.split("\n")]
        ends = self._line_ends(body.split("\n"))
        return "".join(line + end for line, end in zip(lines, [*ends, ""], strict=True)) + self._tail

    def _restored(self, line: str) -> str:
        return line.translate({ord(stand): char for stand, char in self._meant.items()})

    def _line_ends(self, lines: list[str]) -> list[str]:
        """The line ends between these lines: lines that were there keep theirs, others get the most frequent kind."""
        known = self._ends or tuple(_LINE_END.findall(self._tail))
        usual = max(known, key=known.count, default="\n")
        ends = [usual] * (len(lines) - 1)
        if len(set(self._ends)) > 1:
            before = self.shown.split("\n")
            matcher = SequenceMatcher(None, before, lines, autojunk=False)
            for tag, first, last, start, end in matcher.get_opcodes():
                if tag == "equal" or (tag == "replace" and last - first == end - start):
                    for place in range(last - first):
                        if first + place < len(self._ends) and start + place < len(ends):
                            ends[start + place] = self._ends[first + place]
        return ends


def typed_text(text: str) -> str:
    """What may come into a field of a paste: line ends of one kind, and no character that a terminal would obey."""
    lines = _LINE_END.split(text.replace("\t", " "))
    return "\n".join("".join(char for char in line if plain(char) == char) for line in lines)


def _symbol(char: str) -> str:
    """One visible character in the place of one that cannot be shown."""
    seen = plain(char)
    return seen if len(seen) == 1 else "\ufffd"
