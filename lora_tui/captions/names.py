"""Very many names, found by the beginnings of their words, by a part, or by letters that lie apart.

Searches take milliseconds in 200,000 names: rare beginnings are looked up in the sorted words, frequent ones and parts
are found by searching one text of all names, which stands in order of worth and so is left early.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from typing import Literal

How = Literal["beginnings", "parts", "letters"]
HOWS: tuple[How, ...] = ("beginnings", "parts", "letters")
"""The ways to match, the strictest first."""

_RARE = 8_000
"""Names in which a beginning of a word is rare enough to gather them all."""
_APART_AMONG = 10_000
"""Names in whose inner words letters that lie apart may begin: the dearest search, of little use among unknown tags."""
_MOST_LOOKS = 4_000
"""Names that are looked at in one search for what its rarest word does not settle: some milliseconds."""
_PUNCTUATION = str.maketrans('()[]{}-:/"', " " * 10)


class Names:
    """Names in lower case, without line ends; their places are those of the list given, which is in order of worth."""

    def __init__(self, names: list[str]) -> None:
        names = [name.translate(_PUNCTUATION) if any(map(str.isalnum, name)) else name for name in names]
        self._names = names
        self._text = "\n" + "\n".join(names) + "\n"
        self._starts = array("L", (0,))
        places: dict[str, array[int]] = {}
        at = 0
        for place, name in enumerate(names):
            at += len(name) + 1
            self._starts.append(at)
            for word in name.split():
                known = places.get(word)
                if known is None:
                    places[word] = array("L", (place,))
                else:
                    known.append(place)
        self._places = places
        self._sorted = sorted(places)

    def find(self, wanted: str, limit: int, how: How = "beginnings") -> list[int]:
        """Places of the names that match, the worthiest first.

        Args:
            how: each word of ``wanted`` begins a word of the name; or stands somewhere in it (``parts``); or the
                letters of all stand in it in their order, the first at the beginning of a word (``letters``).
        """
        words = wanted.translate(_PUNCTUATION).split() or wanted.split()
        if not words or not self._names:
            return []
        if how == "beginnings":
            return self._by_beginnings(words, limit)
        return self._by_parts(words, limit) if how == "parts" else self._by_letters("".join(words), limit)

    def _by_beginnings(self, words: list[str], limit: int) -> list[int]:
        ranges = [self._range(word) for word in words]
        if not all(total for _first, _last, total in ranges):
            return []
        rarest, word = min(zip(ranges, words, strict=True), key=lambda pair: pair[0][2])
        first, last, total = rarest
        others = [f" {other}" for other in words if other is not word]
        if total <= _RARE:
            found = {place for key in self._sorted[first:last] for place in self._places[key]}
            names = self._names
            return [place for place in sorted(found) if all(other in f" {names[place]}" for other in others)][:limit]
        expression = re.compile("[\n ]" + re.escape(word))
        return list(self._walk(expression, others, limit, len(self._text)))

    def _by_parts(self, words: list[str], limit: int) -> list[int]:
        longest = max(words, key=len)
        others = [word for word in words if word is not longest]
        return list(self._walk(re.compile(re.escape(longest)), others, limit, len(self._text)))

    def _by_letters(self, letters: str, limit: int) -> list[int]:
        """Names that begin with the first letter, then the worthiest of those in which another word does."""
        if not 3 <= len(letters) <= 20:
            return []
        # Each letter is taken where it comes first, and never sought again further on: a search without a way back.
        apart = "".join(f"[^\n{re.escape(letter)}]*+{re.escape(letter)}" for letter in letters[1:])
        first = re.escape(letters[0]) + apart
        found = list(self._walk(re.compile("\n" + first), [], limit, len(self._text)))
        if len(found) < limit:
            end = self._starts[min(_APART_AMONG, len(self._names))] + 1
            inner = self._walk(re.compile("[\n ]" + first), [], limit, end)
            found = list(dict.fromkeys([*found, *inner]))
        return found[:limit]

    def _walk(self, expression: re.Pattern[str], others: list[str], limit: int, end: int) -> Iterator[int]:
        """Places of the names in which ``expression`` is found, and all ``others``; looks at so many, and no more."""
        text, starts, names, at, looks = self._text, self._starts, self._names, 0, _MOST_LOOKS
        while limit and looks and (found := expression.search(text, at, end)):
            place = bisect_left(starts, found.start() + 1) - 1
            if place >= len(names):
                return
            if all(other in f" {names[place]}" for other in others):
                yield place
                limit -= 1
            looks -= 1
            at = starts[place + 1]

    def _range(self, beginning: str) -> tuple[int, int, int]:
        """First and last place among the sorted words that begin so, and how many names have them."""
        first = bisect_left(self._sorted, beginning)
        last = bisect_left(self._sorted, beginning + "\U0010ffff", first)
        total = 0
        for key in self._sorted[first:last]:
            total += len(self._places[key])
            if total > _RARE:
                break
        return first, last, total
