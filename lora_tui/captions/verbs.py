"""The verbs of the language of operations: how each is written, and the operation that it is."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from lora_tui.captions.arguments import POSITION_WORDS, Arguments, position, read_list, read_pairs
from lora_tui.captions.operations.base import Operation
from lora_tui.captions.operations.naming import Join, Pairs, Remove, Rename, Retain, Split
from lora_tui.captions.operations.order import Dedupe, Shuffle, Sort, Truncate
from lora_tui.captions.operations.phrases import Phrase
from lora_tui.captions.operations.placing import Add, Move, Shift, Toggle, Trigger
from lora_tui.captions.operations.spelling import (
    Encode,
    JoinLines,
    LineEnds,
    Respell,
    Separators,
    Spacing,
    Weight,
    is_encoding,
)
from lora_tui.captions.operations.tables import Aliases, Blacklist, Consolidate, Exclusive, Implications
from lora_tui.captions.operations.whole import Delete, SetText, Substitute, Take
from lora_tui.captions.words import OperationError
from lora_tui.errors import UserError
from lora_tui.text import N_, _

_WEIGHT = re.compile(r"-?(?:\d+\.?\d*|\.\d+)")


def _add(words: Arguments) -> Operation:
    tags = words.tags((*POSITION_WORDS, "existing"))
    where = position(words)
    existing: Any = words.choice("skip", "move") if words.take("existing") else "skip"
    return Add(tags, where, existing)


def _move(words: Arguments) -> Operation:
    tags = words.tags(POSITION_WORDS)
    where = position(words, None)
    return Move(tags, where)


def _shift(words: Arguments) -> Operation:
    place = words.number(1) - 1
    words.expect("to")
    return Shift(place, words.number(1) - 1)


def _toggle(words: Arguments) -> Operation:
    return Toggle(words.tags(POSITION_WORDS)[0], position(words))


def _trigger(words: Arguments) -> Operation:
    return Trigger(
        words.tag(), anywhere=words.choice("first", "anywhere") == "anywhere" if not words.is_done else False
    )


def _remove(words: Arguments) -> Operation:
    return Remove(words.sought())


def _rename(words: Arguments) -> Operation:
    old = words.sought(("to",))
    words.expect("to")
    new = words.tags(("ignorecase",))
    if len(new) != 1:
        raise OperationError(_("A tag gets one new name."), words.next.column)
    if words.take("ignorecase"):
        old = type(old)(old.names, old.globs, old.patterns, True)
    return Rename(old, new[0])


def _split(words: Arguments) -> Operation:
    if words.take("at"):
        column = words.next.column
        at = words.text()
        if not at:
            raise OperationError(_("A tag cannot be split at nothing."), column)
        return Split(at=at)
    tag = words.tags(("into",))[0]
    words.expect("into")
    return Split(tag=tag, parts=words.tags())


def _join(words: Arguments) -> Operation:
    tags = words.tags(("into",))
    words.expect("into")
    return Join(tags, words.tags()[0])


def _replace(words: Arguments) -> Operation:
    if words.next.kind not in ("string", "bare", "regex") or not words.next.text:
        raise OperationError(_("Text or a /regular expression/ is expected here."), words.next.column)
    word = words.words(("with",), regex=True)
    words.expect("with")
    column = words.next.column
    new = words.words(("whole", "part", "caption", "ignorecase")).text
    reach: Any = words.take("whole", "part", "caption") or "part"
    ignore = bool(words.take("ignorecase")) or "i" in word.flags
    try:
        return Substitute(word.text, new, reach, is_regex=word.kind == "regex", ignore_case=ignore)
    except (ValueError, IndexError, KeyError) as error:
        raise OperationError(_("The replacement is wrong: {reason}.").format(reason=error), column) from None
    except Exception as error:
        if type(error).__module__.startswith(("regex", "_regex")):
            raise OperationError(_("The replacement is wrong: {reason}.").format(reason=error), column) from None
        raise


def _phrase(words: Arguments) -> Operation:
    doing = words.choice("remove", "rename")
    column = words.next.column
    phrase = words.tags(("to", "exactcase"))[0]
    new = ""
    if doing == "rename":
        words.expect("to")
        new = words.tags(("exactcase",))[0]
    if not any(map(str.isalnum, phrase)):
        raise OperationError(_("A phrase has words."), column)
    return Phrase(phrase, new, ignore_case=not words.take("exactcase"))


def _sort(words: Arguments) -> Operation:
    by: Any = words.choice("alpha", "frequency", "length", "category", "order", "rule")
    rule = tuple(read_list(words.file())) if by == "rule" else ()
    first = words.number() if words.take("first") else 0
    return Sort(by, first, bool(words.take("reverse")), rule)


def _shuffle(words: Arguments) -> Operation:
    seed = words.number() if words.take("seed") else 0
    return Shuffle(seed, words.number() if words.take("first") else 0)


def _truncate(words: Arguments) -> Operation:
    limit = words.number(1)
    unit: Any = words.choice("tags", "tokens")
    return Truncate(limit, unit)


def _spell(words: Arguments) -> Operation:
    how = words.choice("spaces", "underscores", "lower", "upper", "capital", "escape", "unescape")
    keep = words.tags() if words.take("except") else ()
    return Respell(how, frozenset(keep))


def _weight(words: Arguments) -> Operation:
    tag = words.tag()
    word = words.skip()
    if not _WEIGHT.fullmatch(word.text):
        raise OperationError(_("A weight such as 1.2 is expected here."), word.column)
    return Weight(tag, word.text)


def _unweight(words: Arguments) -> Operation:
    return Weight("" if words.take("all") or words.is_done else words.tag())


def _lines(words: Arguments) -> Operation:
    match words.choice("join", "first", "lf", "crlf", "final", "bare"):
        case "join":
            return JoinLines()
        case "first":
            return JoinLines(first_only=True)
        case kind:
            return LineEnds(kind)  # type: ignore[arg-type]


def _encode(words: Arguments) -> Operation:
    words.expect("utf-8")
    if not words.take("from"):
        return Encode()
    column = words.next.column
    name = words.text()
    if not is_encoding(name):
        raise OperationError(_("There is no such encoding: {name}.").format(name=name), column)
    return Encode(name)


def _set(words: Arguments) -> Operation:
    text = words.words(("ifempty",)).text
    return SetText(text, only_if_empty=bool(words.take("ifempty")))


def _take(words: Arguments) -> Operation:
    words.take("from")
    column = words.next.column
    source = words.text()
    if source.startswith(".") and "/" not in source:
        from lora_tui.captions.variants import checked_ending

        try:
            source = checked_ending(source)
        except UserError as error:
            raise OperationError(error.message, column, remedy=error.remedy) from None
    how: Any = words.choice("replace", "ifempty", "fill", "union", "intersect", "subtract", "prepend", "append")
    return Take(source, "fill" if how == "ifempty" else how)


def _alone(make: Callable[[], Operation]) -> Callable[[Arguments], Operation]:
    """A verb without arguments."""

    def build(_words: Arguments) -> Operation:
        return make()

    return build


VERBS: dict[str, tuple[Callable[[Arguments], Operation], str]] = {
    "add": (_add, N_("add TAG, … [front|back|keep|at N|before TAG|after TAG|rule FILE] [existing skip|move]")),
    "move": (_move, N_("move TAG, … front|back|keep|at N|before TAG|after TAG|rule FILE")),
    "shift": (_shift, N_("shift N to N: the tag at one place of the caption to another")),
    "toggle": (_toggle, N_("toggle TAG [front|back|…]: away where it is, added where it is not")),
    "trigger": (_trigger, N_("trigger WORD [first|anywhere]: there, in this spelling, in front")),
    "remove": (_remove, N_("remove TAG, WILD*, /REGEX/ … [ignorecase]; remove from FILE")),
    "retain": (lambda words: Retain(words.sought()), N_("retain TAG, …: remove all others")),
    "rename": (_rename, N_("rename TAG, … to TAG [ignorecase]: several become one")),
    "pairs": (lambda words: Pairs(read_pairs(words.file())), N_("pairs FILE: rename by lines “old -> new”")),
    "split": (_split, N_("split TAG into TAG, …; split at TEXT")),
    "join": (_join, N_("join TAG, TAG, … into TAG")),
    "replace": (_replace, N_("replace TEXT|/REGEX/ with TEXT [whole|part|caption] [ignorecase]")),
    "phrase": (_phrase, N_("phrase remove WORDS; phrase rename WORDS to WORDS [exactcase]: in prose")),
    "sort": (_sort, N_("sort alpha|frequency|length|category|order|rule FILE [first N] [reverse]")),
    "shuffle": (_shuffle, N_("shuffle [seed N] [first N]")),
    "dedupe": (lambda words: Dedupe(bool(words.take("loosely"))), N_("dedupe [loosely]")),
    "truncate": (_truncate, N_("truncate N tags|tokens")),
    "spell": (_spell, N_("spell spaces|underscores|lower|upper|capital|escape|unescape [except TAG, …]")),
    "spacing": (_alone(Spacing), N_("spacing: a comma and a blank between tags")),
    "separators": (_alone(Separators), N_("separators: full-width commas become commas")),
    "weight": (_weight, N_("weight TAG 1.2")),
    "unweight": (_unweight, N_("unweight [TAG|all]")),
    "lines": (_lines, N_("lines join|first|lf|crlf|final|bare")),
    "encode": (_encode, N_("encode utf-8 [from ENCODING]: without a byte order mark")),
    "aliases": (_alone(Aliases), N_("aliases: the names that the dataset's tables prefer")),
    "implications": (_alone(Implications), N_("implications: add what tags imply by the tables")),
    "consolidate": (_alone(Consolidate), N_("consolidate: drop shirt beside white shirt")),
    "exclusive": (
        lambda words: Exclusive(words.choice("first", "frequent") == "frequent" if not words.is_done else False),
        N_("exclusive [first|frequent]: keep one of tags that exclude each other"),
    ),
    "blacklist": (_alone(Blacklist), N_("blacklist: remove what the tables ban")),
    "take": (_take, N_("take IMAGE|.ENDING replace|ifempty|union|intersect|subtract|prepend|append")),
    "set": (_set, N_("set TEXT [ifempty]")),
    "delete": (_alone(Delete), N_("delete: no caption file")),
}
"""Every verb: what reads its words, and how it is written."""
