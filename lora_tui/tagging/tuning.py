"""What other thresholds would give, from kept scores, at once: for a slider that moves over ten thousand images.

Each image's scores are kept in order by category, so that a threshold is a search in sorted numbers and nothing is gone
through. The answers are counts of what the model found, before rules such as undesired tags.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, compress
from operator import add

from lora_tui.tagging.rows import Row
from lora_tui.tagging.rules import Thresholds
from lora_tui.tagging.vocabulary import RATING, Vocabulary

LEAST = 0.05
"""No threshold below is asked for: what lies there is noise, and most of all scores."""


@dataclass(frozen=True)
class Level:
    """What some thresholds give.

    Attributes:
        tags: of all images together.
        images: how many there are.
        without: images that get no tag at all.
        by_category: tags of all images by their category.
    """

    tags: int
    images: int
    without: int
    by_category: dict[str, int]

    @property
    def mean(self) -> float:
        """Tags an image."""
        return self.tags / self.images if self.images else 0.0


@dataclass(frozen=True)
class Difference:
    """What changes from some thresholds to others.

    Attributes:
        come, gone: for each tag in how many images it comes or goes.
        images: how many images get other tags than before.
    """

    come: Counter[str]
    gone: Counter[str]
    images: int


class ScoreTable:
    """The scores of many images by one model, ready for any threshold from :data:`LEAST` on."""

    def __init__(self, vocabulary: Vocabulary, rows: Iterable[Row]) -> None:
        self._names = vocabulary.names
        self.categories = tuple(dict.fromkeys(one for one in vocabulary.categories if one != RATING))
        of_category = {
            category: bytes(one == category for one in vocabulary.categories) for category in self.categories
        }
        self._scores: dict[str, list[array[float]]] = {category: [] for category in self.categories}
        self._places: dict[str, list[array[int]]] = {category: [] for category in self.categories}
        self._merged: dict[str, list[float]] = {}  # of all images, made when a curve is first asked for
        self.images = 0
        for row in rows:
            self.images += 1
            end = bisect_left(row.scores, -LEAST, key=lambda score: -score)
            places, scores = row.places[:end], row.scores[:end]
            places.reverse()
            scores.reverse()
            for category, inside in of_category.items():
                held = bytes(map(inside.__getitem__, places))
                self._scores[category].append(array("f", compress(scores, held)))
                self._places[category].append(array("I", compress(places, held)))

    def at_threshold(self, thresholds: Thresholds) -> Level:
        """How many tags the images would get: a search for each image and category, milliseconds for thousands."""
        by_category, total = {}, [0] * self.images
        for category in self.categories:
            limit = max(thresholds.of(category), LEAST)
            several = [len(scores) - bisect_left(scores, limit) for scores in self._scores[category]]
            by_category[category] = sum(several)
            total = list(map(add, total, several))
        return Level(sum(total), self.images, total.count(0), by_category)

    def curve(self, category: str, steps: Sequence[float]) -> list[int]:
        """How many tags of a category all images together would get at each of some thresholds."""
        if category not in self._merged:
            self._merged[category] = sorted(chain.from_iterable(self._scores[category]))
        scores = self._merged[category]
        return [len(scores) - bisect_left(scores, array("f", (max(step, LEAST),))[0]) for step in steps]

    def difference(self, before: Thresholds, after: Thresholds) -> Difference:
        """Which tags come and go when thresholds change."""
        come: Counter[int] = Counter()
        gone: Counter[int] = Counter()
        changed = bytearray(self.images)
        for category in self.categories:
            old, new = self._starts(category, before), self._starts(category, after)
            places = self._places[category]
            for image, ((_scores, was), (_same, now)) in enumerate(zip(old, new, strict=True)):
                if was != now:
                    changed[image] = 1
                    (come if now < was else gone).update(places[image][min(was, now) : max(was, now)])
        return Difference(self._named(come), self._named(gone), sum(changed))

    def tags(self, thresholds: Thresholds) -> Counter[str]:
        """For each tag the number of images that would get it."""
        found: Counter[int] = Counter()
        for category in self.categories:
            starts = self._starts(category, thresholds)
            for places, (_scores, start) in zip(self._places[category], starts, strict=True):
                found.update(places[start:])
        return self._named(found)

    def _starts(self, category: str, thresholds: Thresholds) -> list[tuple[array[float], int]]:
        """For each image its scores of a category, rising, and where those begin that reach their threshold."""
        limit = max(thresholds.of(category), LEAST)
        return [(scores, bisect_left(scores, limit)) for scores in self._scores[category]]

    def _named(self, counted: Counter[int]) -> Counter[str]:
        names = self._names
        return Counter({names[place]: number for place, number in counted.items()})
