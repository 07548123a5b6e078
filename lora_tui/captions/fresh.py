"""Captions read again apart from the corpus, in a thread perhaps, and taken in where nothing changed them meanwhile."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lora_tui.captions.corpus import Corpus, Entry
from lora_tui.captions.view import tags_of


@dataclass(frozen=True, slots=True)
class Fresh:
    """A caption as its file is now, and what the corpus held before it was read."""

    entry: Entry
    before: bytes | None


def read_apart(corpus: Corpus, numbers: Iterable[int]) -> list[Fresh]:
    """The captions of these entries as their files are now, whatever is known of them. Changes nothing."""
    found = []
    for number in numbers:
        entry = corpus.entries[number]
        before = entry.raw
        fresh = Entry(number, entry.root, entry.name, entry.caption_name)
        corpus.read(fresh)
        document = fresh.document
        fresh.tags = () if document is None else tags_of(document.text, corpus.profile)
        found.append(Fresh(fresh, before))
    return found


def take_in(corpus: Corpus, found: Iterable[Fresh]) -> None:
    """Take in captions that were read apart, but for those that changed in memory since."""
    fitting = [one for one in found if corpus.entries[one.entry.number].raw == one.before]
    for one in fitting:
        for other in corpus.sharing(one.entry.number):
            corpus.entries[other].problem = one.entry.problem
    corpus.put_many([(one.entry.number, one.entry.document) for one in fitting], [one.entry.tags for one in fitting])
    for one in fitting:
        corpus.stamp(one.entry.number, one.entry.mtime_ns, one.entry.size, one.entry.look)
