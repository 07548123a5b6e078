"""In which old encodings bytes that are no UTF-8 can be read, and in which of them they read like a language.

Bytes fit several encodings by chance, and what is read wrongly and saved is lost. So one is named as likely only where
no other is: by the rows of the standards in which the common characters lie, and by how letters stand in words.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from lora_tui.text import _, plain

_MOST_BYTES = 1 << 16
"""More than this is not looked at in every encoding."""

_RARE = 0.2
"""Share of the characters of a script that may lie outside the rows of the common ones."""

_FEW = 5
"""Letters of a word that fewer characters of another script are not read as by chance."""

_SHOWN = 4
"""Readings that are listed."""

_WORD = re.compile(r"[^\W\d_]+")
_ACCENTED = re.compile(r"[^\x00-\x7f]+")
_SIGNS = frozenset("　、。，．・：；？！（）「」『』【】《》〈〉〔〕［］｛｝“”‘’…—～＋－＝％＆＃＠＊／＼｜＜＞￥＿‥·×")
_SIGNS |= frozenset("ー々〆")
_QUOTES = frozenset("’‘“”…–—«»°€№¿¡\u00a0\u00ad")


@dataclass(frozen=True, slots=True)
class Reading:
    """Bytes as one encoding reads them.

    Attributes:
        codec: its name for Python and for the operation ``encode``.
        name: its name for a person.
        is_likely: whether the text reads like a language that is written in this encoding.
    """

    codec: str
    name: str
    text: str
    is_likely: bool


def readings(raw: bytes) -> list[Reading]:
    """The encodings in which all of ``raw`` is text, the likely ones first."""
    found = []
    for codec, name, is_likely in _ENCODINGS:
        try:
            text = raw.decode(codec)
        except UnicodeDecodeError:
            continue
        if all(char.isprintable() or char in "\r\n\t\xa0\xad\u3000" for char in text):
            found.append(Reading(codec, name, text, is_likely(text[:_MOST_BYTES])))
    return sorted(found, key=lambda reading: not reading.is_likely)


def likely_encoding(raw: bytes) -> tuple[str, str]:
    """The one encoding in which ``raw`` reads like a language: its name for Python and for a person.

    Both are empty when there is none, or more than one.
    """
    likely = [(reading.codec, reading.name) for reading in readings(raw) if reading.is_likely]
    return likely[0] if len(likely) == 1 else ("", "")


def how_to_read(raw: bytes) -> str:
    """What a person can do about a caption in an old encoding: the operation, and how it would be read."""
    found = readings(raw)
    likely = [reading for reading in found if reading.is_likely] or found
    if not likely:
        return _("It is no text in an encoding that is known here; write the caption anew.")
    shown = ", ".join(f"{reading.codec}: {_sample(reading.text)}" for reading in likely[:_SHOWN])
    return _("Say how it is to be read with “encode utf-8 from ENCODING”: {readings}.").format(readings=shown)


def _sample(text: str) -> str:
    """The first characters that are none of ASCII, with what stands around them."""
    first = next((place for place, char in enumerate(text) if not char.isascii()), 0)
    return plain(text[max(first - 6, 0) : first + 12].strip())


def _rows(text: str, codec: str) -> list[int]:
    """The first byte of each character in an encoding of two bytes, 0 for those it lacks; without ASCII and signs."""
    rows = []
    for char in text:
        if char.isascii() or char in _SIGNS:
            continue
        raw = char.encode(codec, "ignore")
        rows.append(raw[0] if len(raw) == 2 else 0)
    return rows


def _mostly(text: str, codec: str, common: range) -> bool:
    """Whether nearly all characters lie in the rows of the common ones."""
    rows = _rows(text, codec)
    return bool(rows) and all(rows) and sum(row not in common for row in rows) <= _RARE * len(rows)


def _has_kana(text: str) -> bool:
    return any("\u3041" <= char <= "\u30fe" and char != "・" for char in text)


def _is_simplified(text: str) -> bool:
    return not _has_kana(text) and _mostly(text, "gb2312", range(0xB0, 0xD8))


def _is_traditional(text: str) -> bool:
    return not _has_kana(text) and _mostly(text, "big5", range(0xA4, 0xC7))


def _is_korean(text: str) -> bool:
    return _mostly(text, "euc_kr", range(0xB0, 0xC9))


def _is_japanese(text: str) -> bool:
    """Kana, and kanji of the first level; single kana of half the width are what other encodings look like."""
    return not any("\uff61" <= char <= "\uff9f" for char in text) and _mostly(text, "euc_jp", range(0xA4, 0xD0))


def _is_unix_japanese(text: str) -> bool:
    """As before; without kana it would be what Chinese looks like."""
    return _has_kana(text) and _is_japanese(text)


def _is_western(text: str) -> bool:
    """Accented letters, alone or two at a time beside plain ones."""
    words = _WORD.findall(text)
    runs = ((word, run) for word in words for run in _ACCENTED.findall(word))
    beside = all(len(run) == 1 or (len(run) == 2 and len(word) > 2) for word, run in runs)
    return beside and not _odd(text) and not _ACCENTED.fullmatch("".join(words))


def _is_cyrillic(text: str) -> bool:
    """Words of Cyrillic letters alone, small behind the first."""
    words = [word for word in _WORD.findall(text) if not word.isascii()]
    small = all(word[1:].islower() or word.islower() for word in words) and not _odd(text)
    is_word = max(map(len, words), default=0) >= _FEW
    return small and is_word and all("\u0400" <= char <= "\u04ff" for word in words for char in word)


def _odd(text: str) -> bool:
    """Whether signs stand in it that nobody writes into captions in an alphabet."""
    return any(not char.isascii() and not char.isalpha() and char not in _QUOTES for char in text)


_ENCODINGS: tuple[tuple[str, str, Callable[[str], bool]], ...] = (
    ("gb18030", "GB18030 (GBK)", _is_simplified),
    ("cp932", "Shift-JIS", _is_japanese),
    ("big5", "Big5", _is_traditional),
    ("cp949", "EUC-KR", _is_korean),
    ("euc_jp", "EUC-JP", _is_unix_japanese),
    ("cp1252", "Windows-1252", _is_western),
    ("cp1251", "Windows-1251", _is_cyrillic),
    ("koi8_r", "KOI8-R", _is_cyrillic),
)
