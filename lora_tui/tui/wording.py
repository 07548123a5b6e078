"""How an error is said where there is one line for it."""

from __future__ import annotations

from lora_tui.errors import UserError
from lora_tui.text import plain
from lora_tui.text.plain import sentences

__all__ = ["error_words", "sentences"]


def error_words(error: UserError) -> str:
    """What happened and what to do; of a long place only its end, which names the file or the field."""
    name = error.place.rpartition("/")[2]
    text = f"{name}: {error.message}" if name else error.message
    return plain(sentences(text, error.remedy))
