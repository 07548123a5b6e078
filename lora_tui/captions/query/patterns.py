"""Words of a filter that stand for tags: a tag, a pattern with ``*`` and ``?``, or a regular expression."""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from lora_tui.captions import prose
from lora_tui.captions.expressions import call_in
from lora_tui.captions.query.corpus import EntryLike
from lora_tui.captions.query.evaluate import POSTINGS, Evaluation
from lora_tui.captions.query.lexer import QueryError, Value
from lora_tui.captions.vocabulary import folded, glob_expression
from lora_tui.text import _, plain

if TYPE_CHECKING:
    import regex

_LONGEST_REGEX = 2000
TRIGGER = "trigger"
"""The word that stands for the trigger word inside ``pos()`` and its like."""


def compiled(value: Value) -> regex.Pattern[str]:
    """The regular expression that a value is.

    Raises:
        QueryError: it is none; the column is that of its mistake.
    """
    import regex

    if len(value.text) > _LONGEST_REGEX:
        raise QueryError(_("The regular expression is too long."), value.column)
    if (call := call_in(value.text)) is not None:
        message = _("A regular expression may not call itself or one of its groups.")
        raise QueryError(message, value.column + 1 + call, remedy=_("Write the part out where it is meant."))
    flags = (regex.IGNORECASE if "i" in value.flags else 0) | (regex.VERBOSE if "x" in value.flags else 0)
    try:
        return regex.compile(value.text, flags)
    except (regex.error, OverflowError, RecursionError, MemoryError) as error:
        at = getattr(error, "pos", None) or 0
        reason = plain(str(getattr(error, "msg", "") or error or type(error).__name__), limit=80)
        raise QueryError(
            _("The regular expression is wrong: {reason}.").format(reason=reason),
            value.column + 1 + min(at, len(value.text)),
        ) from None


@dataclass(frozen=True)
class TagPattern:
    """A word that stands for one or more tags.

    A plain word is the tag spelled so, with underscores or blanks; only where there is no such tag, it is the tags that
    differ from it in case or escapes alone, too. A word in quotes has nothing wild in it. With ``exact`` it is the tag
    to the letter.
    """

    value: Value
    special: bool = False
    exact: bool = False
    cost: int = POSTINGS

    @cached_property
    def expression(self) -> regex.Pattern[str]:
        return compiled(self.value)

    def tags(self, run: Evaluation) -> Set[str]:
        """The tags of the dataset that it stands for."""
        value = self.value
        if value.kind == "regex":
            found = self.expression
            return {tag for tag in run.index.tags() if run.search(found, tag, value.column)}
        if value.wild:
            return set(run.vocabulary.globbed(value.text))
        word = value.text
        if self.exact:
            return {word} if word in run.index else set()
        if self.special and value.kind == "word" and word == TRIGGER and run.context.trigger and word not in run.index:
            return {run.context.trigger} & set(run.index.tags()) or set(run.vocabulary.same(run.context.trigger))
        return set(run.vocabulary.spellings(word))

    def check(self, run: Evaluation) -> None:
        pass

    def select(self, run: Evaluation, within: Set[int] | None) -> Set[int]:
        tags = self.tags(run)
        found = run.index.postings(next(iter(tags))) if len(tags) == 1 else run.index.union(tags)
        return found if within is None else found & within

    def matcher(self, run: Evaluation) -> Callable[[str], bool]:
        """A test of one tag, for tags that are not in the index (categories, authors' names)."""
        value = self.value
        if value.kind == "regex":
            return lambda tag: run.search(self.expression, tag, value.column)
        if value.wild:
            expression = glob_expression(value.text)
            return lambda tag: expression.match(tag) is not None
        wanted = folded(value.text)
        return lambda tag: folded(tag) == wanted


@dataclass(frozen=True)
class TextPattern:
    """A value that is looked for somewhere in a text: as it stands with case ignored, wild, or a regular expression."""

    value: Value
    words: bool = False

    def tester(self, run: Evaluation) -> Callable[[str], bool]:
        """A test of one text. With ``words`` what is found begins and ends with whole words."""
        value = self.value
        if value.kind == "regex":
            expression = compiled(value)
            return lambda text: run.search(expression, text, value.column)
        if value.wild or self.words:
            import regex

            signs = {"*": ".*?", "?": "."} if value.wild else {}
            if self.words:
                body = prose.expression(value.text, wild=signs)
            else:
                body = "".join(signs.get(sign) or regex.escape(sign, special_only=True) for sign in value.text)
            pattern = regex.compile(body, regex.IGNORECASE | regex.DOTALL)
            if value.wild or not value.text.isascii():
                return lambda text: run.search(pattern, text, value.column)
            part = max(value.text.lower().split(), key=len, default="")  # settles most texts without the expression
            return lambda text: part in text.lower() and run.search(pattern, text, value.column)
        needle = value.text.casefold()
        return lambda text: needle in (text.lower() if text.isascii() else text.casefold())


def tag_pattern(value: Value, *, special: bool = False) -> TagPattern:
    """The tags that a value stands for.

    Raises:
        QueryError: it is a wrong regular expression.
    """
    if value.kind == "regex":
        compiled(value)
    return TagPattern(value, special)


def first_position(tags: tuple[str, ...], wanted: Set[str]) -> int:
    """The place of the first of ``wanted`` in ``tags``, from 1; 0 when there is none."""
    return next((place for place, tag in enumerate(tags, 1) if tag in wanted), 0)


def name_tester(value: Value, run: Evaluation) -> Callable[[str], bool]:
    """A test of a file's name or path: the whole of it when the value is wild, else a part; case is ignored."""
    if value.wild:
        expression = glob_expression(value.text)
        return lambda name: expression.match(name) is not None
    return TextPattern(value).tester(run)


def text_length(entry: EntryLike) -> int:
    """Characters of a caption, without the blanks and line ends around it."""
    return 0 if entry.document is None else len(entry.document.text.strip())
