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
    with_each_in_order,
    with_inserted,
    with_names,
    with_order,
    without,
    without_behind_sentences,
)
from lora_tui.captions.operations.base import Context, EachCaption, is_joining, parts_of, with_all
from lora_tui.captions.profile import Profile
from lora_tui.captions.view import View, caption_view, is_simple, view


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
    """The caption with ``tag`` at a position; unchanged when there is no such position.

    Raises:
        CannotChange: a bracket in the tag would swallow others.
    """
    seen = caption_view(caption, profile)
    place = _place(seen, tag, position)
    if place is None:
        return caption
    index, side = place
    changed = with_inserted(caption, seen, index, tag, profile, side=side)
    return with_all(changed, caption, (item.text for item in seen.items), profile) if is_joining(tag) else changed


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
        profile = context.profile
        items = caption_view(caption, profile).items
        there = {item.text for item in items} | {after_sentence(item)[0] for item in items}
        old = [name for tag in self.tags for name in parts_of(tag, profile) if name in there]
        new = []
        for tag in self.tags:
            parts = parts_of(tag, profile)
            missing = {name: written for name, written in parts.items() if name not in there}
            if missing:
                new.append(tag if len(missing) == len(parts) else (profile.separator + " ").join(missing.values()))
                there |= missing.keys()
        if old and self.existing == "move":
            caption = Move(tuple(dict.fromkeys(old)), self.position).change(caption, context)
        return _put_all(caption, new, self.position, profile)


@dataclass(frozen=True, slots=True)
class Move(EachCaption):
    """Move tags that are there, together, in the order given, each as often as it is there; others are not added."""

    tags: tuple[str, ...]
    position: Position

    def change(self, caption: str, context: Context) -> str:
        profile = context.profile
        seen = caption_view(caption, profile)
        written: dict[str, list[str]] = {}
        for item in seen.items:
            written.setdefault(item.text, []).append(caption[item.start : item.end])
        wanted = [tag for tag in dict.fromkeys(self.tags) if tag in written and tag != self.position.tag]
        if not wanted or (self.position.tag and self.position.tag not in written):
            return caption
        moved = frozenset(wanted)
        gone = [index for index, item in enumerate(seen.items) if item.text in moved]
        if self._is_there_already(seen, gone, [tag for tag in wanted for _each in written[tag]]):
            return caption
        texts = [text for tag in wanted for text in written[tag]]
        changed = _put_all(without(caption, seen, gone, profile), texts, self.position, profile)
        if not any(map(is_joining, wanted)):
            return changed
        return with_all(changed, caption, (item.text for item in seen.items), profile)

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
class Shift:
    """Move the tag at one place of a caption to another, both from 0; what is tied to it goes with it.

    A place behind the last one means the last. Within what is tied together the tag moves alone.
    """

    place: int
    to: int

    def apply(self, text: str | None, context: Context) -> str | None:
        if text is None:
            return None
        seen = view(text, context.profile)
        items, place, to = seen.items, self.place, min(self.to, len(seen.items) - 1)
        if place >= len(items) or (context.profile.lines == "one_random" and items[place].line != items[to].line):
            return text
        if items[place].unit == items[to].unit:
            order = list(range(len(items)))
            order.insert(to, order.pop(place))
            changed = with_each_in_order(text, seen, order)
        else:
            units = list(dict.fromkeys(item.unit for item in items))
            units.insert(units.index(items[to].unit), units.pop(units.index(items[place].unit)))
            rank = {unit: number for number, unit in enumerate(units)}
            changed = with_order(text, seen, sorted(range(len(items)), key=lambda index: rank[items[index].unit]))
        if not is_joining(items[place].text) and not is_joining(items[to].text):
            return changed
        return with_all(changed, text, (item.text for item in items), context.profile)


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
        parts = parts_of(self.word, profile)
        if len(parts) > 1:
            for part in reversed(parts.values()):
                caption = Trigger(part, self.anywhere).change(caption, context)
            return caption
        wanted = self.word.casefold()
        found = [index for index, item in enumerate(seen.items) if item.text.casefold() == wanted]
        if not found:
            return put(caption, self.word, FRONT, profile)
        if len(found) > 1 or seen.items[found[0]].text != self.word:
            caption = with_names(caption, seen, {found[0]: self.word}, found[1:], profile)
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
    changed = caption[:start] + "".join(tag + gap for tag in front) + caption[start:]
    return (
        with_all(changed, caption, (item.text for item in seen.items), profile)
        if any(map(is_joining, tags))
        else changed
    )


def _is_one_tag(tag: str, profile: Profile) -> bool:
    """Whether a text is one tag by its own name, and no end of a sentence."""
    return is_simple(tag, profile) and profile.separator not in tag and tag == tag.strip() and not ends_sentence(tag)
