"""What every operation is: pure, from a caption's text to its new text, with what it needs to know handed in."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from lora_tui.captions.document import UNDECODABLE, CaptionDocument
from lora_tui.captions.edits import ends_sentence
from lora_tui.captions.encodings import how_to_read
from lora_tui.captions.files import MAX_BYTES
from lora_tui.captions.profile import OURS, Profile
from lora_tui.captions.view import caption_view, line_spans, map_captions
from lora_tui.errors import UserError
from lora_tui.text.translate import _

if TYPE_CHECKING:
    from lora_tui.captions.tables import Tables


_JOINING = re.compile(r"[()\[\]{}\\\r\n]")
"""What may tie the tags around it together, or part them, where it stands in a tag."""


_BYTES = re.compile(r"(?:[^\x00-\x7f]+[0-9@-~]?)+")


class CannotChange(UserError):
    """A caption that an operation must leave as it is, and why; those of other images are changed nevertheless."""


def no_count(_tag: str) -> int:
    return 0


def no_caption(_source: str) -> str | None:
    return None


@dataclass(slots=True)
class Context:
    """What an operation may ask while it changes one caption.

    Attributes:
        profile: how the trainer reads captions.
        name: the image's name; what is drawn by chance is keyed by it.
        count: in how many captions of the dataset a tag stands.
        category: the category of a tag (``character``, ``general`` …), empty when unknown; none without
            a list of tags.
        tokens: how many tokens a text has; none when the tokenizer is not there.
        caption_of: the text of another image's caption by its name, or of this image's by another ending.
        tables: what the dataset says of aliases, implications and exclusive groups; none when it says nothing.
        trigger: the trigger word, whose spelling stays.
    """

    profile: Profile = OURS
    name: str = ""
    count: Callable[[str], int] = no_count
    category: Callable[[str], str] | None = None
    tokens: Callable[[str], int] | None = None
    caption_of: Callable[[str], str | None] = no_caption
    tables: Tables | None = field(default=None)
    trigger: str = ""


class Operation(Protocol):
    """One thing to do to captions."""

    def apply(self, text: str | None, context: Context) -> str | None:
        """The new text of a caption file; none means that there is no file.

        Raises:
            CannotChange: this caption must stay as it is.
            UserError: the operation cannot be done at all.
        """
        ...


class EachCaption(ABC):
    """An operation that changes every caption of a file by itself; without a file there is nothing to change."""

    makes_files = False

    def apply(self, text: str | None, context: Context) -> str | None:
        if text is None:
            new = self.change("", context) if self.makes_files and context.profile.line == 1 else ""
            return new or None
        changed = map_captions(text, context.profile, lambda caption: self.change(caption, context))
        return changed if changed or not text else context.profile.empty_text

    @abstractmethod
    def change(self, caption: str, context: Context) -> str:
        """The new text of one caption."""


def is_joining(tag: str) -> bool:
    """Whether a tag holds brackets or line ends, which may tie or part the tags around it."""
    return _JOINING.search(tag) is not None


@lru_cache(maxsize=1 << 14)
def parts_of(tag: str, profile: Profile) -> dict[str, str]:
    """The names of the tags that something written as one tag holds, each with how it is written, weight and all."""
    return {item.text: tag[item.start : item.end] for item in caption_view(tag, profile).items} or {tag: tag}


def with_all(text: str, before: str, names: Iterable[str], profile: Profile) -> str:
    """A caption that was changed, in which tags of these names must stand as they did ``before``.

    Raises:
        CannotChange: one of them does not, because a bracket or a line end in another has swallowed it.
    """
    lines = line_spans(text)
    is_cut = profile.lines != "all" and len(lines) > len(line_spans(before))
    read = next((text[start:end] for start, end in lines if text[start:end].strip()), "") if is_cut else text
    missing = Counter(names) - Counter(item.text for item in caption_view(read, profile).items)
    if any(not ends_sentence(name) for name in missing):  # behind the end of a sentence stands the tag that was added
        raise CannotChange(
            _("A bracket or a line end in the tag would join it with the tags around it."),
            remedy=_("Close the bracket within the tag, or write a backslash before it."),
            code="captions.bracket",
        )
    return text


@dataclass(frozen=True, slots=True)
class Steps:
    """Several operations, one after the other, as one."""

    steps: tuple[Operation, ...]

    def apply(self, text: str | None, context: Context) -> str | None:
        for step in self.steps:
            text = step.apply(text, context)
        return text

    def apply_document(self, document: CaptionDocument | None, context: Context) -> CaptionDocument | None:
        for step in self.steps:
            document = changed_document(step, document, context)
        return document


def changed_document(
    operation: Operation, document: CaptionDocument | None, context: Context
) -> CaptionDocument | None:
    """A caption file after an operation: the same object when nothing changes, the same encoding when it does.

    Raises:
        CannotChange: the operation must leave it as it is.
        UnicodeError: the file's encoding cannot write the new text.
    """
    whole = getattr(operation, "apply_document", None)
    if whole is not None:
        return _checked(whole(document, context), document)
    before = None if document is None else document.text
    after = operation.apply(before, context)
    if after == before:
        return document
    if after is None:
        return None
    if document is not None and document.encoding == UNDECODABLE and not _keeps_bytes(document.text, after):
        raise CannotChange(
            _("The file is no UTF-8: nothing but plain ASCII can come into it, and what is not stays as it is."),
            remedy=how_to_read(document.raw[len(document.bom) :]),
            code="captions.encoding",
        )
    new = CaptionDocument.parse(after.encode("utf-8")) if document is None else document.with_text(after)
    if new.text != after:  # bytes that are no text by themselves may look like a mark or like UTF-16 with others
        raise UnicodeError(_("it would be read in another way than it was written"))
    return _checked(new, document)


def _checked(new: CaptionDocument | None, old: CaptionDocument | None) -> CaptionDocument | None:
    """A changed caption.

    Raises:
        CannotChange: it would be larger than what is read as a caption.
    """
    if new is not None and new is not old and len(new.raw) > MAX_BYTES:
        raise CannotChange(
            _("It would become larger than {size} MB, which is no caption any more.").format(size=MAX_BYTES >> 20),
            remedy=_("Shorten it, or leave this image out."),
            code="caption.too_large",
        )
    return new


def _keeps_bytes(before: str, after: str) -> bool:
    """Whether a text whose encoding is not known has nothing beyond ASCII that it did not have.

    The character behind such bytes belongs to them: in old encodings the second byte of a character may look like one.
    """
    return not Counter(_BYTES.findall(after)) - Counter(_BYTES.findall(before))
