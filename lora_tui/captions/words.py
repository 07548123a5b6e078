"""The words of an operation as a person types it: bare, quoted, or a regular expression, each with its place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lora_tui.errors import UserError
from lora_tui.text import _, plain

MAX_LENGTH = 100_000
_ENDS = frozenset(" \t\r\n,;")


class OperationError(UserError):
    """A mistake in an operation; ``column`` is the index of the first character that is wrong, from 0."""

    def __init__(self, message: str, column: int, *, remedy: str = "") -> None:
        place = _("column {number}").format(number=column + 1)
        super().__init__(message, place=place, remedy=remedy, code="captions.operation")
        self.column = column


class NoSuchVerb(OperationError):
    """There is no operation of this name: :attr:`word`."""

    def __init__(self, word: str, column: int, *, remedy: str = "") -> None:
        super().__init__(_("There is no operation “{word}”.").format(word=plain(word, limit=40)), column, remedy=remedy)
        self.word = word


@dataclass(frozen=True, slots=True)
class Word:
    """One word.

    Attributes:
        kind: ``bare``, ``string``, ``regex``, ``comma`` or ``end`` (a semicolon, or the end of the text).
        flags: the letters after a regular expression.
    """

    text: str
    kind: Literal["bare", "string", "regex", "comma", "end"]
    column: int
    flags: str = ""


def words(text: str) -> list[Word]:
    """The words of an operation; the last one is an ``end``.

    Raises:
        OperationError: a quote or a slash is not closed, or it is no Unicode.
    """
    if len(text) > MAX_LENGTH:
        raise OperationError(_("This is too long for an operation."), MAX_LENGTH)
    for column, character in enumerate(text):
        if "\ud800" <= character <= "\udfff":
            raise OperationError(_("A character here is no Unicode and cannot be written to a caption."), column)
    found: list[Word] = []
    position = 0
    while position < len(text):
        character = text[position]
        if character in " \t\r\n":
            position += 1
        elif character == ",":
            found.append(Word(",", "comma", position))
            position += 1
        elif character == ";" and not _is_face(text[position + 1 : position + 2]):
            found.append(Word(";", "end", position))
            position += 1
        elif character in "\"'/":
            word, position = _closed(text, position)
            found.append(word)
        else:
            end = position + 1
            while end < len(text) and text[end] not in _ENDS:
                end += 1
            found.append(Word(text[position:end], "bare", position))
            position = end
    return [*found, Word("", "end", len(text))]


def _closed(text: str, start: int) -> tuple[Word, int]:
    """The quoted word or regular expression at ``start``, and the place after it."""
    mark = text[start]
    parts, position = [], start + 1
    while position < len(text) and text[position] != mark:
        if text[position] == "\\" and position + 1 < len(text):
            following = text[position + 1]
            if mark == "/":
                parts.append(following if following == "/" else "\\" + following)
            else:
                parts.append({"n": "\n", "t": "\t"}.get(following) or _escaped(following, mark))
            position += 2
        else:
            parts.append(text[position])
            position += 1
    if position >= len(text):
        raise OperationError(_("This has no end: {mark} is missing.").format(mark=mark), start)
    position += 1
    if mark != "/":
        return Word("".join(parts), "string", start), position
    end = position
    while end < len(text) and text[end] not in _ENDS:
        end += 1
    return Word("".join(parts), "regex", start, text[position:end]), end


def _escaped(character: str, mark: str) -> str:
    r"""What a backslash before ``character`` means in quotes: it escapes itself and the quote, so ``\(`` stays."""
    return character if character in (mark, "\\") else "\\" + character


def _is_face(following: str) -> bool:
    """Whether a semicolon before this character is an eye, as in ``;)``, and ends no operation."""
    return bool(following) and not following.isalnum() and following not in " \t\r\n;\"'/"


def near(word: str, known: Sequence[str]) -> str:
    """The known word that ``word`` was probably meant to be; empty when there is none."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(word, known, 1, 0.6)), "")
