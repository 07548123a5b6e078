"""What a model thought of one image: the tags that it gave any weight, the most certain first.

A model knows ten thousand tags and believes in fifty of them. What it holds for next to impossible is left out, which
makes a row a twentieth of the whole and loses nothing that a threshold could ask for. No numpy: the app, the filters
and the commands read rows, too.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable

from lora_tui.errors import UserError
from lora_tui.text import _

FLOOR = 0.001
"""Scores below are not kept; they count as 0."""


class Row:
    """The scores of one image, from the highest to the lowest; equal ones in the order of the vocabulary.

    Attributes:
        places: which tag of the vocabulary, from 0.
        scores: the model's confidence in each, :data:`FLOOR` to 1.
    """

    __slots__ = ("places", "scores")

    def __init__(self, places: array[int], scores: array[float]) -> None:
        self.places, self.scores = places, scores

    @classmethod
    def of(cls, scores: Iterable[float]) -> Row:
        """The row of all scores of a vocabulary in its order.

        Raises:
            UserError: ``tagger.scores`` when they are no confidences: not numbers, or outside of 0 to 1.
        """
        kept = []
        for place, score in enumerate(scores):
            if not -0.01 <= score <= 1.01:  # NaN, too
                raise no_confidences()
            if score >= FLOOR:
                kept.append((-score, place))
        kept.sort()
        return cls(array("I", [place for _score, place in kept]), array("f", [min(-score, 1.0) for score, _p in kept]))

    @classmethod
    def unpacked(cls, data: bytes) -> Row:
        """The row that :meth:`packed` wrote.

        Raises:
            ValueError: it is damaged.
        """
        places, scores = array("I"), array("f")
        if len(data) % (places.itemsize + scores.itemsize):
            raise ValueError("not a row")
        middle = len(data) // 2
        places.frombytes(data[:middle])
        scores.frombytes(data[middle:])
        return cls(places, scores)

    def packed(self) -> bytes:
        """The row as bytes of this machine: 32-bit places, then 32-bit floats."""
        return self.places.tobytes() + self.scores.tobytes()

    def score(self, place: int) -> float:
        """The score of one tag of the vocabulary; 0 when it was next to impossible."""
        try:
            return self.scores[self.places.index(place)]
        except ValueError:
            return 0.0

    def __len__(self) -> int:
        return len(self.places)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Row) and (self.places, self.scores) == (other.places, other.scores)

    def __hash__(self) -> int:
        return hash(self.packed())


def no_confidences() -> UserError:
    """The error of a model whose output cannot be confidences."""
    return UserError(
        _("The model's output is not between 0 and 1, so it is no confidence in tags."),
        remedy=_("If it gives logits, describe it with “sigmoid = true”; see docs/tagging.md."),
        code="tagger.scores",
    )
