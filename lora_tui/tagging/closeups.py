"""Which images a tagger saw as close-ups, by the answers that were kept: no model is loaded, no image is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.tagging.cache import AnswerCache, key_of
from lora_tui.tagging.rows import Row

if TYPE_CHECKING:
    from lora_tui.dataset.scan import DatasetImage

CLOSE = ("close-up", "face focus", "eye focus", "macro")
"""Tags of pictures that show one part of their subject from near."""

SURE = 0.5
"""The score from which on one of them counts: taggers are ready with ``close-up`` for any face."""


def seen_as_closeups(images: Iterable[DatasetImage], should_stop: Callable[[], bool] | None = None) -> frozenset[Path]:
    """Those of the images that the model used last, of those that have seen them, takes for close-ups.

    Args:
        should_stop: asked now and then; once it says yes, the rest is not looked at.
    """
    found = set()
    with AnswerCache() as cache:
        models = []
        for model in cache.models():
            places = [model.vocabulary.place(tag) for tag in CLOSE] if model.vocabulary is not None else []
            if known := [place for place in places if place is not None]:
                models.append((model.number, known))
        for number, image in enumerate(images if models else ()):
            if number % 256 == 0 and should_stop is not None and should_stop():
                break
            digest = cache.digest(image.path)
            if digest is None:
                continue
            for model_number, known in models:
                row = cache.get(model_number, key_of(digest, image.crop))
                if isinstance(row, Row):
                    if any((row.score(place) or 0.0) >= SURE for place in known):
                        found.add(image.path)
                    break
    return frozenset(found)
