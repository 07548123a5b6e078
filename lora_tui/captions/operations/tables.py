"""Operations by what a dataset says of its tags: other names, what implies what, what is needless, what excludes what.

The tables come with the context, so that the operations stay pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lora_tui.captions.edits import with_each_followed, with_names, without
from lora_tui.captions.operations.base import Context, EachCaption, is_joining, with_all
from lora_tui.captions.view import caption_view

if TYPE_CHECKING:
    from lora_tui.captions.tables import Tables


def _tables(context: Context) -> Tables:
    if context.tables is None:
        from lora_tui.captions.tables import Tables

        context.tables = Tables()
    return context.tables


@dataclass(frozen=True, slots=True)
class Aliases(EachCaption):
    """Every tag by the name that the table prefers; what becomes a tag that is there, in any spelling, goes."""

    def change(self, caption: str, context: Context) -> str:
        seen = caption_view(caption, context.profile)
        names = [item.text for item in seen.items]
        key = _tables(context).key
        wanted = [_tables(context).canonical(name) for name in names]
        renamed = [index for index, name in enumerate(names) if wanted[index] != name]
        if not renamed:
            return caption
        there = {key(name) for index, name in enumerate(names) if wanted[index] == name}
        new: dict[int, str] = {}
        for index in renamed:
            if key(wanted[index]) not in there:
                there.add(key(wanted[index]))
                new[index] = wanted[index]
        gone = [index for index in renamed if index not in new]
        changed = with_names(caption, seen, new, gone, context.profile)
        if not any(map(is_joining, new.values())):
            return changed
        return with_all(
            changed, caption, (name for index, name in enumerate(names) if wanted[index] == name), context.profile
        )


@dataclass(frozen=True, slots=True)
class Implications(EachCaption):
    """Add what the tags imply, each right after the tag that implies it."""

    def change(self, caption: str, context: Context) -> str:
        seen = caption_view(caption, context.profile)
        key = _tables(context).key
        there = {key(item.text) for item in seen.items}
        added: dict[int, list[str]] = {}
        for index, item in enumerate(seen.items):
            for parent in _tables(context).implied(item.text):
                if key(parent) not in there:
                    there.add(key(parent))
                    added.setdefault(index, []).append(parent)
        return with_each_followed(caption, seen, added, context.profile)


@dataclass(frozen=True, slots=True)
class Consolidate(EachCaption):
    """Drop general tags beside specific ones: ``white shirt`` makes ``shirt`` needless."""

    def change(self, caption: str, context: Context) -> str:
        seen = caption_view(caption, context.profile)
        gone = _tables(context).needless([item.text for item in seen.items])
        return without(caption, seen, gone, context.profile)


@dataclass(frozen=True, slots=True)
class Exclusive(EachCaption):
    """Of tags that exclude each other keep one: the first in the caption, or the most frequent in the dataset."""

    by_frequency: bool = False

    def change(self, caption: str, context: Context) -> str:
        seen = caption_view(caption, context.profile)
        names = [item.text for item in seen.items]
        gone: set[str] = set()
        for _group, members in _tables(context).conflicts(names):
            left = [name for name in members if name not in gone]
            if len(left) > 1:
                kept = max(left, key=context.count) if self.by_frequency else left[0]
                gone |= set(left) - {kept}
        return without(caption, seen, [i for i, name in enumerate(names) if name in gone], context.profile)


@dataclass(frozen=True, slots=True)
class Blacklist(EachCaption):
    """Remove what the dataset's black list names."""

    def change(self, caption: str, context: Context) -> str:
        seen = caption_view(caption, context.profile)
        gone = [index for index, item in enumerate(seen.items) if _tables(context).banned(item.text)]
        return without(caption, seen, gone, context.profile)


def rank(context: Context, tag: str) -> int:
    """Where the dataset's order puts a tag."""
    return _tables(context).rank(tag)
