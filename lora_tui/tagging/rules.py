"""From scores to tags: thresholds, order and spelling. Pure functions; nothing here looks at an image or a file.

:func:`select` says which tags a model found, :func:`compose` how they are written. In between, several models may be
combined.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Literal, NamedTuple

from lora_tui.captions.kaomoji import spaced
from lora_tui.captions.operations.spelling import SPELLINGS
from lora_tui.captions.vocabulary import folded, glob_expression
from lora_tui.errors import UserError
from lora_tui.tagging.rows import FLOOR, Row
from lora_tui.tagging.vocabulary import CHARACTER, GENERAL, RATING, Vocabulary
from lora_tui.text import _

MCUT_LEAST = 0.15
"""No threshold that MCut finds is lower: where a model believes in nothing, its greatest doubt is no tag."""

_SERIES = re.compile(r".*[^\s_(][\s_]*\((?P<series>[^()]+)\)\Z", re.DOTALL)

Place = Literal["off", "first", "last"]


class Found(NamedTuple):
    """A tag that a model found.

    Attributes:
        name: as the model's list spells it.
        score: 0 to 1.
        category: see :mod:`~lora_tui.tagging.vocabulary`.
        place: in the model's vocabulary.
    """

    name: str
    score: float
    category: str
    place: int


@dataclass(frozen=True)
class Thresholds:
    """The least score of a tag by its category; above 1 a category is left out.

    Attributes:
        general, character: of these categories.
        other: of all further ones (copyright, artist, meta and what else a list names); none means ``general``.
        rating: of the likeliest rating, see :attr:`Rules.rating`.
    """

    general: float = 0.35
    character: float = 0.85
    other: float | None = None
    rating: float = 0.0

    def __post_init__(self) -> None:
        for value in (self.general, self.character, self.other, self.rating):
            if value is not None and not 0 <= value < 1_000:
                raise UserError(
                    _("A threshold is a number from 0 to 1; above 1 the category is left out."), code="tagger.threshold"
                )

    def of(self, category: str) -> float:
        """The threshold of a category, at least what rows keep; as the 32-bit number that scores are, so that 0.35
        reaches 0.35."""
        known = {GENERAL: self.general, CHARACTER: self.character, RATING: self.rating}
        value = known.get(category, self.general if self.other is None else self.other)
        return array("f", (max(value, FLOOR),))[0]


@dataclass(frozen=True)
class Rules:
    """How scores become the tags of a caption.

    Attributes:
        thresholds: for models that bring none of their own.
        mcut: instead of the thresholds of general and character tags, cut each image's scores at their greatest gap
            (Largeron, Moulin and Gery 2012, MCut), not below :data:`MCUT_LEAST`.
        rating: where the likeliest rating goes; ``off`` leaves ratings out.
        order: ``confidence`` or ``vocabulary``, the order of the model's list.
        character_first: characters before everything else.
        undesired: tags that are never written; ``*`` and ``?`` are wild.
        first: tags that go to the front, in this order, where they were found.
        replace: another text for a tag, empty for none; several tags with commas.
        expand_characters: behind ``name_(series)`` also write ``series``.
        underscores: keep them; else they become blanks, but for faces such as ``^_^``.
        escape: a backslash before brackets, as prompts of A1111 need them; faces stay.
    """

    thresholds: Thresholds = field(default_factory=Thresholds)
    mcut: bool = False
    rating: Place = "off"
    order: Literal["confidence", "vocabulary"] = "confidence"
    character_first: bool = False
    undesired: tuple[str, ...] = ()
    first: tuple[str, ...] = ()
    replace: tuple[tuple[str, str], ...] = ()
    expand_characters: bool = False
    underscores: bool = False
    escape: bool = False

    @cached_property
    def _replaced(self) -> Mapping[str, tuple[str, ...]]:
        return {folded(old): split(new) for old, new in self.replace}

    @cached_property
    def _unwanted(self) -> re.Pattern[str] | None:
        patterns = [glob_expression(folded(tag)).pattern for tag in self.undesired if tag.strip()]
        return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.IGNORECASE) if patterns else None

    def unwanted(self, name: str) -> bool:
        """Whether a tag is one of those that are never written, in whatever spelling."""
        return self._unwanted is not None and self._unwanted.match(folded(name)) is not None

    def spelled(self, name: str) -> str:
        """A tag with blanks for underscores where that is wanted."""
        return name if self.underscores else spaced(name)

    def replaced(self, tag: str) -> tuple[str, ...]:
        """What is written for a tag: itself, another, several, or none."""
        return self._replaced.get(folded(tag), (tag,))


def split(text: str) -> tuple[str, ...]:
    """The tags of a list with commas as a person writes it."""
    return tuple(part for part in map(str.strip, text.split(",")) if part)


def select(
    row: Row,
    vocabulary: Vocabulary,
    rules: Rules,
    thresholds: Thresholds | None = None,
    cuts: Mapping[str, float] | None = None,
) -> tuple[Found, ...]:
    """The tags of a row that reach their thresholds, and the likeliest rating, from the most certain on.

    Args:
        thresholds: of the model, where it has some of its own.
        cuts: what :func:`mcut` found in the whole row, where this one holds only a part of it.
    """
    limits = rules.thresholds if thresholds is None else thresholds
    cut = (mcut(row, vocabulary) if cuts is None else cuts) if rules.mcut else {}
    names, categories = vocabulary.names, vocabulary.categories
    known: dict[str, float] = {}
    found, rated = [], rules.rating == "off"
    for place, score in zip(row.places, row.scores, strict=True):
        category = categories[place]
        limit = known.get(category)
        if limit is None:
            limit = known[category] = cut.get(category, limits.of(category))
        if category == RATING:
            if not rated and score >= limit:
                found.append(Found(names[place], score, category, place))
            rated = True
        elif score >= limit:
            found.append(Found(names[place], score, category, place))
    return tuple(found)


def mcut(row: Row, vocabulary: Vocabulary) -> dict[str, float]:
    """For general and for character tags the middle of the greatest gap between two scores of this image.

    Scores that rows do not keep count as 0, so there is always a gap below the last one.
    """
    cuts = {}
    for category in (GENERAL, CHARACTER):
        scores = [
            score
            for place, score in zip(row.places, row.scores, strict=True)
            if vocabulary.categories[place] == category
        ]
        scores.append(0.0)
        gaps = [(high - low, (high + low) / 2) for high, low in pairwise(scores)]
        cuts[category] = max(max(gaps, key=lambda gap: gap[0])[1] if gaps else 1.0, MCUT_LEAST)
    return cuts


def compose(found: Sequence[Found], rules: Rules) -> tuple[str, ...]:
    """The tags to be written, in their order and spelling, each once.

    A name that holds a comma or nothing is left out: in a caption it would be other tags.
    """
    ratings = [one.name for one in found if one.category == RATING]
    names = [one.name for one in _ordered([one for one in found if one.category != RATING], rules)]
    tags: dict[str, str] = {}
    for name in _expanded(names, found, rules):
        _write(tags, name, rules)
    front = [key for key in dict.fromkeys(map(folded, rules.first)) if key in tags]
    tags = {key: tags[key] for key in front} | tags
    if ratings:
        rating: dict[str, str] = {}
        _write(rating, ratings[0], rules)
        tags = (
            rating | tags if rules.rating == "first" else {key: tags[key] for key in tags if key not in rating} | rating
        )
    return tuple(SPELLINGS["escape"](tag) for tag in tags.values()) if rules.escape else tuple(tags.values())


def _ordered(found: list[Found], rules: Rules) -> list[Found]:
    def key(one: Found) -> tuple[bool, float, int]:
        behind = rules.character_first and one.category != CHARACTER
        return behind, 0.0 if rules.order == "vocabulary" else -one.score, one.place

    return sorted(found, key=key)


def _expanded(names: Iterable[str], found: Sequence[Found], rules: Rules) -> list[str]:
    """The names with the series of each character behind it."""
    if not rules.expand_characters:
        return list(names)
    characters = {one.name for one in found if one.category == CHARACTER}
    whole = []
    for name in names:
        whole.append(name)
        if name in characters and (series := _SERIES.match(name)):
            whole.append(series["series"].strip(" _"))
    return whole


def _write(tags: dict[str, str], name: str, rules: Rules) -> None:
    """Note what is written for a tag, unless it is unwanted or there already."""
    if rules.unwanted(name):
        return
    for tag in rules.replaced(rules.spelled(name)):
        if "," not in tag and tag.strip() and not rules.unwanted(tag):
            tags.setdefault(folded(tag), tag)
