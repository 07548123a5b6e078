"""The tags of a caption as a view on its text. Knows no file; nothing but an edit changes a character.

A caption is cut at the separator, at ``;;;`` (ties tags to a unit) and at ``|||`` (ends the fixed front, begins the
fixed end), but never inside ``{a|b, c}`` or inside a weighted group such as ``(a, b:1.2)``, and never at a bracket
that has no partner, so that ``:(`` stays one tag. The name of ``(smile:1.2)`` is ``smile``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Literal, NamedTuple

from lora_tui.captions.profile import Profile

Zone = Literal["keep", "free", "suffix"]
Cut = tuple[int, int, str]
"""Start and end of a separator in the text, and which it is: ``tag``, ``unit`` or ``zone``."""


class Item(NamedTuple):
    """One tag of a caption.

    Attributes:
        text: its name, without blanks around it and without a weight.
        start, end: where it stands in the text, its weight included.
        line: the number of its line in the text, from 0.
        zone: ``keep`` is the fixed front, ``suffix`` the fixed end, ``free`` what is shuffled and dropped.
        unit: tags tied by the secondary separator share this number.
        name_start, name_end: where the name stands; another place than the item only in ``(name:1.2)``.
    """

    text: str
    start: int
    end: int
    line: int
    zone: Zone
    unit: int
    name_start: int
    name_end: int


class View(NamedTuple):
    """The tags of a text, in the order in which they stand there."""

    items: tuple[Item, ...]
    is_prose: bool


_WEIGHTED = re.compile(r"\((?P<name>[^(),]*(?:\([^()]*\)[^(),]*)*):\s*[-+]?(?:\d+\.?\d*|\.\d+)\s*\)", re.DOTALL)
_LINE_END = re.compile(r"\r\n|\r|\n")
_SENTENCE = re.compile(r"[.!?。！？](?:\s|$)")
_BRACKETS = {pair[0]: re.compile(rf"\\.|[{re.escape(pair)}\r\n]", re.DOTALL) for pair in ("()", "[]", "{}")}
"""For each opening bracket what decides about its partner: the two, line ends, and what a backslash takes its role."""
_BLANKS = re.compile(r"\s*")
_GAP = re.compile(r"[ \t]*")
_PROSE_WORDS = 8
_SENTENCE_WORDS = 5
_WIDE_END = re.compile(r"[。！？]")
_SENTENCE_SIGNS = 12
"""Characters of a sentence in a script that puts no blanks between words."""


def view(text: str, profile: Profile) -> View:
    """The tags of a whole caption file's ``text``, as far as the trainer of ``profile`` reads it."""
    items: list[Item] = []
    for start, end, line in _spans(text, profile):
        items += _items(text, start, end, line, items[-1].unit + 1 if items else 0, profile)
    return View(tuple(items), _is_prose(text, items))


def is_simple(text: str, profile: Profile) -> bool:
    """Whether cutting at the separator alone gives the tags: one line, nothing tied, no tag begins with a bracket."""
    return not (
        "\n" in text
        or "\r" in text
        or "{" in text
        or (("(" in text or "[" in text) and _opening(profile).search(text))
        or (profile.keep_separator and profile.keep_separator in text)
        or (profile.secondary_separator and profile.secondary_separator in text)
    )


def tags_of(text: str, profile: Profile) -> tuple[str, ...]:
    """The names of the tags in ``text``: those of :func:`view`, without the cost of saying where they stand."""
    body = text.rstrip("\r\n")  # as most programs end a caption
    if profile.line == 1 and is_simple(body, profile):
        return tuple(filter(None, map(str.strip, body.split(profile.separator))))
    return tuple([item.text for item in view(text, profile).items])


def captions_of(text: str, profile: Profile) -> tuple[tuple[int, int], ...]:
    """Start and end of each caption in a file's text: one line, every line, or the whole. Empty when all is blank."""
    return tuple((start, end) for start, end, _line in _spans(text, profile) if text[start:end].strip())


