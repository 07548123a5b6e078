"""How tags are spelled and set: underscores, case, brackets, weights, blanks, separators, line ends. Each by itself."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from lora_tui.captions.document import UNDECODABLE, CaptionDocument
from lora_tui.captions.edits import gap_behind, with_each_replaced
from lora_tui.captions.encodings import how_to_read
from lora_tui.captions.kaomoji import is_kaomoji, spaced, underscored
from lora_tui.captions.operations.base import CannotChange, Context, EachCaption, parts_of
from lora_tui.captions.view import caption_view
from lora_tui.text import _, plain

_PLAIN_BRACKET = re.compile(r"(?<!\\)([()])")
_ESCAPED_BRACKET = re.compile(r"\\([()])")

SPELLINGS: dict[str, Callable[[str], str]] = {
    "spaces": spaced,
    "underscores": underscored,
    "lower": lambda tag: tag if is_kaomoji(tag) else tag.lower(),
    "upper": lambda tag: tag if is_kaomoji(tag) else tag.upper(),
    "capital": lambda tag: tag if is_kaomoji(tag) else tag[:1].upper() + tag[1:],
    "escape": lambda tag: tag if is_kaomoji(tag) else _PLAIN_BRACKET.sub(r"\\\1", tag),
    "unescape": lambda tag: _ESCAPED_BRACKET.sub(r"\1", tag),
}
"""Name of each spelling and what it makes of a tag; faces drawn with punctuation keep theirs."""


@dataclass(frozen=True, slots=True)
class Respell(EachCaption):
    """Another spelling for every tag, but for the trigger word and those in ``keep``."""

    how: str
    keep: frozenset[str] = frozenset()

    def change(self, caption: str, context: Context) -> str:
        seen = caption_view(caption, context.profile)
        spell = SPELLINGS[self.how]
        trigger = parts_of(context.trigger, context.profile) if context.trigger else ()
        keep = self.keep.union(trigger)
        names = {
            index: new
            for index, item in enumerate(seen.items)
            if item.text not in keep and (new := spell(item.text)) != item.text
        }
        return with_each_replaced(caption, seen, names)


@dataclass(frozen=True, slots=True)
class Spacing(EachCaption):
    """One separator and one blank between tags, no blanks at the ends; zones and units keep their marks."""

    def change(self, caption: str, context: Context) -> str:
        profile = context.profile
        items = caption_view(caption, profile).items
        if not items:
            return caption
        parts = [caption[items[0].start : items[0].end]]
        for before, after in pairwise(items):
            parts += [self._gap(caption[before.end : after.start], context), caption[after.start : after.end]]
        head, tail = caption[: items[0].start], caption[items[-1].end :]
        if profile.keep_separator and profile.keep_separator in head:
            parts.insert(0, profile.keep_separator + " ")
        if profile.keep_separator and profile.keep_separator in tail:
            parts.append(" " + profile.keep_separator)
        ending = re.search(r"[\r\n]*\Z", tail)
        return "".join(parts) + (ending[0] if ending else "")

    def _gap(self, gap: str, context: Context) -> str:
        profile = context.profile
        if profile.keep_separator and (count := gap.count(profile.keep_separator)):
            return " " + " ".join([profile.keep_separator] * count) + " "
        if lines := re.findall(r"\r\n|\r|\n", gap):
            return profile.separator * (profile.separator in gap) + "".join(lines)
        if profile.secondary_separator and profile.secondary_separator in gap and profile.separator not in gap:
            return profile.secondary_separator
        return profile.separator + " "


@dataclass(frozen=True, slots=True)
class Separators(EachCaption):
    """Full-width and ideographic commas, which no trainer splits at, become the separator and a blank."""

    def change(self, caption: str, context: Context) -> str:
        return re.sub(r"(?<![ \t])[ \t]*[，、][ \t\u3000]*", context.profile.separator + " ", caption)


@dataclass(frozen=True, slots=True)
class Weight(EachCaption):
    """Write a tag as ``(tag:weight)``; without a weight, take those of the tag, or of all tags, away."""

    tag: str = ""
    weight: str = ""

    def change(self, caption: str, context: Context) -> str:
        parts, position = [], 0
        for item in caption_view(caption, context.profile).items:
            is_weighted = item.name_start != item.start
            if (self.tag and item.text != self.tag) or not (self.weight or is_weighted):
                continue
            new = self._weighted(item.text, context) if self.weight else item.text
            parts += [caption[position : item.start], new]
            position = item.end
        return "".join([*parts, caption[position:]])

    def _weighted(self, name: str, context: Context) -> str:
        """The tag with the weight.

        Raises:
            CannotChange: nobody could tell the tag's own brackets from that of the weight.
        """
        new = f"({name}:{self.weight})"
        if [item.text for item in caption_view(new, context.profile).items] != [name]:
            raise CannotChange(
                _("A weight cannot be told from the brackets of the tag {tag}.").format(tag=plain(name)),
                remedy=_("Write a backslash before its brackets first."),
                code="captions.bracket",
            )
        return new


@dataclass(frozen=True, slots=True)
class LineEnds:
    """The same line end everywhere, or one at the end of the file (``final``), or none there (``bare``)."""

    kind: Literal["lf", "crlf", "final", "bare"]

    def apply(self, text: str | None, context: Context) -> str | None:
        if text is None:
            return None
        if self.kind in ("lf", "crlf"):
            return re.sub(r"\r\n|\r|\n", "\n" if self.kind == "lf" else "\r\n", text)
        if self.kind == "bare":
            return text.rstrip("\r\n")
        return text if text.endswith(("\n", "\r")) else text + ("\r\n" if "\r\n" in text else "\n")


@dataclass(frozen=True, slots=True)
class JoinLines:
    """Make one line of the lines that are not blank, or keep only the first of them."""

    first_only: bool = False

    def apply(self, text: str | None, context: Context) -> str | None:
        lines = [line.strip() for line in re.split(r"\r\n|\r|\n", text or "") if line.strip()]
        if text is None or len(lines) < 2:
            return text
        ending = re.search(r"(?:\r\n|\r|\n)?\Z", text)
        joined = lines[0]
        for line in () if self.first_only else lines[1:]:
            joined = joined.rstrip(" " + context.profile.separator)
            joined += gap_behind(joined, context.profile) + line
        return joined + (ending[0] if ending else "")


@dataclass(frozen=True, slots=True)
class Encode:
    """Write the file as UTF-8 without a byte order mark.

    Attributes:
        source: the encoding in which the bytes of a file are to be read that does not tell its own; empty leaves
            such files alone. What is UTF-8, or says with a mark what it is, is read as that.
    """

    source: str = ""

    def apply(self, text: str | None, context: Context) -> str | None:
        return text

    def apply_document(self, document: CaptionDocument | None, context: Context) -> CaptionDocument | None:
        if document is None:
            return None
        text = document.text
        if document.encoding == UNDECODABLE or "\0" in text:
            text = self._read(document)
        raw = text.removeprefix("\ufeff").encode("utf-8")
        return document if raw == document.raw else CaptionDocument.parse(raw)

    def _read(self, document: CaptionDocument) -> str:
        """The text of a file that is no UTF-8, or has the NUL characters of a UTF-16 without its mark."""
        raw = document.raw[len(document.bom) :]
        try:
            if self.source:
                return raw.decode(self.source)
            message = _("The file is no UTF-8, and does not say in which encoding it is.")
        except UnicodeError:
            message = _("It is no text in {encoding}.").format(encoding=self.source)
        if document.encoding != UNDECODABLE:
            return document.text
        raise CannotChange(message, remedy=how_to_read(raw), code="captions.encoding")


def is_encoding(name: str) -> bool:
    """Whether Python can read bytes as text in this encoding."""
    try:
        return codecs.lookup(name)._is_text_encoding
    except (LookupError, AttributeError):
        return False
