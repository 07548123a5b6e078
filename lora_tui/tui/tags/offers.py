"""Completion for the line in which tags, filters and operations are typed. No widgets."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from lora_tui.captions.complete import Completer, Completion
from lora_tui.captions.quoting import quoted
from lora_tui.captions.verbs import VERBS
from lora_tui.text import N_, _, count, plain
from lora_tui.tui.tags.filter_words import joined, tags_of_words
from lora_tui.tui.tags.rows import CATEGORIES
from lora_tui.tui.tags.typed_tags import TypedTags

COMMANDS: dict[str, str] = {
    "filter": N_("filter EXPRESSION: show only these images"),
    "mark": N_("mark EXPRESSION: mark the images that a filter finds"),
    "unmark": N_("unmark [EXPRESSION]: take marks away"),
    "undo": N_("undo [N|all]: the last transactions; all: those since the folder was opened"),
    "redo": N_("redo [N|all]: do them again"),
    "revert": N_("revert N|file|tag TAG: undo one transaction, this caption's last change, or a tag's"),
    "diff": N_("diff: captions whose files differ from what is shown here"),
    "ending": N_("ending [.ENDING [line N|lines]]: edit other captions of the same images"),
    "sheet": N_("sheet: the pictures of the marked images, else of those shown"),
    "quick": N_("quick N [TAG]: put a tag on a digit; none frees it"),
    "save-filter": N_("save-filter NAME: keep the filter under a name"),
    "pin-filter": N_("pin-filter NAME: keep the images that are shown now under a name, whatever becomes of them"),
    "forget-filter": N_("forget-filter NAME: keep it no longer"),
    "help": N_("help: every operation and command, searchable"),
    "s": N_("s/REGEX/TEXT/[t|p|c][i]: replace in whole tags, in parts, or in the caption"),
    "w": N_("w: wait until everything is on disk"),
}
"""What the command line knows besides the operations."""

ARGUMENTS = {
    "undo": ("all",),
    "redo": ("all",),
    "revert": ("file", "tag "),
    "ending": (".txt", ".caption"),
    "w": (),
    "diff": (),
    "sheet": (),
    "help": (),
    "save-filter": (),
    "pin-filter": (),
    "forget-filter": (),
}
"""What can follow a command that is about no tags."""

_WORDS = frozenset(
    [
        "front",
        "back",
        "keep",
        "at",
        "before",
        "after",
        "rule",
        "existing",
        "skip",
        "move",
        "to",
        "into",
        "from",
        "ignorecase",
        "with",
        "whole",
        "part",
        "caption",
        "first",
        "anywhere",
        "except",
        "all",
        "file",
        "seed",
        "reverse",
        "tags",
        "tokens",
        "ifempty",
    ]
)
_PLAIN = re.compile(r"[\w \-]+")
_CUT = re.compile(r",|\b(?:to|into|before|after)\s")
_FILTER_CUT = re.compile(r"[\s(]-?|^-")
_FILTER_WORDS = (
    "is:untagged",
    "is:empty",
    "is:lint",
    "is:modified",
    "is:reviewed",
    "is:excluded",
    "is:cropped",
    "is:seen",
    "tag:",
    "text:",
    "name:",
    "dir:",
    "tags>",
    "tokens>",
    "pos(",
    "any(",
    "all(",
    "one(",
    "none(",
    "count(",
    "w<",
    "ar>",
    "edited:",
    "by:",
    "in:@",
)


@dataclass(frozen=True)
class Offer:
    """One completion: what the line becomes, what is shown, a remark, and the tone of what is shown.

    Attributes:
        taken: whether Enter takes it where nobody moved to another.
    """

    text: str
    label: str
    remark: str = ""
    tone: str = ""
    taken: bool = False


Offering = Callable[[str], list[Offer]]


def bare(tag: str) -> str:
    """A tag as it can stand in an operation: quoted only where it must be."""
    if _PLAIN.fullmatch(tag) and not _WORDS.intersection(tag.split()):
        return tag
    return quoted(tag)


def tag_offers(completer: Completer, *, several: bool = True) -> Offering:
    """Completion of tags, of the last one behind a comma where there may be ``several``."""
    tags = TypedTags(completer)

    def offer(typed: str) -> list[Offer]:
        head, comma, last = typed.rpartition(",") if several else ("", "", typed)
        lead = f"{head}{comma} " if comma else ""
        found = [_offer(one, lead + one.tag) for one in completer.complete(last.strip())]
        if found and tags.takes_first(last):
            found[0] = replace(found[0], taken=True)
        return found

    return offer


def operation_offers(completer: Completer) -> Offering:
    """Completion of the command line: verbs and commands first, then tags."""

    def offer(typed: str) -> list[Offer]:
        head, semicolon, last = typed.rpartition(";")
        lead = f"{head}{semicolon} " if semicolon else ""
        verb, blank, rest = last.lstrip().partition(" ")
        if not blank:
            known = {name: text for name, (_build, text) in VERBS.items()} | ({} if semicolon else COMMANDS)
            return [
                Offer(f"{lead}{name} ", name, _(text).removeprefix(name).lstrip(" :："))
                for name, text in sorted(known.items())
                if name.startswith(verb)
            ]
        if verb in ("filter", "mark", "unmark"):
            return [Offer(f"{verb} {one.text}", one.label, one.remark) for one in filter_offers(completer)(rest)]
        if verb in ARGUMENTS and " " not in rest:
            return [Offer(f"{verb} {word}", word.strip()) for word in ARGUMENTS[verb] if word.startswith(rest)]
        start = max((found.end() for found in _CUT.finditer(rest)), default=0)
        if verb in ("revert", "quick"):
            start = len("tag ") if verb == "revert" else len("1 ")
        piece = rest[start:]
        before = f"{lead}{verb} {rest[:start]}"
        before += " " if before[-1] == "," else ""
        found = completer.complete(piece.strip().strip('"')) if piece.strip() else []
        return [_offer(one, before + bare(one.tag)) for one in found]

    return offer


def filter_offers(completer: Completer) -> Offering:
    """Completion at the end of a filter: tags of several words, tags of the last word, the words of the language."""

    def offer(typed: str) -> list[Offer]:
        meant = list(tags_of_words(completer, typed))
        several = [_offer(one, head + quoted(one.tag)) for head, one in meant]
        tag, whole = joined(typed, completer.index)
        if tag and all(one.text != whole for one in several):  # words further in front that are one tag
            several.insert(0, Offer(whole, plain(whole, limit=60), count(completer.index.count(tag))))
        start = max((found.end() for found in _FILTER_CUT.finditer(typed)), default=0)
        head, word = typed[:start], typed[start:]
        if not word or typed.count('"') % 2:
            return several
        key = "tag:" if word.startswith("tag:") else ""
        there = {one.tag for _head, one in meant}
        last = [one for one in completer.complete(word.removeprefix("tag:")) if one.tag not in there]
        found = [_offer(one, head + key + _as_word(one.tag)) for one in last]
        words = [Offer(head + name, name) for name in _FILTER_WORDS if name.startswith(word.lower()) and name != word]
        return [*several, *(found[:12] + words if len(word) < 3 else words + found)]

    return offer


def list_offers(tags: Iterable[str]) -> Offering:
    """Completion among a few tags."""
    known = list(tags)

    def offer(typed: str) -> list[Offer]:
        wanted = typed.strip().casefold()
        return [Offer(tag, plain(tag)) for tag in known if wanted in tag.casefold()][:20]

    return offer


def _as_word(tag: str) -> str:
    return tag if re.fullmatch(r"[\w\-]+", tag) and not tag.startswith("-") else quoted(tag)


def _offer(one: Completion, text: str) -> Offer:
    remark = count(one.count) if one.count else ""
    if one.matched:
        remark = f"{plain(one.matched, limit=20)}  {remark}"
    if one.category and one.category != "general":
        remark = f"{_(CATEGORIES[one.category][0]) if one.category in CATEGORIES else one.category}  {remark}"
    if one.source != "dataset":
        remark = f"+ {remark}"
    tone = CATEGORIES.get(one.category, ("", ""))[1]
    return Offer(text, plain(one.tag, limit=60), remark.strip(), tone)


def substitution(text: str) -> str:
    """``s/old/new/flags`` as an operation of the language; empty when it is none."""
    found = re.fullmatch(r"s/((?:[^/\\]|\\.)*)/((?:[^/\\]|\\.)*)/?([tpcgi]*)", text.strip())
    if found is None:
        return ""
    reach = next((word for flag, word in (("t", "whole"), ("c", "caption")) if flag in found[3]), "part")
    new = found[2].replace("\\/", "/")
    ignore = " ignorecase" if "i" in found[3] else ""
    return f"replace /{found[1]}/ with {quoted(new)} {reach}{ignore}"
