"""Bare words side by side in a filter, which mean several tags and were perhaps meant as one. No widgets.

``1girl blue eyes`` asks for three tags; where ``blue eyes`` is one, completion and hints must see that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lora_tui.captions.quoting import quoted
from lora_tui.captions.vocabulary import folded

if TYPE_CHECKING:
    from lora_tui.captions.complete import Completer, Completion
    from lora_tui.captions.index import Index

MOST_WORDS = 8
"""Words that a tag has at most, as far as they are looked at together."""

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"?|/(?:[^/\\]|\\.)*/?\w*|[()]|[^\s()"]+')
_BARE = re.compile(r"""(-?(?:tag:)?)[^\s()"'/:<>=,*?-][^\s()"'/:<>=,*?]*""")
_KEYWORDS = ("AND", "OR", "XOR", "NOT")


@dataclass(frozen=True)
class Word:
    """A bare word: where it begins and ends, and where behind ``-`` and ``tag:`` its name begins."""

    start: int
    name: int
    end: int


def runs(text: str) -> Iterator[list[Word]]:
    """The bare words that stand side by side."""
    run: list[Word] = []
    for token in _TOKEN.finditer(text):
        found = _BARE.fullmatch(token[0])
        called = text[token.end() : token.end() + 1] == "("
        if found is None or called or token[0].upper() in _KEYWORDS:
            if run:
                yield run
            run = []
            continue
        if found[1] and run:  # a minus or a key begins something else
            yield run
            run = []
        run.append(Word(token.start(), token.start() + len(found[1]), token.end()))
    if run:
        yield run


def at_end(text: str) -> Iterator[tuple[str, str]]:
    """Each run of two and more words at the end: what stands before it, and the words; the longest first.

    A quote that is not closed holds one.
    """
    if text.count('"') % 2:
        place = text.rindex('"')
        yield text[:place], text[place + 1 :]
        return
    last = next(reversed(list(runs(text))), [])
    if not last or text[last[-1].end :].strip():
        return
    for word in last[-MOST_WORDS:-1]:
        yield text[: word.name], text[word.name :]
    if text[last[-1].end :]:  # a blank behind the only word: what begins with it
        yield text[: last[-1].name], text[last[-1].name :]


def tags_of_words(completer: Completer, typed: str) -> Iterator[tuple[str, Completion]]:
    """The tags of several words that the end of a filter may mean, each with what stands before it."""
    seen = set()
    for head, words in at_end(typed):
        wanted = folded(words).split()
        if not wanted:
            continue
        for one in completer.complete(words.strip()):
            found = folded(one.matched or one.tag)
            begins = len(wanted) == 1 and words[-1:] == " "
            fits = found.startswith(wanted[0] + " ") if begins else all(word in found for word in wanted)
            if fits and one.tag not in seen:
                seen.add(one.tag)
                yield head, one


def joined(text: str, index: Index) -> tuple[str, str]:
    """A tag of the dataset whose words a filter asks for one by one, and the filter with it in quotes; else nothing."""
    for run in runs(text):
        for length in range(min(len(run), MOST_WORDS), 1, -1):
            for place in range(len(run) - length + 1):
                part = run[place : place + length]
                meant = index.vocabulary.spellings(text[part[0].name : part[-1].end])
                if meant:
                    tag = max(meant, key=index.count)
                    return tag, text[: part[0].name] + quoted(tag) + text[part[-1].end :]
    return "", ""
