"""A filter that was understood: which captions it selects, and what its words may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Set
from dataclasses import dataclass

from lora_tui.captions.query.corpus import CorpusLike
from lora_tui.captions.query.evaluate import Evaluation, Node
from lora_tui.captions.query.facts import Context
from lora_tui.captions.query.parser import parse
from lora_tui.captions.query.patterns import TagPattern
from lora_tui.captions.query.predicates import KEYS


@dataclass(frozen=True)
class Hint:
    """A word of a filter that no caption has.

    Attributes:
        column, length: where it stands in the filter.
        word: as it was written.
        meant: tags or keys that may have been meant, the likeliest first; perhaps none.
    """

    column: int
    length: int
    word: str
    meant: tuple[str, ...]


@dataclass(frozen=True)
class Query:
    """A filter.

    Attributes:
        text: as it was written.
        node: what it says.
    """

    text: str
    node: Node

    def select(self, corpus: CorpusLike, context: Context | None = None) -> list[int]:
        """The numbers of the entries that it holds for, ascending.

        Raises:
            QueryError: the context lacks what the filter asks for, or a regular expression takes too long.
        """
        return sorted(self.matches(corpus, context))

    def matches(self, corpus: CorpusLike, context: Context | None = None, within: Set[int] | None = None) -> Set[int]:
        """As :meth:`select`, in no order, and only among ``within`` where that is given. To be read only."""
        run = Evaluation(corpus, context or Context())
        self.node.check(run)
        return self.node.select(run, within)

    def hints(self, corpus: CorpusLike, context: Context | None = None) -> list[Hint]:
        """The words for tags that no caption has, each with what may have been meant."""
        run = Evaluation(corpus, context or Context())
        found = []
        for pattern in _patterns(self.node):
            value = pattern.value
            if value.kind == "regex" or value.wild or pattern.tags(run):
                continue
            key, colon, _rest = value.text.partition(":")
            keys = difflib.get_close_matches(key.lower(), KEYS, 1, 0.7) if colon and value.kind == "word" else []
            meant = [f"{name}:" for name in keys] or run.vocabulary.near(value.text)
            found.append(Hint(value.column, value.end - value.column, value.text, tuple(meant)))
        return found

    def tags(self, corpus: CorpusLike, context: Context | None = None) -> frozenset[str]:
        """The tags that it names, to mark them where they are shown."""
        run = Evaluation(corpus, context or Context())
        return frozenset().union(*(pattern.tags(run) for pattern in _patterns(self.node)))


def parse_query(text: str) -> Query:
    """What ``text`` says.

    Raises:
        QueryError: with the column of the mistake.
    """
    return Query(text, parse(text))


def _patterns(node: object) -> Iterator[TagPattern]:
    if isinstance(node, TagPattern):
        yield node
    elif hasattr(node, "part"):
        yield from _patterns(node.part)
    else:
        for part in getattr(node, "parts", ()):
            yield from _patterns(part)
