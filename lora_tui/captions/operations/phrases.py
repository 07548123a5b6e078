"""Operations on phrases of prose: another in the place of one, or none, with the punctuation around it tidied."""

from __future__ import annotations

import re

from lora_tui.captions.operations.base import Context, EachCaption
from lora_tui.captions.prose import expression

_ENDS = ".!?。！？"
_COMMAS = ",;:，；：、"
_PAIRS = (("(", ")"), ("[", "]"), ('"', '"'), ("“", "”"), ("‘", "’"), ("（", "）"), ("「", "」"), ("『", "』"))
_WIDE = re.compile("[\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]")


class Phrase(EachCaption):
    """Take a phrase of prose away, or put another in its place; blanks and punctuation around a hole are tidied."""

    def __init__(self, phrase: str, new: str = "", *, ignore_case: bool = True) -> None:
        self._phrase, self._new = phrase.strip(), new.strip()
        self._found = re.compile(expression(phrase), re.IGNORECASE if ignore_case else 0)

    def change(self, caption: str, context: Context) -> str:
        if self._new:
            return self._found.sub(self._replacement, caption)
        position = 0
        while found := self._found.search(caption, position):
            began = found[0][:1].isupper()
            caption, position = _tidied(caption[: found.start()], caption[found.end() :], began=began)
        return caption

    def _replacement(self, found: re.Match[str]) -> str:
        """The new phrase, with a capital where the old one had one, and without one where only it was typed so."""
        new, first = self._new, found[0][:1]
        if first.isupper() and new[:1].islower():
            return new[:1].upper() + new[1:]
        capitals = self._phrase[:2].istitle() and new[:2].istitle()  # as at the start of a sentence
        if first.islower() and capitals:
            return new[:1].lower() + new[1:]
        return new


def _tidied(before: str, after: str, *, began: bool) -> tuple[str, int]:
    """Two stretches of prose without what stood between them, and where the second begins.

    Args:
        began: what stood there had a capital.
    """
    left, right = before.rstrip(" \t"), after.lstrip(" \t")
    for opening, closing in _PAIRS:
        if left.endswith(opening) and right.startswith(closing):
            left, right = left[:-1].rstrip(" \t"), right[1:].lstrip(" \t")
    starts_sentence = not left or left[-1] in _ENDS + "\n\r"
    if right and right[0] in _COMMAS and (starts_sentence or left[-1] in _COMMAS):
        right = right[1:].lstrip(" \t")
    if right and right[0] in _ENDS:
        if starts_sentence:
            right = right[1:].lstrip(" \t")
        else:
            left = left.rstrip(" \t" + _COMMAS)
    if not right or right[0] in "\r\n":
        left = left.rstrip(" \t" + _COMMAS)
    if starts_sentence and right[:1].islower() and (before.strip() or began):
        right = right[:1].upper() + right[1:]
    joint = " " if _stand_apart(before, left, right, after) else ""
    return left + joint + right, len(left) + len(joint)


def _stand_apart(before: str, left: str, right: str, after: str) -> bool:
    """Whether a blank belongs between two stretches."""
    if not left or not right or left[-1] in "\r\n([“‘（「『" or right[0] in ".,;:!?)]”’）」』\r\n":
        return False
    if _WIDE.match(left[-1]) or _WIDE.match(right[0]):
        return before[-1:] in " \t" and after[:1] in " \t" and bool(before[-1:] and after[:1])
    return True
