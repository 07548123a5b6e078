"""Operations on the text as it stands: regular expressions, other captions, setting and deleting."""

from __future__ import annotations

import re
from collections.abc import Set
from dataclasses import dataclass, replace
from typing import Any, Literal

from lora_tui.captions.edits import gap_behind, with_names, without
from lora_tui.captions.expressions import STOPPED
from lora_tui.captions.operations.base import CannotChange, Context, EachCaption, is_joining, with_all
from lora_tui.captions.operations.match import compiled, seconds, too_slow
from lora_tui.captions.profile import Profile
from lora_tui.captions.view import caption_view, captions_of, map_captions, view
from lora_tui.errors import UserError

Reach = Literal["whole", "part", "caption"]


class Substitute(EachCaption):
    """Replace text or a regular expression: in whole tags, in parts of tags, or across the whole caption.

    A tag that becomes empty goes with its separator; in the caption the text is taken as it is.
    """

    def __init__(self, pattern: str, new: str, reach: Reach, *, is_regex: bool, ignore_case: bool = False) -> None:
        self.pattern, self.new, self.reach = pattern, new, reach
        self._regex: Any = compiled(pattern if is_regex else re.escape(pattern), ignore_case=ignore_case)
        self._template: Any = new if is_regex else new.replace("\\", "\\\\")
        self._needle = "" if is_regex or ignore_case else pattern
        if is_regex:  # matches the empty text for sure, and so tells whether the template fits the pattern
            compiled(f"(?:{pattern})|", ignore_case=ignore_case).sub(new, "")

    def change(self, caption: str, context: Context) -> str:
        if self._needle and self._needle not in caption:
            return caption
        try:
            if self.reach == "caption":
                return str(self._regex.sub(self._template, caption, timeout=seconds()))
            return self._in_tags(caption, context)
        except STOPPED:
            raise too_slow(self.pattern) from None

    def _in_tags(self, caption: str, context: Context) -> str:
        seen = caption_view(caption, context.profile)
        names = {}
        for index, item in enumerate(seen.items):
            if self.reach == "part":
                new = self._regex.sub(self._template, item.text, timeout=seconds())
            else:
                found = self._regex.fullmatch(item.text, timeout=seconds())
                new = found.expand(self._template) if found else item.text
            if new != item.text:
                names[index] = new.strip()
        new_names = {index: new for index, new in names.items() if new}
        changed = with_names(caption, seen, new_names, names.keys() - new_names.keys(), context.profile)
        if not any(map(is_joining, new_names.values())):
            return changed
        return with_all(
            changed, caption, (item.text for i, item in enumerate(seen.items) if i not in names), context.profile
        )


@dataclass(frozen=True, slots=True)
class WriteText:
    """Exactly this text, line ends and all, as somebody wrote it by hand."""

    text: str

    def apply(self, text: str | None, context: Context) -> str | None:
        return self.text or (None if text is None else context.profile.empty_text)


@dataclass(frozen=True, slots=True)
class SetText:
    """This text and nothing else; a final line end stays. Where one line is meant, the others stay, too."""

    text: str
    only_if_empty: bool = False

    def apply(self, text: str | None, context: Context) -> str | None:
        if context.profile.line > 1:
            return text and map_captions(text, context.profile, self._line)
        if self.only_if_empty and text is not None and text.strip():
            return text
        if not self.text:
            return context.profile.empty_text
        ending = re.search(r"(?:\r\n|\r|\n)*\Z", text or "")
        return self.text + (ending[0] if ending else "")

    def _line(self, line: str) -> str:
        return line if self.only_if_empty and line.strip() else self.text


@dataclass(frozen=True, slots=True)
class Delete:
    """No caption file."""

    def apply(self, text: str | None, context: Context) -> str | None:
        return None


@dataclass(frozen=True, slots=True)
class Take:
    """Combine with another caption: of another image by its name, or of the same image by another ending.

    Attributes:
        source: an image's name, or an ending such as ``.wd14.txt``.
        how: ``replace`` the text; ``fill`` it where there is none; ``union``, ``prepend``, ``append`` add the tags
            that are not there, sentences as one; ``intersect`` keeps the tags that both have, ``subtract`` those that
            the other has not.
    """

    source: str
    how: Literal["replace", "fill", "union", "intersect", "subtract", "prepend", "append"]

    def apply(self, text: str | None, context: Context) -> str | None:
        other = self._other(context)
        if other is None or (self.how == "fill" and context.profile.line == 1 and text is not None and text.strip()):
            return text
        if self.how in ("replace", "fill"):
            if context.profile.line == 1:
                return other
            return SetText(_caption_in(other, context), self.how == "fill").apply(text, context)
        if self.how in ("prepend", "append", "union") and _has_sentences(text, other, context):
            return self._beside(text, _caption_in(other, context), context)
        tags = _tags_in(other, context)
        if self.how in ("intersect", "subtract"):
            return text and map_captions(text, context.profile, lambda one: self._cut(one, tags.keys(), context))
        from lora_tui.captions.operations.placing import BACK, FRONT, Add

        add = Add(tuple(tags.values()), FRONT if self.how == "prepend" else BACK)
        return add.apply(text, context) if tags else text

    def _other(self, context: Context) -> str | None:
        """The caption that is taken from.

        Raises:
            CannotChange: that of this image by another ending cannot be read.
            UserError: the image that is named is not there, or its caption cannot be read.
        """
        try:
            return context.caption_of(self.source)
        except UserError as error:
            if not self.source.startswith("."):
                raise
            raise CannotChange(f"{error.place}: {error.message}", remedy=error.remedy, code=error.code) from None

    def _cut(self, caption: str, tags: Set[str], context: Context) -> str:
        seen = caption_view(caption, context.profile)
        gone = [i for i, item in enumerate(seen.items) if (item.text in tags) == (self.how == "subtract")]
        return without(caption, seen, gone, context.profile)

    def _beside(self, text: str | None, other: str, context: Context) -> str | None:
        """The other's sentences in front of a caption or behind it, unless they stand in it already."""
        if text is None:
            return other if other and context.profile.line == 1 else None

        def change(caption: str) -> str:
            own = caption.strip()
            if not own or not other or other in own:
                return caption if own else other
            first, second = (other, own) if self.how == "prepend" else (own, other)
            return caption.replace(own, first + gap_behind(first, context.profile) + second, 1)

        return map_captions(text, context.profile, change)


def _plainly(context: Context) -> Profile:
    """The profile by which another file is read: its first line, whichever is meant of this one."""
    return replace(context.profile, line=1) if context.profile.line > 1 else context.profile


def _tags_in(text: str, context: Context) -> dict[str, str]:
    """The names of the tags in the text of another file, each with how it is written, weight and all."""
    found: dict[str, str] = {}
    for item in view(text, _plainly(context)).items:
        found.setdefault(item.text, text[item.start : item.end])
    return found


def _caption_in(text: str, context: Context) -> str:
    """The caption in the text of another file."""
    spans = captions_of(text, _plainly(context))
    return text[spans[0][0] : spans[0][1]].strip() if spans else ""


def _has_sentences(text: str | None, other: str, context: Context) -> bool:
    """Whether one of two captions is prose, whose commas separate no tags."""
    return view(other, _plainly(context)).is_prose or (text is not None and view(text, context.profile).is_prose)
