"""What becomes of a caption when models have spoken: an operation on captions like any other. Pure.

Tags are the same whatever their case, underscores and escapes. What a person wrote keeps its bytes, except where the
caption is replaced, and tags that ``merge`` puts into the tagger's order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lora_tui.captions.edits import style, without
from lora_tui.captions.operations.base import Context
from lora_tui.captions.operations.placing import BACK, FRONT, Position, Trigger, put
from lora_tui.captions.profile import Profile
from lora_tui.captions.view import View, caption_view, captions_of, map_captions
from lora_tui.captions.vocabulary import folded
from lora_tui.tagging.request import Existing


@dataclass(frozen=True)
class Answered:
    """What all models together say of one image.

    Attributes:
        tags: in their order.
        sentences: of models that write prose.
        prose_first: the first of the models writes prose, so sentences stand before tags.
    """

    tags: tuple[str, ...] = ()
    sentences: tuple[str, ...] = ()
    prose_first: bool = False

    def __bool__(self) -> bool:
        return bool(self.tags or self.sentences)

    def text(self, profile: Profile) -> str:
        """The whole as a caption of its own."""
        tags, prose = (profile.separator + " ").join(self.tags), " ".join(self.sentences)
        if not (tags and prose):
            return tags or prose
        if not self.prose_first:
            return f"{tags}{profile.separator} {prose}"
        return f"{prose} {tags}" if prose[-1] in ".!?。！？" else f"{prose}{profile.separator} {tags}"


@dataclass(frozen=True)
class WriteAnswers:
    """Put the answers into captions.

    Attributes:
        answers: by the name of the image; others stay as they are, as do images of which nothing was said.
        existing: see :class:`~lora_tui.tagging.request.Request`.
        trigger: put first in every caption that is written.
    """

    answers: Mapping[str, Answered]
    existing: Existing
    trigger: str = ""

    def apply(self, text: str | None, context: Context) -> str | None:
        """The caption of the image that ``context`` names, with what was said of it."""
        said, profile = self.answers.get(context.name), context.profile
        has_caption = text is not None and bool(captions_of(text, profile))
        if not said or (has_caption and self.existing == "skip"):
            return text
        if profile.line == 1 and (not has_caption or self.existing == "replace"):
            ending = "" if text is None else text[len(text.rstrip("\r\n")) :]
            new = said.text(profile) + ending
        elif text is None:  # a line of captions that are not there
            return text
        else:
            new = map_captions(text, profile, lambda caption: self._changed(caption, said, profile))
        return Trigger(self.trigger).apply(new, context) if self.trigger else new

    def _changed(self, caption: str, said: Answered, profile: Profile) -> str:
        if self.existing == "replace" or not caption.strip():
            return said.text(profile)
        return self._joined(caption, said, profile)

    def _joined(self, caption: str, said: Answered, profile: Profile) -> str:
        if self.existing == "merge":
            caption = _merged(caption, said.tags, profile)
        else:
            there = {folded(item.text) for item in caption_view(caption, profile).items}
            new = [tag for tag in said.tags if folded(tag) not in there]
            caption = _put(caption, new, FRONT if self.existing == "prepend" else BACK, profile)
        known = _plain(caption)
        sentences = [one for one in said.sentences if _plain(one) not in known]
        if not sentences:
            return caption
        return _put(caption, [" ".join(sentences)], FRONT if self.existing == "prepend" else BACK, profile)


def _put(caption: str, tags: list[str], position: Position, profile: Profile) -> str:
    if not tags:
        return caption
    gap = style(caption, caption_view(caption, profile), profile)
    whole = gap.join(tags)
    if position is FRONT and whole[-1] in ".!?。！？" and whole.count(" ") > 1 and caption.strip():
        return f"{whole} {caption}"  # a sentence is followed by a blank, not by a comma
    return put(caption, whole, position, profile)


def _merged(caption: str, tags: tuple[str, ...], profile: Profile) -> str:
    """The person's own tags in their order, then all of the tagger's in its order; what is fixed or weighted stays."""
    seen = caption_view(caption, profile)
    wanted = {folded(tag) for tag in tags}
    moved = [index for index, item in enumerate(seen.items) if folded(item.text) in wanted and _is_loose(seen, index)]
    staying = {folded(item.text) for index, item in enumerate(seen.items) if index not in set(moved)}
    new = [tag for tag in tags if folded(tag) not in staying]
    if [seen.items[index].text for index in moved] == new and moved == _end_of_free(seen, len(moved)):
        return caption
    return _put(without(caption, seen, moved, profile), new, BACK, profile)


def _is_loose(seen: View, index: int) -> bool:
    """Whether a tag may be moved: in the part that is shuffled, without a weight, tied to no other."""
    item = seen.items[index]
    tied = any(other.unit == item.unit for other in seen.items[max(index - 1, 0) : index + 2] if other is not item)
    return item.zone == "free" and item.name_start == item.start and not tied


def _end_of_free(seen: View, several: int) -> list[int]:
    """The indices of the last tags before the fixed end."""
    free = [index for index, item in enumerate(seen.items) if item.zone != "suffix"]
    return free[len(free) - several :] if several else []


def _plain(text: str) -> str:
    """``text`` without case and doubled blanks."""
    return " ".join(text.casefold().split())
