"""Phrases of captions that are written in sentences, as entries of a vocabulary with their counts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

_CLAUSE = re.compile(r"[.,;:!?()\[\]{}|\r\n\"“”。，、！？；：]+")
_WORD = re.compile(r"[^\W_]+(?:['’\-][^\W_]+)*")

#: Words that neither begin nor end a phrase worth counting.
_FILLERS = frozenset(
    """a an the and or but of in on at to with by for from as is are was were be been it its this that these those
    there here has have had his her their our your my which who whose while into onto over under also very some any
    one he she they we you i than then so""".split()  # noqa: SIM905 - read as text
)
_ENOUGH = 50_000
"""Phrases of one length that are counted at most; beyond, the least frequent are left out."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words that stand together in several captions.

    Attributes:
        text: in lower case, single blanks between the words.
        words: how many.
        captions: in how many captions it stands.
    """

    text: str
    words: int
    captions: int


def phrases(
    texts: Iterable[str],
    *,
    least: int = 2,
    longest: int = 5,
    should_stop: Callable[[], bool] | None = None,
) -> list[Phrase]:
    """The phrases of captions, the most frequent first.

    A phrase lies within one clause, begins and ends with a word that says something, and stands in ``least`` captions.
    One that never stands without a longer one around it is left out. A phrase can only be frequent when its parts
    are, so each length is counted among what was frequent one word shorter (Agrawal and Srikant 1994, Apriori).

    Args:
        longest: words in a phrase at most.
        should_stop: asked now and then; once it says yes, what was found until then is given.
    """
    clauses = [list(_clauses(text)) for text in texts]
    kept: dict[int, dict[tuple[str, ...], int]] = {}
    for length in range(1, longest + 1):
        if should_stop is not None and should_stop():
            break
        shorter = kept.get(length - 1)
        counts: Counter[tuple[str, ...]] = Counter()
        for caption in clauses:
            counts.update(set(_runs(caption, length, shorter)))
        frequent = {run: number for run, number in counts.most_common(_ENOUGH) if number >= least}
        if not frequent:
            break
        kept[length] = frequent
    found = [Phrase(" ".join(run), len(run), number) for run, number in _on_their_own(kept)]
    return sorted(found, key=lambda phrase: (-phrase.captions, -phrase.words, phrase.text))


def _clauses(text: str) -> Iterator[tuple[str, ...]]:
    for clause in _CLAUSE.split(text.casefold()):
        words = tuple(_WORD.findall(clause))
        if words:
            yield words


def _runs(
    caption: list[tuple[str, ...]], length: int, shorter: dict[tuple[str, ...], int] | None
) -> Iterator[tuple[str, ...]]:
    for words in caption:
        for start in range(len(words) - length + 1):
            run = words[start : start + length]
            if shorter is None or (run[:-1] in shorter and run[1:] in shorter):
                yield run


def _on_their_own(kept: dict[int, dict[tuple[str, ...], int]]) -> Iterator[tuple[tuple[str, ...], int]]:
    """The runs that say something and stand somewhere without a longer such run around them."""
    inside: dict[tuple[str, ...], int] = {}
    for length in sorted(kept, reverse=True):
        for run, number in kept[length].items():
            around = inside.get(run, 0)
            if run[0] not in _FILLERS and run[-1] not in _FILLERS and around < number:
                yield run, number
                around = number
            for part in (run[:-1], run[1:]):
                inside[part] = max(inside.get(part, 0), around)
