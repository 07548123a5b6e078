"""The phrases of a corpus with their counts, kept up while captions change. Counts in whatever thread asks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from lora_tui.captions.corpus import Corpus
from lora_tui.captions.document import CaptionDocument
from lora_tui.captions.prose import Clauses, Words, clauses_of, counted_again, counted_phrases
from lora_tui.captions.variants import shown_text

KEPT = 20_000
"""Captions whose words are kept, some 10 kB each; of more, every count cuts them anew."""


class PhraseBook:
    """Which phrases stand in how many captions of a corpus.

    Attributes:
        totals: the words of each phrase and its captions, as of the last count.
    """

    def __init__(self, corpus: Corpus, *, least: int = 2, kept: int = KEPT) -> None:
        self.corpus = corpus
        self.totals: dict[Words, int] = {}
        self._least, self._kept = least, kept
        self._clauses: dict[int, tuple[bytes | None, Clauses]] = {}

    def count(self, should_stop: Callable[[], bool] | None = None) -> bool:
        """Count everything; false when it was stopped before the end, and then nothing is known to be new."""
        stop = should_stop or _never
        clauses: list[Clauses] = []
        for entry in self.corpus.entries:
            if entry.number % 256 == 0 and stop():
                return False
            clauses.append(self._words(entry.number))
        totals = counted_phrases(clauses, least=self._least, should_stop=stop)
        if stop():
            return False
        self.totals = totals
        return True

    def adjust(self) -> bool:
        """Bring the counts of the known phrases up to date by the captions that changed; new phrases wait for a count.

        Returns:
            False when words are not kept of so many captions, and counts are as they were.
        """
        if len(self.corpus.entries) > self._kept:
            return False
        gone: list[Clauses] = []
        come: list[Clauses] = []
        for entry in self.corpus.entries:
            raw, before = self._clauses.get(entry.number, (None, ()))
            if raw is not entry.raw:
                gone.append(before)
                come.append(self._words(entry.number))
        less, more = counted_again(gone, self.totals), counted_again(come, self.totals)
        changed = ((words, number + more[words] - less[words]) for words, number in self.totals.items())
        self.totals = {words: number for words, number in changed if number >= self._least}
        return True

    def in_scope(self, numbers: Iterable[int]) -> Counter[Words]:
        """In how many of some captions each phrase stands."""
        return counted_again(map(self._words, numbers), self.totals)

    def rows(self, scope: Mapping[Words, int] | None = None) -> list[tuple[Words, int, int]]:
        """Each phrase with its captions in scope and in all, the most frequent in scope first."""
        counts = self.totals if scope is None else scope
        found = [(words, counts[words], total) for words, total in self.totals.items() if counts.get(words)]
        return sorted(found, key=lambda row: (-row[1], -row[2], -len(row[0]), row[0]))

    def _words(self, number: int) -> Clauses:
        """The words of a caption; of one that did not change as they were cut before."""
        raw = self.corpus.entries[number].raw
        known = self._clauses.get(number)
        if known is not None and known[0] is raw:
            return known[1]
        text = "" if raw is None else shown_text(CaptionDocument.parse(raw), self.corpus.profile)
        found = clauses_of(text)
        if len(self.corpus.entries) <= self._kept:
            self._clauses[number] = raw, found
        return found


def _never() -> bool:
    return False
