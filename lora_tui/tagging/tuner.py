"""What would change in captions under other thresholds and rules, counted while a slider moves: ten thousand images in
a few hundredths of a second.

The whole is counted once. A threshold that moves afterwards only touches the images of which it takes or gives a tag.
Counted are tags, whatever their case, underscores and escapes; the order in which they stand is not.
"""

from __future__ import annotations

import threading
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain

from lora_tui.captions.vocabulary import folded
from lora_tui.tagging.combine import enough
from lora_tui.tagging.hub import StoppedError
from lora_tui.tagging.kept import Kept, Said, split_row, thresholds_of
from lora_tui.tagging.request import Request
from lora_tui.tagging.rules import Found, Thresholds, compose
from lora_tui.tagging.run import together
from lora_tui.tagging.vocabulary import CHARACTER, GENERAL, RATING

ASKED_EVERY = 500
"""Images between two questions whether to stop."""


@dataclass(frozen=True)
class Counted:
    """What would change in all captions together.

    Attributes:
        images: whose captions get other tags, or sentences.
        come, go: tags that captions get and lose.
        tags: that are written, those that are there already included.
        without: images of which nothing is written, so that their captions stay.
        total: images that there are.
    """

    images: int = 0
    come: int = 0
    go: int = 0
    tags: int = 0
    without: int = 0
    total: int = 0


@dataclass(frozen=True)
class TagCount:
    """One tag: how many captions get it and lose it, and how many more have it written than at the beginning."""

    tag: str
    come: int
    go: int
    since: int


class _Column:
    """The scores of one model in one category, image by image."""

    def __init__(self, category: str) -> None:
        self.category = category
        self.scores: list[array[float]] = []
        self.places: list[array[int]] = []

    @cached_property
    def total(self) -> int:
        """All scores of all images."""
        return sum(map(len, self.scores))

    def starts(self, said: Said, request: Request, model: int) -> array[int]:
        """For each image where the scores begin that reach their threshold."""
        limits = thresholds_of(request, model) or request.rules.thresholds
        if request.rules.mcut and said.cuts and self.category in said.cuts[0]:
            cut = (cuts[self.category] for cuts in said.cuts)
            return array("I", map(bisect_left, self.scores, cut))
        limit = limits.of(self.category)
        return array("I", [bisect_left(scores, limit) for scores in self.scores])


class _Model:
    """One model's scores with what its tags are called in captions."""

    def __init__(self, said: Said, number: int) -> None:
        vocabulary = said.model.vocabulary
        assert vocabulary is not None
        self.said, self.number, self.vocabulary = said, number, vocabulary
        categories = tuple(dict.fromkeys(one for one in vocabulary.categories if one != RATING))
        inside = {
            category: bytes(one == category for one in vocabulary.categories) for category in (*categories, RATING)
        }
        self.columns = [_Column(category) for category in categories]
        self.ratings: list[tuple[int, float] | None] = []
        for row in said.rows:
            split = split_row(row, inside)
            for column in self.columns:
                scores, places = split[column.category]
                column.scores.append(scores)
                column.places.append(places)
            scores, places = split[RATING]
            self.ratings.append((places[-1], scores[-1]) if scores else None)

    def places(self) -> set[int]:
        """All that any image may get."""
        found = {one[0] for one in self.ratings if one is not None}
        return found.union(*chain.from_iterable(column.places for column in self.columns))

    def starts(self, request: Request) -> list[array[int]]:
        return [column.starts(self.said, request, self.number) for column in self.columns]


Starts = list["list[array[int]]"]
"""For each model and each of its categories, where the scores of each image begin that reach their threshold."""


Codes = dict[int, tuple[int, ...]]
"""What is written for a model's tags: the numbers of the tuner's own by places of the vocabulary."""


