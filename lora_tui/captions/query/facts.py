"""What a filter may ask for that captions do not know: images, history, scores. The caller brings what it has."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from lora_tui.captions.query.corpus import EntryLike

if TYPE_CHECKING:
    from lora_tui.captions.query.saved import SavedFilter


class ImageFacts(Protocol):
    """One image.

    Attributes:
        width, height: px.
        bucket: (width, height) px that it is trained at; none when it is in no bucket.
        mtime: when the image file was last changed, seconds since 1970.
        duplicates: the name of its group of near-duplicates; empty when it has none.
    """

    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def bucket(self) -> tuple[int, int] | None: ...
    @property
    def mtime(self) -> float: ...
    @property
    def duplicates(self) -> str: ...


class Facts(Protocol):
    """The images of a dataset."""

    def image(self, number: int) -> ImageFacts | None:
        """The facts of an entry's image; none when it cannot be read."""

    def noted(self) -> Callable[[int], Collection[str]]:
        """Gives what a person has noted of an entry's picture, by now: ``excluded``, ``cropped``, ``seen``."""


class History(Protocol):
    """What the journal knows of a dataset's captions."""

    def authors(self, number: int) -> Collection[str]:
        """Who has changed the caption: names of persons, taggers and rules."""

    def edited(self, number: int) -> float | None:
        """When it was last changed, seconds since 1970; none when it never was."""

    def modified(self) -> Set[int]:
        """The captions that are not as they were when the session began."""

    def added(self, run: str) -> Set[int]:
        """The captions to which a run of a tagger added tags: ``last-run``, or a tagger's name."""

    def reviewed(self) -> Set[int]:
        """The captions that a person has marked as reviewed."""


class Scores(Protocol):
    """What a tagger thought of each image."""

    def score(self, number: int, tag: str) -> float | None:
        """Its confidence from 0 to 1; none when it never saw the image or does not know the tag."""


@dataclass(frozen=True)
class Context:
    """All that a filter may ask for beyond the captions; what is none makes the words that need it an error.

    Attributes:
        keep_tokens: how many tags in front are fixed.
        keep: gives the number of fixed tags of an entry where that differs, as with ``|||``.
        trigger: the trigger word; ``trigger`` in a function means it.
        tokens: counts the tokens of a caption as the text encoder will see it.
        category: gives the category of a tag, such as ``character``; empty when it is unknown.
        lint: gives the codes of an entry's problems.
        prose: says whether a caption is sentences rather than tags.
        sets: named sets of entries, such as ``marked``.
        saved: the dataset's saved filters.
        now: seconds since 1970, for ``-7d`` and ``today``.
        seconds: how long all regular expressions of a filter may take together.
    """

    keep_tokens: int = 0
    keep: Callable[[EntryLike], int] | None = None
    trigger: str = ""
    facts: Facts | None = None
    history: History | None = None
    scores: Scores | None = None
    tokens: Callable[[str], int] | None = None
    category: Callable[[str], str] | None = None
    lint: Callable[[int], Collection[str]] | None = None
    prose: Callable[[EntryLike], bool] | None = None
    sets: Mapping[str, Set[int]] = field(default_factory=dict)
    saved: Mapping[str, SavedFilter] = field(default_factory=dict)
    now: float = field(default_factory=time.time)
    seconds: float = 2.0

    def kept(self, entry: EntryLike) -> int:
        """How many tags in front of an entry's caption are fixed."""
        return self.keep_tokens if self.keep is None else self.keep(entry)
