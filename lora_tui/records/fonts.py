"""A font for words that Pillow's own one cannot draw: found on this machine by what it has signs for.

Pillow brings a Latin font. Names of runs are in any language, so the folders where systems keep fonts are looked
through, those first whose names say that they are for Chinese, Japanese and Korean.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont, ImageFont

FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "/System/Library/Fonts", "/Library/Fonts")
MOST_FILES = 5000
"""Files of fonts that are looked at by their name."""
MOST_OPENED = 40
"""Fonts that are opened for one text."""

_EAST_ASIAN = re.compile(
    r"cjk|han|noto.*(sc|tc|jp|kr)\b|wqy|wenquan|fallback|msyh|simhei|simsun|pingfang|hiragino|unifont", re.I
)
_PLAIN = re.compile(r"regular|sans", re.I)
_NOWHERE = "\U0010fffe"
"""A sign that no font has: what is drawn for it is drawn for all that are missing."""


def font_for(text: str, size: int) -> tuple[FreeTypeFont | ImageFont, bool]:
    """A font of ``size`` px that draws ``text``, and whether it has a sign for all of it."""
    from PIL import ImageFont

    default = ImageFont.load_default(size)
    wanted = "".join(sorted({sign for sign in text if ord(sign) > 0x7E and not sign.isspace()}))
    if not wanted or _has_all(default, wanted):
        return default, True
    place = _found(wanted)
    return (ImageFont.truetype(place, size), True) if place else (default, False)


@cache
def _found(wanted: str) -> str:
    """The file of a font that has all of the signs; empty where none has."""
    from PIL import ImageFont

    for place in _candidates()[:MOST_OPENED]:
        try:
            if _has_all(ImageFont.truetype(place, 16), wanted):
                return place
        except OSError:
            continue
    return ""


@cache
def _candidates() -> tuple[str, ...]:
    """Fonts of this machine, those that are likely to have any sign first."""
    found = sorted(_files())[:MOST_FILES]
    return tuple(
        sorted(found, key=lambda place: (not _EAST_ASIAN.search(_name(place)), not _PLAIN.search(_name(place))))
    )


def _files() -> Iterator[str]:
    home = Path.home()
    data = os.environ.get("XDG_DATA_HOME") or str(home / ".local" / "share")
    for folder in (*FOLDERS, f"{data}/fonts", str(home / ".fonts")):
        for root, _folders, names in os.walk(folder):
            yield from (f"{root}/{name}" for name in names if name.lower().endswith((".ttf", ".ttc", ".otf")))


def _name(place: str) -> str:
    return place.rpartition("/")[2]


def _has_all(font: FreeTypeFont | ImageFont, wanted: str) -> bool:
    """Whether a font has a sign for each letter."""
    missing = _drawn(font, _NOWHERE)
    return all(_drawn(font, sign) != missing for sign in wanted)


def _drawn(font: FreeTypeFont | ImageFont, sign: str) -> tuple[tuple[int, int], bytes]:
    mask = font.getmask(sign)
    return mask.size, bytes(mask)
