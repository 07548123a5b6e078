"""Phrases of captions that are written in sentences: finding them, and entries of a vocabulary with their counts.

A word is a run of letters and digits with the hyphens and apostrophes in it, without a possessive *'s*; in scripts that
put no blanks between words each character counts as one. The same borders hold for counting, filters and edits.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

Words = tuple[str, ...]
Clauses = tuple[Words, ...]
"""The words of a caption, in lower case, cut where anything but blanks stands between two of them."""

_WIDE = "\u3040-\u30ff\u3400-\u9fff"
_SIGN = rf"[^\W{_WIDE}]"
_BLANK = r"[^\S\r\n]"
_BEFORE = rf"(?<!{_SIGN})(?<!{_SIGN}[-'’])"
_AFTER = rf"(?!{_SIGN})(?!-{_SIGN})(?!['’](?!s(?!{_SIGN})){_SIGN})"
_WORD = rf"{_BEFORE}{_SIGN}+(?:-{_SIGN}+|['’](?!s(?!{_SIGN})){_SIGN}+)*"
_TOKEN = re.compile(rf"[{_WIDE}]|{_WORD}")
_CLAUSE = re.compile(rf"(?:[{_WIDE}]|{_WORD})(?:{_BLANK}*(?:[{_WIDE}]|{_WORD}))*")
_TYPED = re.compile(rf"[{_WIDE}]|[^\s{_WIDE}]+")
_WIDE_ONE = re.compile(rf"[{_WIDE}]")

#: Words that neither begin nor end a phrase worth counting.
_FILLERS = frozenset(
    """a an the and or but of in on at to with by for from as is are was were be been it its this that these those
    there here has have had his her their our your my which who whose while into onto over under also very some any
    one he she they we you i than then so 的 了 在 是 和 与 着 地 得 而 也 之 于 中 里 上 下""".split()  # noqa: SIM905
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


def expression(phrase: str, *, wild: Mapping[str, str] | None = None) -> str:
    """The regular expression of a phrase with the borders of words, whatever blanks are between them; case is kept.

    Args:
        wild: characters that stand for an expression.
    """
    parts: list[str] = []
    before: re.Match[str] | None = None
    for token in _TYPED.finditer(phrase):
        if before is not None:
            wide = _WIDE_ONE.match(before[0]) or _WIDE_ONE.match(token[0])
            parts.append(f"{_BLANK}*" if wide else f"{_BLANK}+")
        parts.append("".join((wild or {}).get(sign) or re.escape(sign) for sign in token[0]))
        before = token
    text = phrase.strip()
    if before is None:
        return ""
    front, back = _BEFORE if _is_lettered(text[0]) else "", _AFTER if _is_lettered(text[-1]) else ""
    return front + "".join(parts) + back


def _is_lettered(sign: str) -> bool:
    """Whether a border of words belongs to a character."""
    return (sign.isalnum() or sign == "_") and not _WIDE_ONE.match(sign)


def clauses_of(text: str) -> Clauses:
    """The words of a caption for counting."""
    found = []
    for clause in _CLAUSE.findall(text):
        words = clause.lower().split() if clause.isascii() else [_lower(word) for word in _TOKEN.findall(clause)]
        found.append(tuple(map(sys.intern, words)))
    return tuple(found)


def _lower(word: str) -> str:
    """A word in lower case, unless that makes other letters of it (``İ``)."""
    lower = word.lower()
    return lower if len(lower) == len(word) else word


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
    counted = counted_phrases(map(clauses_of, texts), least=least, longest=longest, should_stop=should_stop)
    found = [Phrase(phrase_text(run), len(run), number) for run, number in counted.items()]
    return sorted(found, key=lambda phrase: (-phrase.captions, -phrase.words, phrase.text))


def counted_phrases(
    captions: Iterable[Clauses],
    *,
    least: int = 2,
    longest: int = 5,
    should_stop: Callable[[], bool] | None = None,
) -> dict[Words, int]:
    """As :func:`phrases` for captions that are cut already: the words of each phrase and its captions."""
    clauses = list(captions)
    kept: dict[int, dict[Words, int]] = {}
    for length in range(1, longest + 1):
        shorter = kept.get(length - 1)
        counts: Counter[Words] = Counter()
        for place, caption in enumerate(clauses):
            if should_stop is not None and place % 256 == 0 and should_stop():
                return dict(_on_their_own(kept))
            counts.update(set(_runs(caption, length, shorter)))
        frequent = {run: number for run, number in counts.most_common(_ENOUGH) if number >= least}
        if not frequent:
            break
        kept[length] = frequent
    return dict(_on_their_own(kept))


def counted_again(
    captions: Iterable[Clauses], known: Collection[Words], *, should_stop: Callable[[], bool] | None = None
) -> Counter[Words]:
    """In how many of some captions each known phrase stands."""
    by_length: dict[int, set[Words]] = {}
    for run in known:
        by_length.setdefault(len(run), set()).add(run)
    counts: Counter[Words] = Counter()
    for place, caption in enumerate(captions):
        if should_stop is not None and place % 256 == 0 and should_stop():
            break
        for length, wanted in by_length.items():
            counts.update(wanted.intersection(_runs(caption, length, None)))
    return counts


def phrase_text(words: Sequence[str]) -> str:
    """Words as a person reads and types them."""
    text = words[0]
    for before, word in pairwise(words):
        text += word if _WIDE_ONE.match(word) and _WIDE_ONE.match(before[-1]) else f" {word}"
    return text


def _runs(caption: Clauses, length: int, shorter: Mapping[Words, int] | None) -> Iterator[Words]:
    for words in caption:
        for start in range(len(words) - length + 1):
            run = words[start : start + length]
            if shorter is None or (run[:-1] in shorter and run[1:] in shorter):
                yield run


def _on_their_own(kept: dict[int, dict[Words, int]]) -> Iterator[tuple[Words, int]]:
    """The runs that say something and stand somewhere without a longer such run around them."""
    inside: dict[Words, int] = {}
    for length in sorted(kept, reverse=True):
        for run, number in kept[length].items():
            around = inside.get(run, 0)
            if run[0] not in _FILLERS and run[-1] not in _FILLERS and around < number:
                yield run, number
                around = number
            for part in (run[:-1], run[1:]):
                inside[part] = max(inside.get(part, 0), around)
