"""The characters of a filter: where words, strings and regular expressions begin and end. Knows no meaning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lora_tui.captions.kaomoji import KAOMOJI
from lora_tui.errors import UserError
from lora_tui.text import _

MAX_LENGTH = 10_000

_FACES = sorted((face for face in KAOMOJI if not face.isalnum()), key=len, reverse=True)
_ENDS = frozenset(" \t\r\n)")


class QueryError(UserError):
    """A mistake in a filter.

    Attributes:
        column: index of the first character that is wrong, from 0.
        length: how many characters are wrong; at least 1.
    """

    def __init__(self, message: str, column: int, *, length: int = 1, remedy: str = "", code: str = "query") -> None:
        super().__init__(message, place=_("column {number}").format(number=column + 1), remedy=remedy, code=code)
        self.column = column
        self.length = max(length, 1)


@dataclass(frozen=True, slots=True)
class Value:
    """A word of a filter as it was written.

    Attributes:
        text: without quotes or slashes.
        kind: ``word`` (``*`` and ``?`` are wild), ``string`` (nothing is) or ``regex``.
        column: where it begins; ``end`` where it ends.
        flags: what stands after a regular expression's second slash.
    """

    text: str
    kind: Literal["word", "string", "regex"]
    column: int
    end: int
    flags: str = ""

    @property
    def wild(self) -> bool:
        """Whether it is a pattern of ``*`` and ``?``, and not a face that is drawn with them; stars alone are all."""
        if self.kind != "word" or not ("*" in self.text or "?" in self.text):
            return False
        return any(map(str.isalnum, self.text)) or not self.text.strip("*")


class Scanner:
    """A position in the text of a filter."""

    def __init__(self, text: str) -> None:
        if len(text) > MAX_LENGTH:
            raise QueryError(_("The filter is too long."), MAX_LENGTH)
        self.text = text
        self.at = 0

    def skip_blanks(self) -> None:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1

    @property
    def done(self) -> bool:
        return self.at >= len(self.text)

    def peek(self, length: int = 1) -> str:
        return self.text[self.at : self.at + length]

    def take(self, wanted: str) -> bool:
        """Go past ``wanted`` if it stands here."""
        if self.text.startswith(wanted, self.at):
            self.at += len(wanted)
            return True
        return False

    def keyword(self) -> str:
        """AND, OR, XOR or NOT in any case when it stands here as a word of its own; else empty. Goes past it."""
        for word in ("AND", "OR", "XOR", "NOT"):
            end = self.at + len(word)
            if self.text[self.at : end].upper() == word and (
                self.text[end : end + 1] in ("", "(", ")") or self._blank(end)
            ):
                self.at = end
                return word
        return ""

    def value(self, *, stops: str = "") -> Value:
        """The value that begins here.

        Args:
            stops: characters that end a word besides blanks; with any given, blanks end none.

        Raises:
            QueryError: there is none, or a quote or slash is not closed.
        """
        if not self.done and self.peek() in "\"'" and self._closes(self.peek()):
            return self._string(self.peek())
        if self.peek() == '"':
            raise QueryError(_("The quotation mark is never closed."), self.at)
        if self.peek() == "/":
            return self._regex()
        return self._word(stops)

    def face(self) -> Value | None:
        """A face such as ``:)`` that stands here as a word of its own."""
        for face in _FACES:
            end = self.at + len(face)
            if self.text.startswith(face, self.at) and (end == len(self.text) or self.text[end] in _ENDS):
                begun, self.at = self.at, end
                return Value(face, "string", begun, end)
        return None

    def _blank(self, at: int) -> bool:
        return self.text[at].isspace()

    def _closes(self, quote: str) -> bool:
        """Whether the quote here has its second; an apostrophe must also end a word, as in 'a b' but not in 'til."""
        at = self.at + 1
        while at < len(self.text):
            if self.text[at] == "\\":
                at += 1
            elif self.text[at] == quote:
                after = self.text[at + 1 : at + 2]
                return quote == '"' or after == "" or after in "),:" or after.isspace()
            at += 1
        return False

    def _string(self, quote: str) -> Value:
        begun = self.at
        self.at += 1
        kept: list[str] = []
        while self.peek() != quote:
            if self.peek() == "\\" and self.peek(2)[1:] in (quote, "\\"):
                self.at += 1
            kept.append(self.peek())
            self.at += 1
        self.at += 1
        return Value("".join(kept), "string", begun, self.at)

    def _regex(self) -> Value:
        begun = self.at
        self.at += 1
        kept: list[str] = []
        while not self.done and self.peek() != "/":
            if self.peek(2) == "\\/":
                self.at += 1
            elif self.peek() == "\\":
                kept.append("\\")
                self.at += 1
            kept.append(self.peek())
            self.at += 1
        if self.done:
            raise QueryError(_("The regular expression has no second slash."), begun, remedy=_("Quote a tag with /."))
        self.at += 1
        flags = self.at
        while not self.done and self.peek().isalpha():
            self.at += 1
        for offset, flag in enumerate(self.text[flags : self.at]):
            if flag not in "ix":
                message = _("A regular expression can be followed by i (any case), not by {flag}.")
                raise QueryError(message.format(flag=flag), flags + offset)
        return Value("".join(kept), "regex", begun, self.at, self.text[flags : self.at])

    def _word(self, stops: str) -> Value:
        begun, depth = self.at, 0
        while not self.done:
            sign = self.peek()
            if (sign.isspace() and not stops) or (sign in stops and depth == 0) or (sign == ")" and depth == 0):
                break
            if sign == "\\" and self.at + 1 < len(self.text) and not self._blank(self.at + 1):
                self.at += 2  # what follows a backslash never ends a word
                continue
            depth += (sign == "(") - (sign == ")")
            self.at += 1
        text = self.text[begun : self.at]
        if depth:
            raise QueryError(_("The bracket is never closed."), begun + text.index("("))
        text = text.rstrip()
        if not text:
            raise QueryError(_("A word is missing here."), begun)
        return Value(text, "word", begun, begun + len(text))