def map_captions(text: str, profile: Profile, change: Callable[[str], str]) -> str:
    """``text`` with each of its captions changed; a blank text counts as one empty caption.

    Where a line is meant that would be the next one, it counts as empty, too; what it becomes is put behind the others.
    """
    if profile.line > 1:
        return _map_line(text, profile, change)
    if "\n" not in text and "\r" not in text:
        return change(text) if text.strip() else change("") + text
    spans = captions_of(text, profile)
    if not spans:
        return change("") + text
    parts, position = [], 0
    for start, end in spans:
        parts += [text[position:start], change(text[start:end])]
        position = end
    return "".join([*parts, text[position:]])


def _map_line(text: str, profile: Profile, change: Callable[[str], str]) -> str:
    """As :func:`map_captions` for another line than the first."""
    filled = [(start, end) for start, end in line_spans(text) if text[start:end].strip()]
    if len(filled) >= profile.line:
        start, end = filled[profile.line - 1]
        return text[:start] + change(text[start:end]) + text[end:]
    if len(filled) + 1 < profile.line or not (new := change("")):
        return text
    end = filled[-1][1]
    found = _LINE_END.search(text)
    return text[:end] + (found[0] if found else "\n") + new + text[end:]


def caption_view(caption: str, profile: Profile) -> View:
    """The view on one of the captions that :func:`map_captions` gives, whatever lines it has."""
    items = _items(caption, 0, len(caption), 0, 0, profile)
    return View(tuple(items), _is_prose(caption, items))


def without_marks(caption: str, profile: Profile) -> str:
    """One caption as it is trained in its own order: with separators for the marks of zones and units in it."""
    if not any(mark and mark in caption for mark in (profile.keep_separator, profile.secondary_separator)):
        return caption
    items = caption_view(caption, profile).items
    return (profile.separator + " ").join(caption[item.start : item.end] for item in items)


def line_spans(text: str) -> list[tuple[int, int]]:
    """Start and end of every line, without its line end."""
    spans, position = [], 0
    for found in _LINE_END.finditer(text):
        spans.append((position, found.start()))
        position = found.end()
    return [*spans, (position, len(text))]


def zone_cuts(text: str, start: int, end: int, profile: Profile) -> int:
    """How many separators of zones stand between two places of ``text``."""
    return text.count(profile.keep_separator, start, end) if profile.keep_separator else 0


@lru_cache(maxsize=32)
def _opening(profile: Profile) -> re.Pattern[str]:
    """A bracket at the beginning of a tag, where it may open a weighted group."""
    return re.compile(rf"(?:^|{re.escape(profile.separator)})\s*[(\[]")


def _spans(text: str, profile: Profile) -> list[tuple[int, int, int]]:
    """Start, end and line number of the stretches of ``text`` that are captions of their own."""
    if "\n" not in text and "\r" not in text:
        return [(0, len(text), 0)] if profile.line == 1 else []
    if profile.lines == "all":
        return [(0, len(text), 0)]
    filled = [(start, end, line) for line, (start, end) in enumerate(line_spans(text)) if text[start:end].strip()]
    return filled[profile.line - 1 : profile.line] if profile.lines == "first" else filled


def _items(text: str, start: int, end: int, line: int, first_unit: int, profile: Profile) -> list[Item]:
    """The items of one caption, which is ``text[start:end]``."""
    if start == 0 and end == len(text) and is_simple(text, profile):
        return _simple_items(text, line, first_unit, profile)
    cuts = _cuts(text, start, end, profile)
    zones_in_all = sum(1 for cut in cuts if cut[2] == "zone")
    items: list[Item] = []
    unit, zones, position, units = first_unit, 0, start, 0
    for cut_start, cut_end, kind in (*cuts, (end, end, "end")):
        piece = text[position:cut_start]
        if name := piece.strip():
            place = position + piece.index(name[0]) if piece[0] != name[0] else position
            units += not items or items[-1].unit != unit
            zone = _zone(zones, zones_in_all, units - 1, profile)
            items.append(_item(name, place, line, zone, unit))
        if kind != "unit":
            unit += 1
        zones += kind == "zone"
        line += kind == "line"
        position = cut_end
    return items


