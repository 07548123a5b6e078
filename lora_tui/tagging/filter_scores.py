"""What ``score(tag)`` asks in filters, answered from the kept scores alone: no model is loaded, no image is read.

An image has scores when it was tagged under this path and has not changed since. Of several models the one used last
that knows the tag is believed. Of an image that is cropped by hand the part counts that is trained.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path

from lora_tui.captions.corpus import Corpus, Entry
from lora_tui.dataset.parts import Parts
from lora_tui.tagging.cache import AnswerCache, KeptModel, key_of
from lora_tui.tagging.rows import Row

NOTES_SECONDS = 1.0
"""How long the crops that were read hold; a filter asks about a hundred thousand images in that time."""


class FilterScores:
    """The scores of a corpus's images by their numbers; the store is opened when a filter first asks."""

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus
        self._cache: AnswerCache | None = None
        self._models: list[KeptModel] = []
        self._newest = (-1, -1)
        self._parts: Parts | None = None
        self._read = 0.0
        self._guard = threading.Lock()

    def score(self, number: int, tag: str) -> float | None:
        """The confidence in a tag, 0 to 1; none when no model that knows the tag has seen the image."""
        entry = self._corpus.entries[number]
        with self._guard:
            cache = self._opened()
            image = self._key(cache, entry)
            if image is None:
                return None
            for model in self._models:
                place = model.vocabulary.place(tag) if model.vocabulary is not None else None
                if place is not None and isinstance(row := cache.get(model.number, image), Row):
                    return row.score(place)
        return None

    def rows(self, number: int) -> list[tuple[KeptModel, Row]]:
        """What each model that has seen an image thought of it, the one used last first."""
        entry = self._corpus.entries[number]
        with self._guard:
            cache = self._opened()
            image = self._key(cache, entry)
            if image is None:
                return []
            answers = ((model, cache.get(model.number, image)) for model in self._models)
            return [(model, answer) for model, answer in answers if isinstance(answer, Row)]

    def _key(self, cache: AnswerCache, entry: Entry) -> bytes | None:
        """By what the answers about an image as it is trained are kept; none where its content is not known."""
        digest = cache.digest(Path(entry.root, entry.name))
        if digest is None:
            return None
        if self._parts is None or time.monotonic() - self._read > NOTES_SECONDS:
            self._parts, self._read = Parts(self._corpus.root, forgiving=True), time.monotonic()
        return key_of(digest, self._parts.of(entry.name))

    def close(self) -> None:
        """Leave the store; asking again opens it."""
        with self._guard:
            if self._cache is not None:
                self._cache.__exit__(None, None, None)
                self._cache, self._newest = None, (-1, -1)

    def _opened(self) -> AnswerCache:
        if self._cache is None:
            self._cache = AnswerCache().__enter__()
        if (newest := self._cache.newest()) != self._newest:
            self._newest, self._models = newest, self._cache.models()
        return self._cache
