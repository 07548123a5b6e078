"""Outside text (tags, names, logs, errors of other programs) made safe to show."""

from __future__ import annotations

import re

_SKIN_TONES = "\U0001f3fb-\U0001f3ff"
_SUSPECT = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # controls
    "\ud800-\udfff\u2028\u2029"  # unpaired surrogates, separators of lines and paragraphs
    "\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001\U000e0020-\U000e007f"
    f"\ufe0e\ufe0f{_SKIN_TONES}"
    "]"
)
"""What is not shown as it is: Unicode's categories Cc, Cs, Cf, Zl and Zp, and what :data:`_DROPPED` matches."""

_DROPPED = re.compile(f"[\ufe0e\ufe0f{_SKIN_TONES}]")
"""Variation selectors and skin tones: terminals disagree about how wide a picture is with them."""

_FULL_WIDTH = "。！？；，：）"
"""Punctuation that has its blank in itself."""

_JOINERS = "\u200c\u200d"


def plain(text: str, *, newlines: bool = False, limit: int | None = None) -> str:
    """``text`` with control characters shown as symbols, so that a terminal obeys none of them.

    C0 controls become their Unicode pictures (escape is ``␛``), C1 controls, unpaired surrogates,
    line separators, direction marks and what else cannot be seen become ``\\xNN`` or ``\\uNNNN``. What only
    shapes its neighbours and makes their width uncertain is left out: joiners, skin tones, variation
    selectors. Markup is left as it is: show the result through a widget that does not parse any.
    ``newlines`` keeps line feeds; ``limit`` cuts to that many characters with an ellipsis.
    """
    if limit is not None and len(text) > limit:
        text = text[: max(limit - 1, 0)] + "…"
    if text.isascii() and text.isprintable():
        return text
    return _SUSPECT.sub(_with_newlines if newlines else _shown, text)


def sentences(*texts: str) -> str:
    """Sentences one after the other; a blank between them except after full-width punctuation, which has its own."""
    joined = ""
    for text in texts:
        if text:
            joined += text if not joined or joined[-1] in _FULL_WIDTH else f" {text}"
    return joined


def _with_newlines(found: re.Match[str]) -> str:
    return "\n" if found[0] == "\n" else _shown(found)


def _shown(found: re.Match[str]) -> str:
    char = found[0]
    code = ord(char)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    if code < 0xA0:
        return f"\\x{code:02x}"
    if _DROPPED.match(char):
        return ""
    around = found.string[max(found.start() - 1, 0) : found.start()] + found.string[found.end() : found.end() + 1]
    if char in _JOINERS and not around.isascii():
        return ""
    return f"\\u{code:04x}"
