"""Guessing in which old encoding bytes are that are no UTF-8."""

from __future__ import annotations

_ENCODINGS = (("gb18030", "GB18030 (GBK)"), ("cp932", "Shift-JIS"), ("cp1252", "Windows-1252"))


def likely_encoding(raw: bytes) -> tuple[str, str]:
    """The first encoding in which ``raw`` is text: its name for Python and for a person; both empty when none fits."""
    for codec, name in _ENCODINGS:
        try:
            text = raw.decode(codec)
        except UnicodeDecodeError:
            continue
        if all(char.isprintable() or char in "\r\n\t" for char in text):
            return codec, name
    return "", ""
