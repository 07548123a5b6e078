"""Two changes of one caption brought together: what somebody did and what another did, from what both began with.

Lines that only one of them changed are taken from that one. A line that both changed is merged tag by tag when it is a
list of tags, else word by word; where both changed the same words, nobody can say but a person. Knows no file.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import NamedTuple

from lora_tui.captions.document import CaptionDocument
from lora_tui.captions.edits import with_inserted, with_order, without
from lora_tui.captions.profile import Profile
from lora_tui.captions.view import caption_view

MOST_WORK = 3_000_000
"""Pairs of equal pieces that are looked at, and places of tags: a second's work. What needs more, a person decides."""

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")
_END = re.compile(r"[\r\n]*\Z")
_WIDE = "\u3040-\u30ff\u3400-\u9fff"  # of scripts that put no blanks between words each character counts as one
_WORD = re.compile(rf"(?:[{_WIDE}]|[^\W{_WIDE}]+|[^\s])\s*|\s+")

Sides = tuple[Sequence[str], Sequence[str], Sequence[str]]
"""Pieces of what both began with, of ours and of theirs."""


@dataclass(frozen=True, slots=True)
class Merged:
    """A caption file with both changes; none when there is no file any more."""

    content: bytes | None


def merge(base: bytes | None, ours: bytes | None, theirs: bytes | None, profile: Profile) -> Merged | None:
    """Our change from ``base`` done to what others made of it, in their encoding; none when a person must decide."""
    if ours in (theirs, base):
        return Merged(theirs)
    if theirs == base:
        return Merged(ours)
    if ours is None or theirs is None:
        return None
    texts = [CaptionDocument.parse(raw or b"").text for raw in (base, ours, theirs)]
    found = merged_text(texts[0], texts[1], texts[2], profile)
    if found is None:
        return None
    try:
        return Merged(CaptionDocument.parse(theirs).with_text(found).raw)
    except UnicodeError:
        return None


def merged_text(base: str, ours: str, theirs: str, profile: Profile) -> str | None:
    """As :func:`merge` for texts."""
    sides = _LINE.findall(base), _LINE.findall(ours), _LINE.findall(theirs)
    return _merged(sides, lambda both: _merged_lines(both, profile))


def _merged(sides: Sides, decide: Callable[[Sides], str | None]) -> str | None:
    """The pieces of all sides together; ``decide`` says what becomes of those that both changed."""
    head, sides, tail = _same_ends(sides)
    if _work(sides[0], sides[1]) > MOST_WORK or _work(sides[0], sides[2]) > MOST_WORK:
        return None
    parts = [head]
    for region in _regions(*sides):
        base, ours, theirs = region
        if ours in (base, theirs):
            parts.append("".join(theirs))
        elif theirs == base:
            parts.append("".join(ours))
        elif (found := decide(region)) is not None:
            parts.append(found)
        else:
            return None
    return "".join([*parts, tail])


def _same_ends(sides: Sides) -> tuple[str, Sides, str]:
    """What all three begin with, what is between, and what all three end with."""
    least = min(map(len, sides))
    front = next((place for place in range(least) if len({side[place] for side in sides}) > 1), least)
    most = least - front
    back = next((place for place in range(most) if len({side[-1 - place] for side in sides}) > 1), most)
    base, ours, theirs = (side[front : len(side) - back] for side in sides)
    return "".join(sides[0][:front]), (base, ours, theirs), "".join(sides[0][len(sides[0]) - back :])


def _work(one: Sequence[str], other: Sequence[str]) -> int:
    """Pairs of equal pieces, which a comparison looks at."""
    counts = Counter(other)
    return sum(counts[piece] for piece in one)


class _Match(NamedTuple):
    """A stretch of the base that another text has, too, and where it stands there."""

    start: int
    end: int
    there: int


def _matches(base: Sequence[str], other: Sequence[str]) -> list[_Match]:
    """The last of them is the end of both."""
    found = SequenceMatcher(None, base, other, autojunk=False).get_matching_blocks()
    return [_Match(block.a, block.a + block.size, block.b) for block in found]


def _regions(base: Sequence[str], ours: Sequence[str], theirs: Sequence[str]) -> Iterator[Sides]:
    """The three texts cut at what all of them have: by turns what is the same and what differs in one of them."""
    own, other = _matches(base, ours), _matches(base, theirs)
    at, i, j = (0, 0, 0), 0, 0
    while i < len(own) and j < len(other):
        start, end = max(own[i].start, other[j].start), min(own[i].end, other[j].end)
        if start < end or (i == len(own) - 1 and j == len(other) - 1):
            here = (start, own[i].there + start - own[i].start, other[j].there + start - other[j].start)
            if here != at:
                yield base[at[0] : here[0]], ours[at[1] : here[1]], theirs[at[2] : here[2]]
            if start < end:
                same = base[start:end]
                yield same, same, same
            size = end - start
            at = (here[0] + size, here[1] + size, here[2] + size)
        if own[i].end < other[j].end or (own[i].end == other[j].end and i + 1 < len(own)):
            i += 1
        else:
            j += 1


