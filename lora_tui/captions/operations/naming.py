"""Taking tags away and giving them other names: remove, retain, rename and merge, pairs, split, join."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lora_tui.captions.edits import with_names, without, without_behind_sentences
from lora_tui.captions.operations.base import Context, EachCaption, is_joining, parts_of, with_all
from lora_tui.captions.operations.match import Tags
from lora_tui.captions.profile import Profile
from lora_tui.captions.view import View, caption_view, is_simple


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
        hit = [index for index, item in enumerate(seen.items) if item.text != self.new and self.tags.has(item.text)]
        return renamed(caption, seen, dict.fromkeys(hit, self.new), context.profile)

    def _quickly(self, caption: str, context: Context) -> str | None:
        """What most renames of most captions are: one tag that is there once, its new name nowhere. Else none."""
        profile, new = context.profile, self.new
        if self.tags.is_fuzzy or new in caption or not is_simple(caption, profile):
            return None
        pieces = caption.split(profile.separator)
        names = self.tags.names
        hits = [index for index, piece in enumerate(pieces) if piece.strip() in names]
        if not hits:
            return caption
        if len(hits) > 1 or profile.separator in new or is_joining(new) or not is_simple(new, profile):
            return None
        piece = pieces[hits[0]]
        pieces[hits[0]] = piece.replace(piece.strip(), new, 1)
        return profile.separator.join(pieces)


@dataclass(frozen=True, slots=True)
class Pairs(EachCaption):
    """Many renames at once, all from the names as they are before; an empty new name removes."""

    pairs: dict[str, str]

    def change(self, caption: str, context: Context) -> str:
        seen = caption_view(caption, context.profile)
        names = [item.text for item in seen.items]
        hits = {index: self.pairs[name] for index, name in enumerate(names) if self.pairs.get(name, name) != name}
        return renamed(caption, seen, hits, context.profile)


def renamed(caption: str, seen: View, hits: Mapping[int, str], profile: Profile) -> str:
    """The caption with other names for some tags, each of which stands once, at the first of its places.

    Args:
        hits: the new name of a tag by its index; an empty one takes the tag away, one with separators is several tags.

    Raises:
        CannotChange: a bracket in a new name would swallow other tags.
    """
    if not hits:
        return caption
    wanted = {name for new in hits.values() for name in parts_of(new, profile)}
    there: set[str] = set()
    names: dict[int, str] = {}
    gone: set[int] = set()
    for index, item in enumerate(seen.items):
        if index not in hits:
            if item.text in wanted and item.text in there:
                gone.add(index)
            there.add(item.text)
            continue
        new = hits[index]
        parts = parts_of(new, profile)
        missing = {name: written for name, written in parts.items() if name not in there}
        if not new or not missing:
            gone.add(index)
        else:
            names[index] = new if len(missing) == len(parts) else (profile.separator + " ").join(missing.values())
        there |= missing.keys()
    changed = with_names(caption, seen, names, gone, profile)
    if not any(map(is_joining, names.values())):
        return changed
    return with_all(
        changed, caption, (item.text for i, item in enumerate(seen.items) if i not in hits and i not in gone), profile
    )


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
        names = {index: name for index, name in names.items() if name}
        changed = with_names(caption, seen, names, (), context.profile)
        if not any(map(is_joining, names.values())):
            return changed
        return with_all(
            changed, caption, (item.text for i, item in enumerate(seen.items) if i not in names), context.profile
        )


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
        hits = {index: self.new for index, name in enumerate(names) if name in self.tags and name != self.new}
        return renamed(caption, seen, hits, context.profile)
