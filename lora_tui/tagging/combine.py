"""Several models about one image: the tags of any, of all, or of most. Pure functions.

Tags are the same whatever their case, underscores and escapes; the first model's spelling is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from lora_tui.captions.vocabulary import folded
from lora_tui.tagging.rules import Found
from lora_tui.tagging.vocabulary import RATING, Vocabulary

Combination = Literal["union", "intersection", "vote"]


def combine(
    answers: Sequence[Sequence[Found]],
    how: Combination = "union",
    *,
    vocabularies: Sequence[Vocabulary] = (),
    votes: int = 0,
) -> tuple[Found, ...]:
    """One answer of several models, the most certain tags first.

    The score of a tag is the highest that it got in a union, else the mean of the models that found it. The rating is
    that of the model which is surest of its own, whatever the combination.

    Args:
        answers: of each model.
        how: ``union`` takes what any model found, ``intersection`` what all found, ``vote`` what enough did.
        vocabularies: of the models in the same order; without them every model is taken to know every tag.
        votes: how many are enough; 0 for more than half of those that know the tag.
    """
    if len(answers) == 1:
        return tuple(answers[0])
    found: dict[str, list[Found]] = {}
    ratings: list[Found] = []
    for number, answer in enumerate(answers):
        seen = set()
        for one in answer:
            key = folded(one.name)
            if one.category == RATING:
                ratings.append(one)
            elif key not in seen:
                seen.add(key)
                place = one.place + sum(map(len, vocabularies[:number]))
                found.setdefault(key, []).append(one._replace(place=place))
    kept = [
        _joined(several, how) for several in found.values() if enough(several, how, votes, len(answers), vocabularies)
    ]
    if ratings:
        kept.append(max(ratings, key=lambda one: one.score))
    return tuple(sorted(kept, key=lambda one: (-one.score, one.place)))


def enough(several: list[Found], how: Combination, votes: int, models: int, known: Sequence[Vocabulary]) -> bool:
    """Whether a tag that ``several`` of so many models found is taken."""
    if how == "union":
        return True
    if how == "intersection":
        return len(several) == models
    if votes:
        return len(several) >= votes
    able = sum(1 for vocabulary in known if vocabulary.place(several[0].name) is not None) if known else models
    return 2 * len(several) > able


def _joined(several: list[Found], how: Combination) -> Found:
    scores = [one.score for one in several]
    return several[0]._replace(score=max(scores) if how == "union" else sum(scores) / len(scores))