def _merged_lines(both: Sides, profile: Profile) -> str | None:
    """Lines that both changed: one by one where each has its partner; no line is one without tags."""
    most = max(map(len, both))
    if any(side and len(side) != most for side in both):
        return None
    base, ours, theirs = (side or [""] * most for side in both)
    parts = []
    for old, own, other in zip(base, ours, theirs, strict=True):
        found = _merged_line(_body(old), _body(own), _body(other), profile)
        if found is None:
            return None
        ends = [line[len(_body(line)) :] for line in (old, own, other)]
        parts.append(found + (ends[1] if ends[2] == ends[0] else ends[2]))
    return "".join(parts)


def _body(line: str) -> str:
    return line.rstrip("\r\n")


def _merged_line(base: str, ours: str, theirs: str, profile: Profile) -> str | None:
    if any(caption_view(line, profile).is_prose for line in (base, ours, theirs)):
        return _merged_words(base, ours, theirs)
    return merged_tags(base, ours, theirs, profile)


def _merged_words(base: str, ours: str, theirs: str) -> str | None:
    return _merged((_WORD.findall(base), _WORD.findall(ours), _WORD.findall(theirs)), lambda _both: None)


def merged_tags(base: str, ours: str, theirs: str, profile: Profile) -> str | None:
    """Three states of a list of tags as one: the tags that either side added, without those that either removed.

    The text is theirs as far as it can be. Where only we changed the order of the tags, it is ours.

    Returns:
        None when both did different things to one tag, such as giving it another weight and removing it.
    """
    if _differ(base, ours, theirs, profile):
        return None
    old, own, other = (_written(text, profile) for text in (base, ours, theirs))
    come, gone = Counter(own) - Counter(old), Counter(old) - Counter(own)
    moved = _common(own, old) != _common(old, own)
    if not come and not gone and not moved:  # nothing but blanks and separators
        return _merged_words(base, ours, theirs)
    if come.total() * (len(own) + len(other)) > MOST_WORK:
        return None
    text = _without(theirs, gone, profile)
    for place, tag in enumerate(own):
        if come[tag] and _written(text, profile).count(tag) < own.count(tag):
            text = _inserted(text, tag, own[:place], profile)
    return _in_order(text, own, profile) if moved and _common(other, old) == _common(old, other) else text


def _differ(base: str, ours: str, theirs: str, profile: Profile) -> bool:
    """Whether both sides did different things to one tag."""
    states = [_by_name(text, profile) for text in (base, ours, theirs)]
    for name in set().union(*states):
        old, own, other = (state.get(name, []) for state in states)
        if old != own and old != other and own != other:
            return True
    return False


def _by_name(caption: str, profile: Profile) -> dict[str, list[str]]:
    """For each tag how it is written wherever it stands: with which weights."""
    found: dict[str, list[str]] = {}
    for item in caption_view(caption, profile).items:
        found.setdefault(item.text, []).append(caption[item.start : item.end])
    return found


def _written(caption: str, profile: Profile) -> list[str]:
    """The tags of a caption as they stand there, weights included."""
    return [caption[item.start : item.end] for item in caption_view(caption, profile).items]


def _common(tags: Sequence[str], others: Sequence[str]) -> list[str]:
    """Those tags that the others have, too, in their order."""
    known = set(others)
    return [tag for tag in tags if tag in known]


def _without(caption: str, tags: Counter[str], profile: Profile) -> str:
    seen, left, indices = caption_view(caption, profile), Counter(tags), []
    for index in range(len(seen.items) - 1, -1, -1):
        written = caption[seen.items[index].start : seen.items[index].end]
        if left[written] > 0:
            left[written] -= 1
            indices.append(index)
    return without(caption, seen, indices, profile)


def _inserted(caption: str, tag: str, in_front: Sequence[str], profile: Profile) -> str:
    """Put a tag behind the nearest of those that stand in front of it."""
    seen, names = caption_view(caption, profile), _written(caption, profile)
    place = next((names.index(one) + 1 for one in reversed(in_front) if one in names), 0)
    return with_inserted(caption, seen, place, tag, profile, side="after" if place else None)


def _in_order(caption: str, order: Sequence[str], profile: Profile) -> str:
    """The tags of a caption in another order; those that it does not name stay behind the tag in front of them."""
    ranks: dict[str, int] = {}
    for rank, tag in enumerate(order):
        ranks.setdefault(tag, rank)
    keys, last = [], -1
    for tag in _written(caption, profile):
        last = ranks.get(tag, last)
        keys.append(last)
    wanted = sorted(range(len(keys)), key=keys.__getitem__)
    return with_order(caption, caption_view(caption, profile), wanted)