class Tuner:
    """Counts what a request changes, from :class:`~lora_tui.tagging.kept.Kept` answers.

    May be asked from several threads: :meth:`turn`, :meth:`lines` and :meth:`places_of` wait for one another, so that
    none sees what another has half counted; :meth:`found` waits for none and is for the thread that draws.

    Attributes:
        request: that is counted.
        counted: the sums.
    """

    def __init__(self, kept: Kept, request: Request, *, should_stop: Callable[[], bool] = lambda: False) -> None:
        self.request, self.counted = request, Counted()
        self._turn = threading.RLock()
        self._kept = kept
        self._models = [_Model(said, number) for number, said in enumerate(kept.said) if said.model.vocabulary]
        self._ids: dict[str, int] = {}
        self._names: list[str] = []
        self._there = [tuple({self._id(tag) for tag in kept.tags_before(place)}) for place in range(len(kept.images))]
        self._texts = [kept.has_text(place) for place in range(len(kept.images))]
        self._extra = [self._said_as_text(place) if text else () for place, text in enumerate(self._texts)]
        self._base: list[int] = []
        self._codes: list[Codes] = []
        self._count_all(should_stop)
        self._base = list(self._written)

    # -- asking

    def turn(self, request: Request, *, should_stop: Callable[[], bool] = lambda: False) -> Counted:
        """Count under other thresholds or rules, for the same models.

        Raises:
            StoppedError: ``should_stop`` said yes; what is counted is that of before.
        """
        with self._turn:
            before, self.request = self.request, request
            try:
                if _but_thresholds(before) == _but_thresholds(request):
                    self._move(should_stop)
                else:
                    self._count_all(should_stop)
            except StoppedError:
                self.request = before
                raise
            return self.counted

    def lines(self, *, by_change: bool = False) -> list[TagCount]:
        """The tags that come, go, or are written for more or fewer images than at the beginning; most first."""
        found = []
        with self._turn:
            for number, name in enumerate(self._names):
                since = self._written[number] - (self._base[number] if number < len(self._base) else 0)
                if self._come[number] or self._go[number] or since:
                    found.append(TagCount(name, self._come[number], self._go[number], since))
        if by_change:
            return sorted(found, key=lambda one: (-abs(one.since), -one.come - one.go, one.tag))
        return sorted(found, key=lambda one: (-one.come - one.go, -abs(one.since), one.tag))

    def places_of(self, tag: str) -> list[int]:
        """The images whose captions would get or lose a tag."""
        found = []
        with self._turn:
            number = self._ids.get(folded(tag), -1)
            replacing = self.request.existing == "replace"
            for place, there in enumerate(self._there):
                keys = self._keys(place, self._starts)
                if (number in keys) != (number in there) and (number in keys or (replacing and keys)):
                    found.append(place)
        return found

    def found(self, kind: str, model: int = -1) -> int:
        """How many tags of a category reach its threshold: ``general``, ``character``, ``other``; ``own``: the general
        tags of one model with a threshold of its own."""
        total = 0
        for one, own in zip(self._models, self._starts, strict=True):
            has_own = self.request.models[one.number].threshold is not None
            for column, starts in zip(one.columns, own, strict=True):
                category = column.category if column.category in (GENERAL, CHARACTER) else "other"
                if category != CHARACTER and has_own:
                    category = "own" if category == GENERAL and one.number == model else ""
                if category == kind:
                    total += column.total - sum(starts)
        return total

    # -- counting

    def _count_all(self, should_stop: Callable[[], bool]) -> None:
        """Count every image anew, and note of each how many tags it gets in all, new, and loses."""
        codes, size = self._meanings(), len(self._names)
        starts = [model.starts(self.request) for model in self._models]
        before = self._codes
        self._codes = codes
        come, go, written = [0] * size, [0] * size, [0] * size
        tallies = []
        for place in range(len(self._there)):
            if place % ASKED_EVERY == 0 and should_stop():
                self._codes = before
                raise StoppedError
            keys = self._keys(place, starts)
            comes, goes = self._changes(place, keys)
            for counts, some in ((come, comes), (go, goes), (written, keys)):
                for key in some:
                    counts[key] += 1
            tallies.append([len(keys), len(comes), len(goes)])
        self._come, self._go, self._written, self._tallies, self._starts = come, go, written, tallies, starts
        self._shared = _shared(codes) | {key + 1 for keys in self._extra for key in keys}
        if self.request.trigger:
            self._shared.add(self._id(self.request.trigger) + 1)
        self._sum()

    def _move(self, should_stop: Callable[[], bool]) -> None:
        """Count again where a threshold gives or takes a tag."""
        old, new = self._starts, [model.starts(self.request) for model in self._models]
        if should_stop():
            raise StoppedError
        touched: dict[int, list[int]] = {}
        for model, codes, before, after in zip(self._models, self._codes, old, new, strict=True):
            for column, were, are in zip(model.columns, before, after, strict=True):
                if were != are:
                    _note_touched(touched, column, codes, were, are)
        limits = [_rating_limits(request) for request in (self._counted_for, self.request)]
        whole: Iterable[int] = ()
        if self.request.rules.rating != "off" and limits[0] != limits[1]:
            whole = range(len(self._there))
        elif self.request.combine != "union" and len(self._models) > 1:
            whole = touched
        if not whole:
            whole = [place for place, signed in touched.items() if not self._nudge(place, signed)]
        for place in whole:
            self._renew(place, self._keys(place, old, self._counted_for), self._keys(place, new))
        self._starts = new
        self._sum()

    def _nudge(self, place: int, signed: list[int]) -> bool:
        """Count some tags that an image gets (their numbers plus one) or loses (the same, negative); false where that
        is not all that changes: its first or last tag, or one that it has for several reasons."""
        tally, there = self._tallies[place], self._there[place]
        after = tally[0] + sum(1 if key > 0 else -1 for key in signed)
        if not tally[0] or after <= bool(self.request.trigger) or not self._shared.isdisjoint(map(abs, signed)):
            return False
        replacing = self.request.existing == "replace"
        come, go, written = self._come, self._go, self._written
        for key in signed:
            step, key = (1, key - 1) if key > 0 else (-1, -key - 1)
            written[key] += step
            if key not in there:
                come[key] += step
                tally[1] += step
            elif replacing:
                go[key] -= step
                tally[2] -= step
        tally[0] = after
        return True

    def _renew(self, place: int, was: set[int], now: set[int]) -> None:
        """Count an image anew whose tags were others."""
        if was != now:
            comes, goes = self._changes(place, now)
            before = self._changes(place, was)
            _shift(self._come, before[0], comes)
            _shift(self._go, before[1], goes)
            _shift(self._written, was, now)
            self._tallies[place] = [len(now), len(comes), len(goes)]

    def _sum(self) -> None:
        self._counted_for = self.request
        images = without = 0
        for (tags, come, go), text in zip(self._tallies, self._texts, strict=True):
            if come or go or text:
                images += 1
            elif not tags:
                without += 1
        self.counted = Counted(images, sum(self._come), sum(self._go), sum(self._written), without, len(self._there))

    def _changes(self, place: int, keys: set[int]) -> tuple[set[int], set[int]]:
        """Which tags come and which go."""
        there = self._there[place]
        go: set[int] = set()
        if self.request.existing == "replace" and (keys or self._texts[place]):
            go = set(there).difference(keys)
        return keys.difference(there), go

    # -- tags of an image

    def _keys(self, place: int, starts: Starts, request: Request | None = None) -> set[int]:
        """The tags that would be written of an image."""
        request = request or self.request
        found = [
            set().union(
                *(column.places[place][these[place] :] for column, these in zip(model.columns, own, strict=True))
            )
            for model, own in zip(self._models, starts, strict=True)
        ]
        keys: set[int] = set(self._extra[place])
        if len(found) > 1 and request.combine != "union":
            keys.update(self._agreed(found, request))
        else:
            for chosen, codes in zip(found, self._codes, strict=True):
                keys.update(*map(codes.__getitem__, chosen))
        if request.rules.rating != "off":
            keys.update(self._rating(place, request))
        if request.trigger and (keys or self._texts[place]):
            keys.add(self._id(request.trigger))
        return keys

    def _agreed(self, found: list[set[int]], request: Request) -> Iterable[int]:
        """The tags on which enough models agree."""
        several: dict[str, list[tuple[Found, tuple[int, ...]]]] = {}
        for chosen, model, codes in zip(found, self._models, self._codes, strict=True):
            names, categories = model.vocabulary.names, model.vocabulary.categories
            own = {folded(names[place]): place for place in chosen}
            for key, place in own.items():
                one = Found(names[place], 1.0, categories[place], place)
                several.setdefault(key, []).append((one, codes[place]))
        known = [model.vocabulary for model in self._models]
        for same in several.values():
            if enough([one for one, _code in same], request.combine, request.votes, len(known), known):
                yield from same[0][1]

    def _rating(self, place: int, request: Request) -> Iterable[int]:
        best: tuple[float, Iterable[int]] = (-1.0, ())
        for model, codes in zip(self._models, self._codes, strict=True):
            rated = model.ratings[place]
            limits = thresholds_of(request, model.number) or request.rules.thresholds
            if rated is not None and rated[1] >= limits.of(RATING) and rated[1] > best[0]:
                best = rated[1], codes[rated[0]]
        return best[1]

    # -- what tags are called

    def _meanings(self) -> list[Codes]:
        """For each model what is written for each of its tags."""
        if self.request.trigger:
            self._id(self.request.trigger)
        rules, found = self.request.rules, []
        for model in self._models:
            names, categories = model.vocabulary.names, model.vocabulary.categories
            found.append({
                place: tuple(
                    self._id(tag) for tag in compose((Found(names[place], 1.0, categories[place], place),), rules)
                )
                for place in model.places()
            })  # fmt: skip
        return found

    def _id(self, tag: str) -> int:
        key = folded(tag)
        number = self._ids.get(key)
        if number is None:
            number = self._ids[key] = len(self._names)
            self._names.append(tag)
        return number

    def _said_as_text(self, place: int) -> tuple[int, ...]:
        """The tags that a server wrote which was asked for tags."""
        kept = self._kept
        texts = [one.texts[place] for one in kept.said if one.texts]
        return tuple(self._id(tag) for tag in together((), (), texts, self.request, kept.models).tags)


