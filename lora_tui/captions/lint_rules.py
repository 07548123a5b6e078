"""The rules of lint, each a function from what is looked at to what it finds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple

from lora_tui.captions.document import UNDECODABLE, problem_text, split_lines
from lora_tui.captions.edits import without
from lora_tui.captions.encodings import how_to_read, likely_encoding
from lora_tui.captions.index import Index
from lora_tui.captions.kaomoji import is_kaomoji
from lora_tui.captions.profile import OURS
from lora_tui.captions.query.corpus import EntryLike, text_of
from lora_tui.captions.quoting import quoted
from lora_tui.captions.tokens import most_tokens
from lora_tui.captions.trigger import has_word, lacking
from lora_tui.captions.view import View, caption_view, captions_of, view
from lora_tui.captions.vocabulary import folded
from lora_tui.text import _, count, ngettext, plain

if TYPE_CHECKING:
    from lora_tui.captions.lint import LintOptions

_WEIGHTS = re.compile(r"\([^()]*:\s*[-+]?(?:\d+\.?\d*|\.\d+)\s*\)")
_ESCAPES = re.compile(r"\\[()\[\]]")
_EMPTY_PARTS = re.compile(r",[^\S\r\n]*,|^[^\S\r\n]*,")
_WIDE_COMMAS = re.compile("[，、]")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_SINGLE_BRACES, _BRACES = re.compile(r"[{}]"), re.compile(r"\{\{|\}\}|[{}]")
_PROSE_BLANKS = 4
_MANY = 3


class Found(NamedTuple):
    """A problem without the entry it belongs to; fields as in :class:`lora_tui.captions.lint.Problem`."""

    code: str
    message: str
    fix: str | None = None
    remedy: str = ""
    severity: Literal["error", "warning"] = "warning"


class Look:
    """One caption under the eyes of the rules."""

    def __init__(self, entry: EntryLike, options: LintOptions) -> None:
        self.entry = entry
        self.options = options
        self.profile = options.profile
        self.document = entry.document
        self.text = text_of(entry)
        self.tags = entry.tags

    @cached_property
    def keys(self) -> list[str]:
        """The tags without what differs in spelling alone."""
        return list(map(folded, self.tags))

    @cached_property
    def is_prose(self) -> bool:
        """Whether the caption is sentences; asked of the view only where a tag is long enough for that."""
        return any(tag.count(" ") >= _PROSE_BLANKS for tag in self.tags) and view(self.text, self.profile).is_prose


Rule = Callable[[Look], Iterator[Found]]


def file_rules(look: Look) -> Iterator[Found]:
    """Whether the trainer finds a caption, and something in it."""
    problem = getattr(look.entry, "problem", None)
    if problem is not None:
        yield Found("caption.unreadable", problem.message, remedy=problem.remedy, severity="error")
        return
    if look.document is None:
        trigger = look.options.trigger
        yield Found(
            "caption.missing", _("The image has no caption."), f"trigger {quoted(trigger)}" if trigger else None
        )
        return
    name, endings = look.entry.caption_name, look.profile.extensions
    if endings and not name.endswith(endings):
        message = _("{trainer} does not read this caption: it looks for {endings}.").format(
            trainer=look.profile.name, endings=", ".join(endings)
        )
        remedy = _("Rename the captions, or tell the trainer this ending.")
        yield Found("caption.ending", message, remedy=remedy, severity="error")
    if not look.document.raw:
        stops = bool(look.profile.empty_text)
        message = _("The caption has no bytes, at which {trainer} stops.") if stops else _("The caption is empty.")
        fix = "lines final" if stops else None
        message = message.format(trainer=look.profile.name)
        yield Found("caption.zero_bytes", message, fix, severity="error" if stops else "warning")
    elif not look.text.strip():
        yield Found("caption.empty", _("The caption is empty."))


def byte_rules(look: Look) -> Iterator[Found]:
    """Encoding, byte order marks, line ends, control characters."""
    document = look.document
    if document is None:
        return
    for code in document.problems:
        if code == "undecodable":
            raw = document.raw[len(document.bom) :]
            codec, name = likely_encoding(raw)
            remedy = _("It looks like {encoding}.").format(encoding=name) if name else how_to_read(raw)
            fix = f"encode utf-8 from {codec}" if codec else None
            yield Found("caption.undecodable", problem_text(code), fix, remedy, "error")
        elif code in ("bom", "wide", "nul"):
            fix = "encode utf-8" if document.encoding != UNDECODABLE and code != "nul" else None
            yield Found(f"caption.{code}", problem_text(code), fix, severity="error")
    if "\r" in look.text:
        yield Found("caption.crlf", _("Its lines end as on Windows or old Macs."), "lines lf")
    if _CONTROLS.search(look.text) and "nul" not in document.problems:
        yield Found(
            "caption.control",
            _("There are control characters in it."),
            r'replace /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]/ with "" caption',
        )


def line_rules(look: Look) -> Iterator[Found]:
    """Lines that the trainer passes over."""
    if look.profile.lines != "first" or ("\n" not in look.text and "\r" not in look.text):
        return
    lost = sum(1 for line in split_lines(look.text) if line.strip()) - 1
    if lost > 0:
        message = ngettext(
            "{count} line after the first is not read.", "{count} lines after the first are not read.", lost
        )
        yield Found("caption.more_lines", message.format(count=count(lost)), "lines join", severity="error")


def mark_rules(look: Look) -> Iterator[Found]:
    """Separators, braces, weights and escapes that the trainer takes for plain text."""
    text, profile = look.text, look.profile
    keep, unit = profile.keep_separator or OURS.keep_separator, profile.secondary_separator or OURS.secondary_separator
    if keep in text and (not profile.keep_separator or (profile.keeps_marks and look.options.shuffle is False)):
        message = _("The mark {mark} stays in the caption, because {trainer} does not know it or does not shuffle.")
        fix = rf'replace /\s*,?\s*{_in_regex(keep)}\s*,?\s*/ with ", " caption'
        yield Found("mark.keep", message.format(mark=plain(keep), trainer=profile.name), fix)
    if unit in text and not profile.secondary_separator:
        message = _("The mark {mark} is plain text for {trainer}.").format(mark=plain(unit), trainer=profile.name)
        yield Found("mark.unit", message, rf'replace /\s*{_in_regex(unit)}\s*/ with ", " caption')
    if ("{" in text or "}" in text) and not all(map(_has_pairs, _spoken(look))):
        yield Found("mark.braces", _("A brace is opened and not closed, or closed and not opened."))
    elif "{" in text and "|" in text and not profile.wildcards:
        message = _("{trainer} chooses nothing from braces; they are plain text.").format(trainer=profile.name)
        yield Found("mark.wildcard", message)
    if "\\" in text and not profile.weights and _ESCAPES.search(text):
        message = _("Brackets are escaped, and {trainer} reads the backslashes as text.").format(trainer=profile.name)
        yield Found("mark.escape", message, "spell unescape")
    if "(" in text and not profile.weights and _WEIGHTS.search(text):
        message = _("Weights such as (tag:1.2) are plain text for {trainer}.").format(trainer=profile.name)
        yield Found("mark.weight", message, "unweight all")
    if not look.is_prose and _WIDE_COMMAS.search(text):
        yield Found("mark.wide_comma", _("Tags are separated by ， or 、, where no trainer splits."), "separators")
    if "," in text and _EMPTY_PARTS.search(text):
        yield Found("mark.empty_tag", _("There is nothing between two commas."), "spacing")


def _in_regex(mark: str) -> str:
    """A mark as it stands in a regular expression between slashes."""
    return re.escape(mark).replace("/", r"\/")


def _spoken(look: Look) -> Iterator[str]:
    """Each caption of a file that its trainer reads, without the faces in it, some of which are drawn with braces."""
    for start, end in captions_of(look.text, look.profile):
        caption = look.text[start:end]
        items = caption_view(caption, look.profile).items
        faces = [index for index, item in enumerate(items) if is_kaomoji(item.text)]
        yield without(caption, View(items, is_prose=False), faces, look.profile) if faces else caption


def _has_pairs(caption: str) -> bool:
    """Whether every brace has its partner in a caption, in the right order; doubled ones may mean themselves."""
    return any(_closes(signs.findall(caption)) for signs in (_SINGLE_BRACES, _BRACES))


def _closes(signs: list[str]) -> bool:
    depth = 0
    for sign in signs:
        depth += {"{": 1, "}": -1}.get(sign, 0)
        if depth < 0:
            return False
    return depth == 0


def trigger_rules(look: Look) -> Iterator[Found]:
    """The trigger word: there, first, in its own spelling."""
    trigger = look.options.trigger.strip()
    if not trigger or not look.text.strip():
        return
    fix = f"trigger {quoted(trigger)}"
    if trigger in look.tags:
        if look.tags[0] != trigger:
            message = _("The trigger word {trigger} is not in front.")
            yield Found("trigger.not_first", message.format(trigger=plain(trigger)), fix)
    elif folded(trigger) in look.keys:
        yield _lacking(trigger, fix, other_case=True)
    elif not (look.is_prose and has_word(look.text, trigger)):
        yield _lacking(trigger, fix)


def _lacking(trigger: str, fix: str, *, other_case: bool = False) -> Found:
    told = lacking(trigger, other_case=other_case)
    return Found(told.code, told.message, fix, severity=told.severity)


def tag_rules(look: Look) -> Iterator[Found]:
    """Tags that repeat, resemble or contradict each other, or that the dataset bans."""
    tags = look.tags
    if len(tags) < 1 or look.is_prose:
        return
    if len(set(tags)) < len(tags):
        doubled = dict.fromkeys(tag for place, tag in enumerate(tags) if tag in tags[:place])
        yield Found("tag.double", _("Tags come twice: {tags}.").format(tags=_few(list(doubled))), "dedupe")
    elif len(set(look.keys)) < len(tags):
        seen = [tag for place, tag in enumerate(tags) if look.keys[place] in look.keys[:place]]
        message = _("Tags come twice in two spellings: {tags}.").format(tags=_few(seen))
        yield Found("tag.double_spelling", message, "dedupe loosely")
    present = set(look.keys)
    plurals = [tag for tag, key in zip(tags, look.keys, strict=True) if f"{key}s" in present or f"{key}es" in present]
    if plurals:
        yield Found("tag.plural", _("A tag stands beside its own plural: {tags}.").format(tags=_few(plurals)))
    for group, members in look.options.tables.conflicts(tags):
        message = _("Tags contradict each other ({group}): {tags}.")
        yield Found("tag.contradiction", message.format(group=plain(_(group)), tags=_few(members)))
    banned = [tag for tag in tags if look.options.tables.banned(tag)] if look.options.tables.blacklist else []
    if banned:
        yield Found("tag.banned", _("The dataset's black list has: {tags}.").format(tags=_few(banned)), "blacklist")


def budget_rules(look: Look) -> Iterator[Found]:
    """Captions longer than what the text encoder sees."""
    tokens, limit = look.options.tokens, look.options.token_limit
    if tokens is None or len(look.text) <= limit:  # a token has a character at least
        return
    found = most_tokens(look.text, look.profile, tokens)
    if found > limit:
        message = _("It has {count} tokens; the text encoder sees {limit}.")
        yield Found("caption.tokens", message.format(count=count(found), limit=limit), f"truncate {limit} tokens")


def misspelled_tag(tag: str, meant: str, index: Index) -> Found:
    """A tag that looks like a misspelling of another one of the dataset."""
    same = folded(tag) == folded(meant)
    message = _("{tag} is spelled {other} in {count} captions.") if same else _("{tag} may be a slip for {other}.")
    shown = message.format(tag=plain(tag), other=plain(meant), count=count(index.count(meant)))
    return Found("tag.spelling" if same else "tag.slip", shown, f"rename {quoted(tag)} to {quoted(meant)}")


def shared_caption(others: Sequence[str]) -> Found:
    """A caption file that belongs to several images."""
    message = _("Other images have the same caption file: {names}.").format(names=_few(others))
    return Found("caption.shared", message, None, _("Rename one of them if they show different things."))


def orphaned_caption() -> Found:
    """A caption file that belongs to no image."""
    message, remedy = _("There is no image for this caption."), _("Rename it like its image, or move it away.")
    return Found("caption.orphan", message, None, remedy)


def _few(words: Sequence[str]) -> str:
    shown = ", ".join(plain(word, limit=40) for word in words[:_MANY])
    return f"{shown} …" if len(words) > _MANY else shown


RULES: tuple[Rule, ...] = (
    file_rules,
    byte_rules,
    line_rules,
    mark_rules,
    trigger_rules,
    tag_rules,
    budget_rules,
)
"""What a caption is looked at for, in the order in which problems are shown."""
