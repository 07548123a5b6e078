"""Edits of a caption through its view: each gives a new text and touches nothing but what it must.

Blanks, brackets, weights and line ends stay, and a new tag is set off as its neighbours are. All take the view of
exactly the text that they are given.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Literal

from lora_tui.captions.profile import Profile
from lora_tui.captions.view import Item, View, caption_view, zone_cuts

Side = Literal["before", "after"]
_ENDS = frozenset(".!?")
_WIDE_ENDS = frozenset("。！？")
_BEHIND = re.compile(r"(?:(?<=[.!?])\s+|(?<=[。！？])\s*)(?P<tag>[^\s.!?。！？][^.!?。！？]*)\Z")


def with_replaced(text: str, view: View, index: int, tag: str) -> str:
    """Another name for one tag; its weight stays."""
    item = view.items[index]
    return text[: item.name_start] + tag + text[item.name_end :]


def with_each_replaced(text: str, view: View, names: Mapping[int, str]) -> str:
    """Other names for several tags at once, by their index."""
    parts, position = [], 0
    for index in sorted(names):
        item = view.items[index]
        parts += [text[position : item.name_start], names[index]]
        position = item.name_end
    return "".join([*parts, text[position:]])


def with_names(text: str, view: View, names: Mapping[int, str], gone: Collection[int], profile: Profile) -> str:
    """Other names for some tags, while others go, all by their index in one view of one text.

    A name may hold several tags: of a weighted tag each gets the weight, and one that brings its own keeps that.
    """
    edits = _holes(text, view, set(gone), profile)
    for index, name in names.items():
        item = view.items[index]
        if item.name_start == item.start:
            edits.append((item.start, item.end, name))
        else:
            lead, tail = text[item.start : item.name_start], text[item.name_end : item.end]
            edits.append((item.start, item.end, _weighted(name, lead, tail, profile)))
    parts, position = [], 0
    for start, end, filling in sorted(edits):
        parts += [text[position:start], filling]
        position = end
    return "".join([*parts, text[position:]])


def without(text: str, view: View, indices: Collection[int], profile: Profile) -> str:
    """The text without some tags and without the separators that they leave over."""
    return with_names(text, view, {}, indices, profile) if indices else text


def _weighted(name: str, lead: str, tail: str, profile: Profile) -> str:
    """The tags of ``name`` between the bracket and the weight that another tag had."""
    inner = caption_view(name, profile)
    plain = {index: lead + item.text + tail for index, item in enumerate(inner.items) if item.name_start == item.start}
    return with_each_replaced(name, inner, plain)


def _holes(text: str, view: View, gone: set[int], profile: Profile) -> list[tuple[int, int, str]]:
    """Start and end of what goes with some tags, and what comes in its place."""
    holes = []
    for first, last in _runs(view.items, gone):
        left = view.items[first - 1] if first and _same_line(view.items[first - 1], view.items[first]) else None
        right = view.items[last + 1] if last + 1 < len(view.items) else None
        if right is not None and not _same_line(view.items[last], right):
            right = None
        holes.append(_hole(text, view.items[first], view.items[last], left, right, profile))
    return holes


def with_inserted(text: str, view: View, index: int, tag: str, profile: Profile, *, side: Side | None = None) -> str:
    """The text with a tag before the one that has this index, or after the last one.

    Args:
        side: at a border of zones, whether the tag goes ``before`` the tag of this index or ``after`` the one in front
            of it; by default before the first and after the others.
    """
    items = view.items
    if not items:
        return _into_nothing(text, tag, profile)
    index = min(max(index, 0), len(items))
    if side is None:
        side = "before" if index == 0 else "after"
    gap = style(text, view, profile)
    if index == 0 or (side == "before" and index < len(items)):
        place = items[index].start
        return text[:place] + tag + gap + text[place:]
    place = items[index - 1].end
    return text[:place] + _gap_after(items[index - 1], gap) + tag + text[place:]


def with_each_followed(text: str, view: View, tags: Mapping[int, Sequence[str]], profile: Profile) -> str:
    """The text with other tags right behind some, by the index of the tag in front of them."""
    gap = style(text, view, profile)
    parts, position = [], 0
    for index in sorted(tags):
        item = view.items[index]
        parts += [text[position : item.end], _gap_after(item, gap), gap.join(tags[index])]
        position = item.end
    return "".join([*parts, text[position:]])


def _gap_after(item: Item, gap: str) -> str:
    """What sets a new tag off from the item in front of it: ``gap``, or no separator behind a sentence."""
    if not ends_sentence(item.text):
        return gap
    return " " if item.text[-1] in ".!?" else ""


def gap_behind(text: str, profile: Profile) -> str:
    """What sets a caption off from another that is put behind it: no separator where it ends with a sentence."""
    last = text.rpartition(profile.separator)[2].strip()
    if last[-1:] in _WIDE_ENDS:
        return ""
    return " " if last[-1:] in _ENDS and " " in last else profile.separator + " "


def ends_sentence(name: str) -> bool:
    """Whether what was cut out as a tag is the end of a sentence, after which no separator is put."""
    return name[-1:] in _WIDE_ENDS or (name[-1:] in _ENDS and name.count(" ") > 1)


def after_sentence(item: Item) -> tuple[str, int]:
    """What was put behind a sentence without a separator, and where the blank before it begins; else nothing.

    ``A woman smiles. hatgirl`` is one tag for all that cut at commas, and ``hatgirl`` stands in it nevertheless.
    """
    found = _BEHIND.search(item.text) if any(mark in item.text for mark in ".!?。！？") else None
    if found is None or not ends_sentence(item.text[: found.start()]) or item.name_start != item.start:
        return "", item.end
    return found["tag"], item.start + found.start()


def without_behind_sentences(text: str, view: View, is_meant: Callable[[str], object]) -> str:
    """The text without those of the tags behind a sentence, see :func:`after_sentence`, that are meant."""
    for item in reversed(view.items):
        tag, place = after_sentence(item)
        if tag and is_meant(tag):
            text = text[:place] + text[item.end :]
    return text


def with_order(text: str, view: View, order: Sequence[int]) -> str:
    """The same tags in another order: what stands between them stays, what is tied to a unit moves as a whole.

    Args:
        order: every index of the view's items once. A unit goes where the first of its tags goes.
    """
    units: dict[int, list[Item]] = {}
    for item in view.items:
        units.setdefault(item.unit, []).append(item)
    wanted = list(dict.fromkeys(view.items[index].unit for index in order))
    parts, position = [], 0
    for slot, unit in zip(units.values(), wanted, strict=True):
        parts += [text[position : slot[0].start], text[units[unit][0].start : units[unit][-1].end]]
        position = slot[-1].end
    return "".join([*parts, text[position:]])


def with_each_in_order(text: str, view: View, order: Sequence[int]) -> str:
    """As :func:`with_order`, but each tag moves alone, whatever it is tied to."""
    parts, position = [], 0
    for slot, index in zip(view.items, order, strict=True):
        parts += [text[position : slot.start], text[view.items[index].start : view.items[index].end]]
        position = slot.end
    return "".join([*parts, text[position:]])


def style(text: str, view: View, profile: Profile) -> str:
    """What stands between two tags of this text: the first plain gap, else the separator and a blank."""
    for before, after in zip(view.items, view.items[1:], strict=False):
        gap = text[before.end : after.start]
        if gap.strip(" ") == profile.separator:
            return gap
    return profile.separator + " "


def _runs(items: Sequence[Item], gone: set[int]) -> list[tuple[int, int]]:
    """First and last index of each run of neighbours on one line that go."""
    runs: list[tuple[int, int]] = []
    for index in sorted(gone):
        if runs and runs[-1][1] == index - 1 and _same_line(items[index - 1], items[index]):
            runs[-1] = (runs[-1][0], index)
        else:
            runs.append((index, index))
    return runs


def _same_line(one: Item, other: Item) -> bool:
    return one.line == other.line


def _hole(
    text: str, first: Item, last: Item, left: Item | None, right: Item | None, profile: Profile
) -> tuple[int, int, str]:
    """Start and end of what goes with a run of tags, and what comes in its place: every border of zones stays."""
    if left is None and right is None:
        return _emptied(text, first, last, profile)
    start = first.start if left is None else left.end
    end = last.end if right is None else right.start
    before, after = text[start : first.start], text[last.end : end]
    borders = zone_cuts(text, start, end, profile)
    if borders and zone_cuts(before, 0, len(before), profile) == borders:
        return start, end, before if right is not None else before.rstrip()
    if borders and zone_cuts(after, 0, len(after), profile) == borders:
        return start, end, after if left is not None else after[after.index(profile.keep_separator) :]
    if borders:
        middle = " ".join([profile.keep_separator] * borders)
        return start, end, " " * (left is not None) + middle + " " * (right is not None)
    if left is None or right is None:
        return start, end, ""
    return start, end, _stronger(before, after, profile)


def _emptied(text: str, first: Item, last: Item, profile: Profile) -> tuple[int, int, str]:
    """The hole where a line loses its only tags: its separators go, too."""
    start = max(text.rfind("\n", 0, first.start), text.rfind("\r", 0, first.start)) + 1
    ends = [place for mark in "\r\n" if (place := text.find(mark, last.end)) >= 0]
    end = min(ends, default=len(text))
    around = (text[start : first.start] + text[last.end : end]).strip()
    if around.replace(profile.separator, "").strip():
        return first.start, last.end, ""
    return start, end, ""


def _stronger(before: str, after: str, profile: Profile) -> str:
    """Which of the two gaps around a hole stays: one that separates tags before one that ties them."""
    for gap in (before, after):
        if profile.separator in gap or not profile.secondary_separator or profile.secondary_separator not in gap:
            return gap
    return before


def _into_nothing(text: str, tag: str, profile: Profile) -> str:
    """A tag for a text that has none: in front of what is there, and apart from it."""
    rest = text.lstrip()
    glued = rest and not rest.startswith(profile.separator) and len(rest) == len(text)
    return tag + (" " if glued else "") + text