def _note_touched(
    touched: dict[int, list[int]], column: _Column, codes: Codes, were: array[int], are: array[int]
) -> None:
    """For each image whose scores begin elsewhere now, what it gets and loses by that, see ``Tuner._nudge``."""
    for place, (was, now) in enumerate(zip(were, are, strict=True)):
        if was != now:
            signed = touched.setdefault(place, [])
            step = 1 if now < was else -1
            for tag in column.places[place][min(was, now) : max(was, now)]:
                signed.extend([step * (key + 1) for key in codes[tag]])


def _shared(several: list[Codes]) -> set[int]:
    """Tags (their numbers plus one) that are written for more than one tag of the models."""
    seen: set[int] = set()
    found: set[int] = set()
    for code in chain.from_iterable(codes.values() for codes in several):
        for key in code:
            (found if key in seen else seen).add(key)
    return {key + 1 for key in found}


def _rating_limits(request: Request) -> list[float]:
    rules = request.rules.thresholds
    return [(thresholds_of(request, number) or rules).of(RATING) for number in range(len(request.models))]


def _shift(counts: list[int], before: set[int], after: set[int]) -> None:
    for key in after - before:
        counts[key] += 1
    for key in before - after:
        counts[key] -= 1


def _but_thresholds(request: Request) -> Request:
    """The request without what a slider moves."""
    models = tuple(replace(one, threshold=None if one.threshold is None else 0.0) for one in request.models)
    return replace(request, models=models, rules=replace(request.rules, thresholds=Thresholds()))