def _simple_items(text: str, line: int, unit: int, profile: Profile) -> list[Item]:
    """The items where cutting at the separator is enough."""
    items: list[Item] = []
    position, keep, step, make = 0, profile.keep_tokens, len(profile.separator), tuple.__new__
    for piece in text.split(profile.separator):
        if name := piece.strip():
            start = position if piece[0] == name[0] else position + piece.index(name[0])
            end = start + len(name)
            zone = "keep" if len(items) < keep else "free"
            items.append(make(Item, (name, start, end, line, zone, unit, start, end)))
        unit += 1
        position += len(piece) + step
    return items


def _zone(zones: int, zones_in_all: int, index: int, profile: Profile) -> Zone:
    """The zone of a tag behind so many borders; without borders by the number of its unit."""
    if zones_in_all:
        return "keep" if zones == 0 else "free" if zones == 1 else "suffix"
    return "keep" if index < profile.keep_tokens else "free"


def _item(name: str, start: int, line: int, zone: Zone, unit: int) -> Item:
    end = start + len(name)
    if name[0] == "(" and name[-1] == ")" and (found := _WEIGHTED.fullmatch(name)) and found["name"].strip():
        inner = found["name"].strip()
        begin = start + 1 + found["name"].index(inner[0])
        return Item(inner, start, end, line, zone, unit, begin, begin + len(inner))
    return Item(name, start, end, line, zone, unit, start, end)


@lru_cache(maxsize=32)
def _marks(profile: Profile) -> re.Pattern[str]:
    """Everything at which a scan must look: separators, brackets, line ends, escaped characters."""
    named = [("zone", profile.keep_separator), ("unit", profile.secondary_separator), ("tag", profile.separator)]
    parts = [f"(?P<{kind}>{re.escape(mark)})" for kind, mark in named if mark]
    return re.compile("|".join([r"(?P<escaped>\\[()\[\]{}\\])", *parts, r"(?P<line>\r\n|\r|\n)", r"(?P<open>[(\[{])"]))


def _cuts(text: str, start: int, end: int, profile: Profile) -> list[Cut]:
    marks, cuts, position, fresh = _marks(profile), [], start, start
    partners: dict[str, dict[int, int]] = {}
    first = _BLANKS.match(text, start, end).end()  # type: ignore[union-attr] # it matches nothing, too
    while found := marks.search(text, position, end):
        kind, position = str(found.lastgroup), found.end()
        if kind == "open":
            opening = text[found.start()]
            if opening not in partners:
                partners[opening] = _partners(text, start, end, opening)
            if opening != "{" and found.start() > first:
                continue
            close = partners[opening].get(found.start(), 0)
            if close and (opening == "{" or _ends_tag(text, close, end, profile)):
                position = close
        elif kind != "escaped":
            cuts.append((found.start(), found.end(), kind))
            fresh = found.end()
            first = _BLANKS.match(text, fresh, end).end()  # type: ignore[union-attr]
    return cuts


def _ends_tag(text: str, close: int, end: int, profile: Profile) -> bool:
    """Whether a tag ends where a bracket was closed: braces hold their content together anywhere, others there."""
    after = _GAP.match(text, close, end).end()  # type: ignore[union-attr]
    marks = (profile.keep_separator, profile.secondary_separator, profile.separator, "\n", "\r")
    return after == end or text.startswith(tuple(filter(None, marks)), after, end)


def _partners(text: str, start: int, end: int, opening: str) -> dict[int, int]:
    """The place after the bracket that closes each one of a kind, on its line; none for those that nothing closes."""
    found: dict[int, int] = {}
    waiting: list[int] = []
    for sign in _BRACKETS[opening].finditer(text, start, end):
        if sign[0] == opening:
            waiting.append(sign.start())
        elif sign[0] in "\r\n":
            waiting.clear()
        elif sign[0][0] != "\\" and waiting:
            found[waiting.pop()] = sign.end()
    return found


def _is_prose(text: str, items: list[Item]) -> bool:
    """Whether the caption is written in sentences: long parts, or a sentence that ends."""
    if not items or len(text) < 20:
        return False
    if _WIDE_END.search(text):
        return max(len(item.text) for item in items) >= _SENTENCE_SIGNS
    words = max(item.text.count(" ") + 1 for item in items)
    return words >= _PROSE_WORDS or (words >= _SENTENCE_WORDS and bool(_SENTENCE.search(text)))
