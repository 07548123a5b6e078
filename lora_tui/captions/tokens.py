"""Counting the tokens of a caption as CLIP's text encoder counts them, without transformers.

Byte-pair encoding with the vocabulary and merges of the tokenizer's files. Text is cleaned as
``transformers.CLIPTokenizer`` does: composed (NFC), lower case, blanks dropped.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path

from lora_tui.captions.profile import Profile
from lora_tui.captions.view import captions_of, without_marks

ASSETS = Path(__file__).resolve().parent.parent / "assets"
SD15 = ASSETS / "sd15" / "tokenizer"
_END = "</w>"
_SPECIAL = ("<|startoftext|>", "<|endoftext|>")
_MOST_WORDS = 100_000
_LONG_WORD = 60
"""Characters from which on a word is not remembered."""


class ClipTokens:
    """The tokenizer of one folder with ``vocab.json`` and ``merges.txt``.

    Raises:
        OSError, ValueError: the files cannot be read.
    """

    def __init__(self, folder: Path = SD15) -> None:
        import regex

        vocabulary = json.loads((folder / "vocab.json").read_text("utf-8"))
        lines = (folder / "merges.txt").read_text("utf-8").split("\n")
        pairs = [tuple(line.split()) for line in lines if line and not line.startswith("#version")]
        self._ids: dict[str, int] = vocabulary
        self._ranks = {pair: rank for rank, pair in enumerate(pairs) if len(pair) == 2}
        self._bytes = _byte_letters()
        self._words: dict[str, tuple[int, ...]] = {}
        self._counts: dict[str, int] = {}
        self._split = regex.compile(
            r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\p{White_Space}\p{L}\p{N}]+",
        )

    def count(self, text: str) -> int:
        """How many tokens ``text`` has, without the two that begin and end it."""
        counts, total = self._counts, 0
        for word in text.split(" "):  # no token goes over a blank, and most words were met before
            known = counts.get(word)
            if known is None:
                known = sum(len(self._tokens(piece)) for piece in self._pieces(word))
                if len(word) < _LONG_WORD:
                    if len(counts) > _MOST_WORDS:
                        counts.clear()
                    counts[word] = known
            total += known
        return total

    def ids(self, text: str) -> list[int]:
        """The numbers of the tokens, without the two that begin and end it."""
        return [number for word in self._pieces(text) for number in self._tokens(word)]

    def is_one_token(self, word: str) -> bool:
        """Whether the encoder knows ``word`` as a whole, so that it is no new word to it."""
        return self.count(word) == 1

    def _pieces(self, text: str) -> list[str]:
        clean = text.encode("utf-8", "replace").decode("utf-8") if not text.isascii() else text
        composed = unicodedata.normalize("NFC", clean)
        return list(self._split.findall(composed.lower()))

    def _tokens(self, word: str) -> tuple[int, ...]:
        known = self._words.get(word)
        if known is None:
            if word in _SPECIAL:
                known = (self._ids[word],)
            else:
                unknown = self._ids["<|endoftext|>"]
                letters = [self._bytes[byte] for byte in word.encode("utf-8")]
                parts = self._merged([*letters[:-1], letters[-1] + _END])
                known = tuple(self._ids.get(part, unknown) for part in parts)
            if len(self._words) > _MOST_WORDS:
                self._words.clear()
            self._words[word] = known
        return known

    def _merged(self, parts: list[str]) -> list[str]:
        """Join the pair of lowest rank, everywhere, until no pair is known."""
        ranks, none = self._ranks, len(self._ranks)
        while len(parts) > 1:
            best = min(pairwise(parts), key=lambda pair: ranks.get(pair, none))
            if best not in ranks:
                break
            joined, position = [], 0
            while position < len(parts):
                if position + 1 < len(parts) and (parts[position], parts[position + 1]) == best:
                    joined.append(parts[position] + parts[position + 1])
                    position += 2
                else:
                    joined.append(parts[position])
                    position += 1
            parts = joined
        return parts


@cache
def sd15_tokens() -> ClipTokens:
    """The tokenizer that ships with the program, read once."""
    return ClipTokens(SD15)


def _byte_letters() -> dict[int, str]:
    """A printable letter for each byte, as byte-level vocabularies write them."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    letters = {byte: chr(byte) for byte in printable}
    others = (byte for byte in range(256) if byte not in letters)
    return letters | {byte: chr(256 + place) for place, byte in enumerate(others)}


def most_tokens(text: str, profile: Profile, count: Callable[[str], int]) -> int:
    """The most tokens that the encoder of a trainer gets of one of the captions in a file's text.

    Args:
        count: counts those of a text.
    """
    captions = (text[start:end] for start, end in captions_of(text, profile))
    return max((count(without_marks(caption, profile)) for caption in captions), default=0)
