"""How an error is said where there is one line for it."""

from __future__ import annotations

from lora_tui.errors import UserError
from lora_tui.text import plain

_FULL_WIDTH = "。！？；，：）"


def sentences(*texts: str) -> str:
    """Sentences one after the other; a blank between them except after full-width punctuation, which has its own."""
    joined = ""
    for text in texts:
        if text:
            joined += text if not joined or joined[-1] in _FULL_WIDTH else f" {text}"
    return joined


def error_words(error: UserError) -> str:
    """What happened and what to do; of a long place only its end, which names the file or the field."""
    name = error.place.rpartition("/")[2]
    text = f"{name}: {error.message}" if name else error.message
    return plain(sentences(text, error.remedy))
