"""Taking tags away and giving them other names: remove, retain, rename and merge, pairs, split, join."""

from __future__ import annotations

from dataclasses import dataclass

from lora_tui.captions.edits import with_each_replaced, with_replaced, without, without_behind_sentences
from lora_tui.captions.operations.base import Context, EachCaption
from lora_tui.captions.operations.match import Tags
from lora_tui.captions.profile import Profile
from lora_tui.captions.view import caption_view, is_simple


@dataclass(frozen=True, slots=True)
class Remove(EachCaption):
    """Every occurrence of the tags that are meant."""

    tags: Tags

    def change(self, caption: str, context: Context) -> str:
        if not self.tags.may_be_in(caption):
            return caption
        seen = caption_view(caption, context.profile)
        shorter = without_behind_sentences(caption, seen, self.tags.has)
        if shorter != caption:
            caption, seen = shorter, caption_view(shorter, context.profile)
        gone = [index for index, item in enumerate(seen.items) if self.tags.has(item.text)]
        return without(caption, seen, gone, context.profile)


@dataclass(frozen=True, slots=True)
class Retain(EachCaption):
    """Nothing but the tags that are meant."""

    tags: Tags

    def change(self, caption: str, context: Context) -> str:
        seen = caption_view(caption, context.profile)
        gone = [index for index, item in enumerate(seen.items) if not self.tags.has(item.text)]
        return without(caption, seen, gone, context.profile)


@dataclass(frozen=True, slots=True)
class Rename(EachCaption):
    """Give the tags that are meant another name, in place; several become one, at the first of their places."""

    tags: Tags
    new: str

    def change(self, caption: str, context: Context) -> str:
        if not self.tags.may_be_in(caption):
            return caption
        if (quick := self._quickly(caption, context)) is not None:
            return quick
        seen = caption_view(caption, context.profile)
        old = [index for index, item in enumerate(seen.items) if item.text != self.new and self.tags.has(item.text)]
        if not old:
            return caption
        same = [index for index, item in enumerate(seen.items) if item.text == self.new]
        first, *rest = sorted(old + same)
        if first in old:
            caption = with_replaced(caption, seen, first, self.new)
        if not rest:
            return caption
        return without(caption, caption_view(caption, context.profile), rest, context.profile)

    def _quickly(self, caption: str, context: Context) -> str | None:
        """What most renames of most captions are: one tag that is there once, its new name nowhere. Else none."""
        profile = context.profile
        if self.tags.is_fuzzy or self.new in caption or not is_simple(caption, profile):
            return None
        names = self.tags.names
        if len(names) == 1:
            (name,) = names
            if caption.count(name) == 1 and name == name.strip() and profile.separator not in name:
                start, _name, end = caption.partition(name)
                if _is_cut(start.rstrip()[-1:], profile) and _is_cut(end.lstrip()[:1], profile):
                    return start + self.new + end
                return caption
        pieces = caption.split(profile.separator)
        hits = [index for index, piece in enumerate(pieces) if piece.strip() in names]
        if len(hits) != 1:
            return None if hits else caption
        piece = pieces[hits[0]]
        pieces[hits[0]] = piece.replace(piece.strip(), self.new, 1)
        return profile.separator.join(pieces)


def _is_cut(character: str, profile: Profile) -> bool:
    """Whether a tag ends where this character, or nothing, comes next."""
    return character in ("", profile.separator)


@dataclass(frozen=True, slots=True)
class Pairs(EachCaption):
    """Many renames at once, all from the names as they are before; an empty new name removes."""

    pairs: dict[str, str]

    def change(self, caption: str, context: Context) -> str:
        seen = caption_view(caption, context.profile)
        names = [item.text for item in seen.items]
        hit = {index: self.pairs[name] for index, name in enumerate(names) if self.pairs.get(name, name) != name}
        if not hit:
            return caption
        gone = {index for index, new in hit.items() if not new}
        final = [hit.get(index, name) for index, name in enumerate(names)]
        targets, there = set(hit.values()), set[str]()
        for index, new in enumerate(final):
            if new in targets and index not in gone:
                if new in there:
                    gone.add(index)
                there.add(new)
        caption = with_each_replaced(caption, seen, {index: new for index, new in hit.items() if index not in gone})
        return without(caption, caption_view(caption, context.profile), gone, context.profile) if gone else caption


@dataclass(frozen=True, slots=True)
class Split(EachCaption):
    """Make several tags of one: the named tag into ``parts``, or every tag at the text ``at``."""

    tag: str = ""
    parts: tuple[str, ...] = ()
    at: str = ""

    def change(self, caption: str, context: Context) -> str:
        seen = caption_view(caption, context.profile)
        joint = context.profile.separator + " "
        names = {}
        for index, item in enumerate(seen.items):
            if self.at and self.at in item.text:
                names[index] = joint.join(part for piece in item.text.split(self.at) if (part := piece.strip()))
            elif self.tag and item.text == self.tag:
                names[index] = joint.join(self.parts)
        return with_each_replaced(caption, seen, {index: name for index, name in names.items() if name})


@dataclass(frozen=True, slots=True)
class Join(EachCaption):
    """Make one tag of several, where all of them are there; it stands where the first of them stood."""

    tags: tuple[str, ...]
    new: str

    def change(self, caption: str, context: Context) -> str:
        seen = caption_view(caption, context.profile)
        names = [item.text for item in seen.items]
        if not all(tag in names for tag in self.tags):
            return caption
        first, *rest = [index for index, name in enumerate(names) if name in self.tags or name == self.new]
        caption = with_replaced(caption, seen, first, self.new)
        return without(caption, caption_view(caption, context.profile), rest, context.profile)
