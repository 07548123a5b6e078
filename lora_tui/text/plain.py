"""Outside text (tags, names, logs, errors of other programs) made safe to show."""

from __future__ import annotations

import unicodedata

_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")


def plain(text: str, *, newlines: bool = False, limit: int | None = None) -> str:
    """``text`` with control characters shown as symbols, so that a terminal obeys none of them.

    C0 controls become their Unicode pictures (escape is ``␛``), C1 controls, unpaired surrogates,
    line separators and direction marks become ``\\xNN`` or ``\\uNNNN``. Markup is left as it is:
    show the result through a widget that does not parse any. ``newlines`` keeps line feeds;
    ``limit`` cuts to that many characters with an ellipsis.
    """
    if limit is not None and len(text) > limit:
        text = text[: max(limit - 1, 0)] + "…"
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(char, newlines) for char in text)


def _shown(char: str, newlines: bool) -> str:
    code = ord(char)
    if char == "\n" and newlines:
        return char
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    if 0x80 <= code < 0xA0:
        return f"\\x{code:02x}"
    if char in _BIDI or unicodedata.category(char) in ("Cs", "Zl", "Zp"):
        return f"\\u{code:04x}"
    return char
