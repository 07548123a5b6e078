"""The grammar of filters.

::

    filter := or                          NOT binds most, then AND, then XOR, then OR
    or     := xor { OR xor }
    xor    := and { XOR and }
    and    := not { [AND] not }           what stands side by side must all hold
    not    := (NOT | -) not | '(' or ')' | word
    word   := key:value | number [:] op value | function(tags) [op value] | tag | "a tag" | ta* | /regex/

A word with an unknown key is a tag, because tags may have colons in them.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable

from lora_tui.captions.query.evaluate import And, Everything, Node, Not, Or, Xor
from lora_tui.captions.query.functions import FUNCTIONS, function
from lora_tui.captions.query.lexer import QueryError, Scanner
from lora_tui.captions.query.measures import MEASURES, OPERATORS, TIMES, measure, time_measure
from lora_tui.captions.query.patterns import TagPattern, tag_pattern
from lora_tui.captions.query.predicates import KEYS, keyed
from lora_tui.text import _

_HEAD = re.compile(r"([A-Za-z]+)(<=|>=|!=|==|=|<|>|:|\()")
_DEEPEST = 60
LONG_NAMES = {"width": "w", "height": "h", "megapixels": "mp", "aspect": "ar", "folder": "dir", "repeats": "repeat"}


def parse(text: str) -> Node:
    """The filter that ``text`` says; one that holds for everything when it is blank.

    Raises:
        QueryError: with the column of the mistake.
    """
    scanner = Scanner(text)
    scanner.skip_blanks()
    if scanner.done:
        return Everything()
    node = _Parser(scanner).either()
    if not scanner.done:
        raise QueryError(_("This bracket closes nothing."), scanner.at)
    return node


class _Parser:
    def __init__(self, scanner: Scanner) -> None:
        self.scanner = scanner
        self.depth = 0

    def either(self) -> Node:
        parts = [self._odd()]
        while self._next("OR"):
            parts.append(self._odd())
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _odd(self) -> Node:
        parts = [self._both()]
        while self._next("XOR"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else Xor(tuple(parts))

    def _both(self) -> Node:
        parts = [self._one()]
        while True:
            joined = self._next("AND")
            self.scanner.skip_blanks()
            if not joined and (self.scanner.done or self.scanner.peek() == ")" or self._sees("OR", "XOR")):
                return parts[0] if len(parts) == 1 else And(tuple(parts))
            parts.append(self._one())

    def _one(self) -> Node:
        scanner = self.scanner
        scanner.skip_blanks()
        begun = scanner.at
        if scanner.done:
            raise QueryError(_("A word is missing here."), max(scanner.at - 1, 0))
        if face := scanner.face():
            return TagPattern(face)
        if word := scanner.keyword():
            if word != "NOT":
                raise QueryError(_("{word} needs something before it.").format(word=word), begun, length=len(word))
            return self._deeper(begun, lambda: Not(self._one()))
        if self._negates():
            return self._deeper(begun, lambda: Not(self._one()))
        if scanner.take("("):
            return self._deeper(begun, lambda: self._bracket(begun))
        return self._word()

    def _negates(self) -> bool:
        """Whether a minus or an exclamation mark stands right before what it negates; goes past it."""
        scanner, begun = self.scanner, self.scanner.at
        if scanner.peek() not in "-!":
            return False
        scanner.at += 1
        after = scanner.at
        if scanner.face() or scanner.peek().strip() not in ("", "-", "!"):
            scanner.at = after
            return True
        scanner.at = begun
        return False

    def _bracket(self, begun: int) -> Node:
        self.scanner.skip_blanks()
        if self.scanner.peek() == ")":
            raise QueryError(_("There is nothing between the brackets."), begun, length=self.scanner.at + 1 - begun)
        node = self.either()
        self.scanner.skip_blanks()
        if not self.scanner.take(")"):
            raise QueryError(_("The bracket is never closed."), begun)
        return node

    def _word(self) -> Node:
        scanner, begun = self.scanner, self.scanner.at
        head = _HEAD.match(scanner.text, begun)
        if head is None:
            return tag_pattern(scanner.value())
        key, sign = head[1].lower(), head[2]
        key = LONG_NAMES.get(key, key)
        if sign == "(":
            if key not in FUNCTIONS:
                return TagPattern(scanner.value())
            scanner.at = head.end()
            return function(scanner, key, begun)
        if key in MEASURES or key in TIMES:
            scanner.at = head.end()
            if sign == ":":  # taggui writes tags:>=3
                sign = next((one for one in OPERATORS if one != ":" and scanner.take(one)), ":")
            return (measure if key in MEASURES else time_measure)(key, sign, scanner.value(), begun)
        if sign != ":":
            return self._not_a_measure(head, begun)
        if key not in KEYS:
            return TagPattern(scanner.value())
        scanner.at = head.end()
        return keyed(key, scanner.value(), begun)

    def _not_a_measure(self, head: re.Match[str], begun: int) -> Node:
        value = self.scanner.value()
        if not re.fullmatch(r"[-.\d].*", value.text[head.end() - begun :]):
            return TagPattern(value)
        meant = difflib.get_close_matches(head[1].lower(), [*MEASURES, *TIMES, *LONG_NAMES], 1)
        remedy = _("Perhaps {word} is meant.").format(word=meant[0]) if meant else _("Quote it if it is a tag.")
        message = _("There is no number {word} to compare.").format(word=head[1])
        raise QueryError(message, begun, length=len(head[1]), remedy=remedy)

    def _deeper(self, column: int, work: Callable[[], Node]) -> Node:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise QueryError(_("The filter is nested too deep."), column)
        node = work()
        self.depth -= 1
        return node

    def _next(self, word: str) -> bool:
        """Whether this keyword comes next; goes past it."""
        self.scanner.skip_blanks()
        begun = self.scanner.at
        if self.scanner.keyword() == word:
            return True
        self.scanner.at = begun
        return False

    def _sees(self, *words: str) -> bool:
        begun = self.scanner.at
        found = self.scanner.keyword()
        self.scanner.at = begun
        return found in words
