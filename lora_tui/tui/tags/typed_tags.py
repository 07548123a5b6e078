"""What a typed line of tags means: aliases and translations become their tags, and tags that nobody knows are named.

No widgets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_tui.captions.vocabulary import folded
from lora_tui.text import _, ngettext, plain

if TYPE_CHECKING:
    from lora_tui.captions.complete import Completer

MOST_NAMED = 3
"""New tags that are named in a line."""


class TypedTags:
    """Tags as they are typed for one question, with commas between them."""

    def __init__(self, completer: Completer) -> None:
        self._completer = completer
        self._meant: dict[tuple[str, bool], str] = {}

    def meant(self, text: str, *, taking: bool = True) -> str:
        """The line as Enter takes it; without ``taking`` its end stays as it is typed.

        What is no known tag becomes the tag that its alias or translation belongs to: what stands in front of a comma
        where it is the whole of one, the last where it is the beginning of one, or a part in a script without blanks.
        """
        *done, last = text.split(",")
        parts = [self._part(part, whole=True) for part in done] + [self._part(last, whole=False) if taking else last]
        return ",".join(parts)

    def takes_first(self, text: str) -> bool:
        """Whether Enter takes the first completion, although nobody moved to it."""
        last = text.rpartition(",")[2]
        return self._part(last, whole=False) != last

    def remark(self, text: str) -> str:
        """The tags of the line that are in no list and in no caption, and those that are spelled otherwise here."""
        said, new = [], []
        index = self._completer.index
        for part in dict.fromkeys(part.strip() for part in self.meant(text).split(",")):
            if not part or part in index:
                continue
            if others := index.vocabulary.same(part):
                best = max(others, key=index.count)
                said.append(_("here spelled {tag}").format(tag=plain(best, limit=30)))
            elif not self._is_listed(part):
                new.append(plain(part, limit=30))
        if new:
            shown = ", ".join(new[:MOST_NAMED]) + (" …" if len(new) > MOST_NAMED else "")
            said.insert(0, ngettext("new tag: {tags}", "new tags: {tags}", len(new)).format(tags=shown))
        return "  ".join(said)

    def _part(self, part: str, *, whole: bool) -> str:
        """A part of the line, or the tag that it means, with the blanks around it."""
        typed = part.strip()
        if not typed or typed in self._completer.index or self._is_listed(typed):
            return part
        key = typed, whole
        if key not in self._meant:
            self._meant[key] = self._found(typed, whole)
        return part.replace(typed, self._meant[key]) if self._meant[key] else part

    def _found(self, typed: str, whole: bool) -> str:
        first = next(iter(self._completer.complete(typed, 1)), None)
        if first is None or not first.matched:
            return ""
        name, wanted = folded(first.matched), folded(typed)
        fits = name.startswith(wanted) or (not wanted.isascii() and wanted in name)
        return first.tag if (name == wanted if whole else fits) else ""

    def _is_listed(self, tag: str) -> bool:
        return folded(tag) in self._completer.tags.by_name
