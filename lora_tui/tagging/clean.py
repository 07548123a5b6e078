"""Text that a model or a server sent, made fit for a caption: one line, nothing that a terminal or a trainer obeys.

What a model answers is text from outside. Escape codes, control characters and invisible marks go, line ends become
blanks, and its length is bounded. An answer that is empty, or in which the model declines, is no caption.
"""

from __future__ import annotations

import re
import unicodedata

from lora_tui.errors import UserError
from lora_tui.text import _, plain

LONGEST = 4_000
"""Characters of a caption at most; no text encoder reads more."""
_LARGEST = 1 << 20

_ESCAPES = re.compile(
    "(?:\x1b\\[|\x9b)[0-?]*[ -/]*[@-~]?"  # CSI
    "|(?:\x1b[\\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\\\|\x9c)?"  # strings such as titles
    "|\x1b[ -/]*[0-~]?"
)
_THOUGHTS = re.compile(r"<(think|thinking|reasoning)>.*?(?:</\1>|\Z)", re.DOTALL | re.IGNORECASE)
_FENCE = re.compile(r"\A```[\w-]*\n(.*?)\n?```\Z", re.DOTALL)
_MARKS = re.compile(r"\|\|\||;;;")
"""What ends the fixed front of a caption and what ties tags, for trainers."""
_QUOTES = (('"', '"'), ("“", "”"), ("「", "」"), ("«", "»"))
_ENDS = re.compile(r"[.!?](?=\s)|[。！？]")
_REFUSAL = re.compile(
    r"(?:i['’]?m|i am) (?:very |really |so )?(?:sorry|unable|not able|not allowed)\b"
    r"|sorry,? (?:but )?(?:i\b|this|that)|i (?:apologi[sz]e|can['’]?t|cannot|can not|won['’]?t|will not|must decline)\b"
    r"|as an? (?:ai|artificial|language model)|unfortunately,? i\b"
    r"|(?:很|非常)?抱歉|对不起|我(?:无法|不能)|作为(?:一个|一名)?(?:ai|人工智能|语言模型)",
    re.IGNORECASE,
)


def one_line(text: str) -> str:
    """``text`` as one line without control characters, escape codes, invisible marks and doubled blanks."""
    text = _ESCAPES.sub("", text[:_LARGEST])
    if not (text.isascii() and text.isprintable()):
        text = "".join(map(_kept, text))
    return " ".join(text.split())


def caption_text(text: str) -> str:
    """What of an answer becomes a caption: thoughts, fences, quotation marks around it and trainers' marks taken away.

    Raises:
        UserError: ``tagger.empty`` when nothing is left, ``tagger.refused`` when the model declines.
    """
    text = _THOUGHTS.sub(" ", text[:_LARGEST]).strip()
    if fenced := _FENCE.match(text):
        text = fenced[1]
    text = one_line(_MARKS.sub(" ", text))
    for opening, closing in _QUOTES:
        if len(text) > 1 and text.startswith(opening) and text.endswith(closing) and text.count(opening) < 3:
            text = text[1:-1].strip()
    if not any(map(str.isalnum, text)):
        raise UserError(_("The model answered nothing."), code="tagger.empty")
    if _REFUSAL.match(text):
        raise UserError(
            _("The model declines: “{answer}”").format(answer=plain(text, limit=120)),
            remedy=_("Try another prompt or another model for this image."),
            code="tagger.refused",
        )
    return shortened(text, LONGEST)


def shortened(text: str, longest: int) -> str:
    """``text`` cut to at most ``longest`` characters: behind a sentence in its second half, else behind a word."""
    if len(text) <= longest:
        return text
    kept = text[:longest]
    ends = [found.end() for found in _ENDS.finditer(text[: longest + 1]) if longest // 2 <= found.end() <= longest]
    if ends:
        return kept[: ends[-1]]
    return (kept.rpartition(" ")[0] or kept).rstrip(" ,;:")


def whole_sentences(text: str) -> str:
    """An answer that was broken off, without the sentence that has no end, if that leaves half of it."""
    ends = [found.end() for found in _ENDS.finditer(text + " ")]
    return text[: ends[-1]] if ends and 2 * ends[-1] >= len(text) else text


def _kept(character: str) -> str:
    """The character itself, a blank for what separates, nothing for what controls or cannot be seen."""
    if character.isspace() or character in "\u2028\u2029":
        return " "
    return "" if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn") else character
