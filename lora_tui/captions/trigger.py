"""Trigger words: is one new to the dataset, to the tag lists and to the text encoder; does a text have it?"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from lora_tui.captions.index import Index
from lora_tui.captions.vocabulary import folded
from lora_tui.text import _, count, ngettext, plain

_MOST_TOKENS = 4
_SIGN = r"[^\W\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]"
"""A sign of words that stand apart from each other, as those of Chinese, Japanese and Korean do not."""


class KnownTags(Protocol):
    """Tags that a base model has probably seen."""

    def __contains__(self, tag: object) -> bool: ...


@dataclass(frozen=True, slots=True)
class TriggerProblem:
    """Why a word is a poor trigger word, or how a caption lacks it.

    Attributes:
        code: a short stable name, such as ``trigger.known_tag``.
        severity: ``error`` when it cannot serve, ``warning`` when it serves less well.
    """

    code: str
    message: str
    severity: Literal["error", "warning"] = "warning"


def has_word(text: str, word: str) -> bool:
    """Whether a text has a word, or a few, and not only as a part of longer ones: ``man`` is not in ``woman``."""
    return word in text and _word(word).search(text) is not None


def without_word(text: str, word: str) -> str:
    """``text`` without a word that :func:`has_word` finds; commas and blanks around it stay."""
    return _word(word).sub("", text) if word else text


def _word(word: str) -> re.Pattern[str]:
    before = rf"(?<!{_SIGN})" if re.match(_SIGN, word) else ""
    behind = rf"(?!{_SIGN})" if re.match(_SIGN, word[-1:]) else ""
    return re.compile(before + re.escape(word) + behind)


def lacking(word: str, *, other_case: bool = False) -> TriggerProblem:
    """That a caption has no trigger word, or has it in another case; whoever looks at captions says it so.

    No error: the caption is trained as it is written, and a picture without the subject may go without the word.
    """
    if other_case:
        message = _("The trigger word is written in another case: {trigger} is wanted.")
        return TriggerProblem("trigger.case", message.format(trigger=plain(word)))
    message = _("The trigger word {trigger} is missing.")
    return TriggerProblem("trigger.missing", message.format(trigger=plain(word)))


def check_trigger(
    word: str,
    index: Index,
    *,
    total: int | None = None,
    known: KnownTags | None = None,
    tokens: Callable[[str], int] | None = None,
) -> list[TriggerProblem]:
    """What speaks against ``word`` as a trigger word; nothing when it is fit.

    Args:
        index: the tags of the dataset. A word that all captions have is taken for the trigger word already.
        total: how many captions the dataset has; by default those that have tags.
        known: tag lists.
        tokens: counts the tokens of a text for the text encoder.
    """
    word = word.strip()
    if not word or any(sign in word for sign in ",，、\r\n") or word != word.strip("(){}[]|;"):
        message = _("A trigger word is one word or a few, without commas, line ends or brackets around it.")
        return [TriggerProblem("trigger.form", message, "error")]
    found = []
    captions = index.captions if total is None else total
    holders = len(index.union(index.vocabulary.same(word)))
    if 0 < holders < captions:
        message = ngettext(
            "{count} of {total} captions has it as a tag already.",
            "{count} of {total} captions have it as a tag already.",
            holders,
        )
        found.append(TriggerProblem("trigger.in_dataset", message.format(count=count(holders), total=count(captions))))
    if known is not None and word in known:
        message = _("{word} is in the tag lists: base models know it, and what they know mixes in.")
        found.append(TriggerProblem("trigger.known_tag", message.format(word=plain(word))))
    if tokens is not None:
        needed = tokens(word)
        if needed <= 1:
            message = _("{word} is a single token: a common word, which has a meaning already.")
            found.append(TriggerProblem("trigger.common", message.format(word=plain(word))))
        elif needed > _MOST_TOKENS:
            message = _("{word} takes {count} tokens of each caption; a shorter one leaves more room.")
            found.append(TriggerProblem("trigger.long", message.format(word=plain(word), count=needed)))
    if folded(word).isdecimal():
        found.append(TriggerProblem("trigger.number", _("A number alone is easily confused with counts.")))
    return found
