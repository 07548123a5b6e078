"""Adding and moving tags: at the front, the back, a place, beside another tag, or where a rule says."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Literal

from lora_tui.captions.edits import (
    after_sentence,
    ends_sentence,
    style,
    with_each_followed,
    with_inserted,
    with_replaced,
    without,
    without_behind_sentences,
)
from lora_tui.captions.operations.base import Context, EachCaption
from lora_tui.captions.profile import Profile
from lora_tui.captions.view import View, caption_view, is_simple


@dataclass(frozen=True, slots=True)
class Position:
    """Where a tag goes.

    Attributes:
        kind: ``front``; ``back``, which is the end of what is shuffled; ``keep``, the end of the fixed front; ``at``
            an index from 0; ``before`` or ``after`` a tag, nowhere when that is absent; ``rule``, by a list of tags.
    """

    kind: Literal["front", "back", "keep", "at", "before", "after", "rule"] = "back"
    index: int = 0
    tag: str = ""
    rule: tuple[str, ...] = ()
    _ranks: dict[str, int] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._ranks.update((name, rank) for rank, name in enumerate(self.rule))

    def rank(self, tag: str) -> int:
        """The place of a tag in the rule, -1 when it is not named there."""
        return self._ranks.get(tag, -1)


FRONT = Position("front")
BACK = Position("back")


def put(caption: str, tag: str, position: Position, profile: Profile) -> str:
    """The caption with ``tag`` at a position; unchanged when there is no such position."""
    seen = caption_view(caption, profile)
    place = _place(seen, tag, position)
    if place is None:
        return caption
    index, side = place
    return with_inserted(caption, seen, index, tag, profile, side=side)


def _place(seen: View, tag: str, position: Position) -> tuple[int, Literal["before", "after"] | None] | None:
    items = seen.items
    match position.kind:
        case "front":
            return 0, None
        case "back":
            return max((index + 1 for index, item in enumerate(items) if item.zone != "suffix"), default=0), None
        case "keep":
            return max((index + 1 for index, item in enumerate(items) if item.zone == "keep"), default=0), None
        case "at":
            return min(position.index, len(items)), "before" if position.index < len(items) else None
        case "rule":
            return _by_rule(seen, tag, position), None
    found = next((index for index, item in enumerate(items) if item.text == position.tag), None)
    if found is None:
        return None
    return (found, "before") if position.kind == "before" else (found + 1, "after")


def _by_rule(seen: View, tag: str, position: Position) -> int:
    """Before the first tag that the rule puts later; a tag that the rule does not name goes to the back."""
    own = position.rank(tag)
    if own < 0:
        return len(seen.items)
    later = (index for index, item in enumerate(seen.items) if position.rank(item.text) > own)
    return next(later, len(seen.items))


@dataclass(frozen=True, slots=True)
class Add(EachCaption):
    """Add tags in the order given. ``existing``: a tag that is there is skipped, or moved to the position."""

    tags: tuple[str, ...]
    position: Position = BACK
    existing: Literal["skip", "move"] = "skip"
    makes_files = True

    def change(self, caption: str, context: Context) -> str:
        items = caption_view(caption, context.profile).items
        there = {item.text for item in items} | {after_sentence(item)[0] for item in items}
        new = [tag for tag in self.tags if tag not in there]
        if self.existing == "move":
            old = [tag for tag in self.tags if tag in there]
            caption = Move(tuple(old), self.position).change(caption, context) if old else caption
        return _put_all(caption, new, self.position, context.profile)


@dataclass(frozen=True, slots=True)
class Move(EachCaption):
    """Move tags that are there, together, in the order given; others are not added."""

    tags: tuple[str, ...]
    position: Position

    def change(self, caption: str, context: Context) -> str:
        profile = context.profile
        seen = caption_view(caption, profile)
        there = {item.text for item in seen.items}
        wanted = [tag for tag in self.tags if tag in there and tag != self.position.tag]
        if not wanted or (self.position.tag and self.position.tag not in there):
            return caption
        weighted = {item.text: caption[item.start : item.end] for item in reversed(seen.items)}
        gone = [index for index, item in enumerate(seen.items) if item.text in wanted]
        if self._is_there_already(seen, gone, wanted):
            return caption
        rest = without(caption, seen, gone, profile)
        return _put_all(rest, [weighted[tag] for tag in wanted], self.position, profile)

    def _is_there_already(self, seen: View, gone: list[int], wanted: list[str]) -> bool:
        """Whether the tags stand in their place, so that nothing about them is touched."""
        if [seen.items[index].text for index in gone] != wanted:
            return False
        if self.position.kind == "front":
            return gone == list(range(len(wanted)))
        if self.position.kind == "back" and all(item.zone != "suffix" for item in seen.items):
            return gone == list(range(len(seen.items) - len(wanted), len(seen.items)))
        return False


@dataclass(frozen=True, slots=True)
class Toggle(EachCaption):
    """A quick tag: taken away where it is, added where it is not."""

    tag: str
    position: Position = BACK
    makes_files = True

    def change(self, caption: str, context: Context) -> str:
        seen = caption_view(caption, context.profile)
        found = [index for index, item in enumerate(seen.items) if item.text == self.tag]
        if found:
            return without(caption, seen, found, context.profile)
        shorter = without_behind_sentences(caption, seen, lambda tag: tag == self.tag)
        return put(caption, self.tag, self.position, context.profile) if shorter == caption else shorter


@dataclass(frozen=True, slots=True)
class Trigger(EachCaption):
    """Guarantee a trigger word: there, in exactly this spelling, and in front unless ``anywhere``."""

    word: str
    anywhere: bool = False
    makes_files = True

    def change(self, caption: str, context: Context) -> str:
        profile = context.profile
        seen = caption_view(caption, profile)
        wanted = self.word.casefold()
        found = [index for index, item in enumerate(seen.items) if item.text.casefold() == wanted]
        if not found:
            return put(caption, self.word, FRONT, profile)
        if seen.items[found[0]].text != self.word:
            caption = with_replaced(caption, seen, found[0], self.word)
            seen = caption_view(caption, profile)
        if len(found) > 1:
            caption = without(caption, seen, found[1:], profile)
        return caption if self.anywhere else Move((self.word,), FRONT).change(caption, context)


def _put_all(caption: str, tags: list[str], position: Position, profile: Profile) -> str:
    """Several tags at one position, in their order; each at its own where a rule says it."""
    if position.kind != "rule":
        tags = [style(caption, caption_view(caption, profile), profile).join(tags)] if tags else []
    elif len(tags) > 1 and (together := _put_by_rule(caption, tags, position, profile)) is not None:
        return together
    for tag in tags:
        caption = put(caption, tag, position, profile)
    return caption


def _put_by_rule(caption: str, tags: list[str], position: Position, profile: Profile) -> str | None:
    """Several tags at their places at once; none where one of them may be read as something else once it is there."""
    seen = caption_view(caption, profile)
    if not seen.items or any(ends_sentence(item.text) for item in seen.items):
        return None
    if not all(_is_one_tag(tag, profile) for tag in tags):
        return None
    # Each tag goes before the first of a later rank: where the greatest rank so far exceeds its own.
    greatest = list(accumulate((position.rank(item.text) for item in seen.items), max))
    order: list[int | str] = list(range(len(seen.items)))
    for tag in tags:
        own = position.rank(tag)
        place = bisect_right(greatest, own) if own >= 0 else len(order)
        greatest.insert(place, max(own, greatest[place - 1] if place else own))
        order.insert(place, tag)
    groups: dict[int, list[str]] = {}
    behind = -1
    for one in order:
        if isinstance(one, int):
            behind = one
        else:
            groups.setdefault(behind, []).append(one)
    front = groups.pop(-1, [])
    gap = style(caption, seen, profile)
    caption = with_each_followed(caption, seen, groups, profile)
    start = seen.items[0].start
    return caption[:start] + "".join(tag + gap for tag in front) + caption[start:]


def _is_one_tag(tag: str, profile: Profile) -> bool:
    """Whether a text is one tag by its own name, and no end of a sentence."""
    return is_simple(tag, profile) and profile.separator not in tag and tag == tag.strip() and not ends_sentence(tag)
