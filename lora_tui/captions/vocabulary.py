"""The tags of a dataset by their spelling: which differ in case, underscores or escapes alone, and which are near.

Answers are kept until a tag appears or vanishes.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable
from fnmatch import translate
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from lora_tui.captions.kaomoji import spaced, underscored

if TYPE_CHECKING:
    from lora_tui.captions.index import Index

_ESCAPED = re.compile(r"\\([()\[\]{}])")


@lru_cache(maxsize=1 << 16)
def folded(tag: str) -> str:
    """What is left of ``tag`` without case, underscores, bracket escapes and doubled blanks; faces stay."""
    if "\\" in tag:
        tag = _ESCAPED.sub(r"\1", tag)
    tag = spaced(tag)
    return " ".join(tag.casefold().split()) if "  " in tag or not tag.isascii() else tag.lower().strip()


class Row(NamedTuple):
    """A line of the vocabulary: a tag, how many captions in scope have it, and how many in all."""

    tag: str
    in_scope: int
    total: int


class Vocabulary:
    """Searches among the tags of an :class:`Index`."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._revision = -1
        self._spellings: dict[str, list[str]] = {}

    def spellings(self, word: str) -> tuple[str, ...]:
        """The tags that ``word`` may mean: itself in every mixture of underscores and blanks, faces excepted.

        When none is so, those that differ in spelling alone.
        """
        key = spaced(word)
        few = word.count(" ") + word.count("_") < 2  # what most tags are is looked up, without a look at all others
        likely = dict.fromkeys((word, key, underscored(word))) if few else self.same(word)
        found = tuple(tag for tag in likely if tag in self._index and spaced(tag) == key)
        return found or self.same(word)

    def same(self, word: str) -> tuple[str, ...]:
        """All tags that differ from ``word`` in nothing but spelling, among them ``word`` itself if it is one."""
        return tuple(self._folded().get(folded(word), ()))

    def variants(self) -> list[tuple[str, ...]]:
        """The groups of tags that differ in spelling alone, the most frequent first in each."""
        count = self._index.count
        groups = (group for group in self._folded().values() if len(group) > 1)
        return [tuple(sorted(group, key=lambda tag: (-count(tag), tag))) for group in groups]

    def globbed(self, pattern: str) -> list[str]:
        """The tags that match a pattern of ``*``, ``?`` and ``\\`` before one that is meant; case is ignored."""
        matches = glob_expression(pattern).match
        return [tag for tag in self._index.tags() if matches(tag)]

    def near(self, word: str, limit: int = 3) -> list[str]:
        """Tags that may have been meant by ``word``, which is none: they begin with it, hold it, or look like it."""
        wanted = folded(word)
        if not wanted:
            return []
        known = self._folded()
        count = self._index.count
        beginning = [key for key in known if key.startswith(wanted)]
        found = beginning or [key for key in known if wanted in key]
        if not found:  # the dear comparison only with those of its length that share a beginning or an end
            size, ends = len(wanted), (wanted[:2], wanted[-2:])
            likely = [key for key in known if abs(len(key) - size) < 3 and (key[:2] == ends[0] or key[-2:] == ends[1])]
            found = difflib.get_close_matches(wanted, likely[:2000], limit)
        tags = [tag for key in found for tag in known[key]]
        return sorted(tags, key=lambda tag: (-count(tag), tag))[:limit]

    def rows(self, numbers: Collection[int] | None = None, *, by: str = "count") -> list[Row]:
        """Every tag with its counts, the most frequent in scope first.

        Args:
            numbers: the captions in scope; all when none are given, and then tags outside the scope are left out.
            by: ``count``, ``name``, ``length``, or ``first`` (as they were first seen).
        """
        totals = self._index.counts()
        scope = totals if numbers is None else self._index.counts_in(numbers)
        tags = list(scope)
        if by != "first":
            tags.sort()
        if by == "count":
            if numbers is not None:
                tags.sort(key=totals.__getitem__, reverse=True)
            tags.sort(key=scope.__getitem__, reverse=True)
        elif by == "name":
            tags.sort(key=str.casefold)
        elif by == "length":
            tags.sort(key=len, reverse=True)
        return list(map(Row, tags, map(scope.__getitem__, tags), map(totals.__getitem__, tags)))

    def _folded(self) -> dict[str, list[str]]:
        if self._revision != self._index.revision:
            self._spellings = _grouped(self._index.tags())
            self._revision = self._index.revision
        return self._spellings


def glob_expression(pattern: str) -> re.Pattern[str]:
    """A pattern of ``*``, ``?`` and escapes as a regular expression for the whole tag; brackets mean themselves."""
    parts = []
    for part in re.findall(r"\\[*?\\]|\*+|.", pattern, re.DOTALL):
        if part.startswith("*"):
            parts.append("*")  # a run of stars means one, and must not cost as many
        elif len(part) == 2:
            parts.append(f"[{part[1]}]")
        else:
            parts.append("[[]" if part == "[" else part)
    return re.compile(translate("".join(parts)), re.IGNORECASE)


def _grouped(tags: Iterable[str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for tag in tags:
        groups.setdefault(folded(tag), []).append(tag)
    return groups
