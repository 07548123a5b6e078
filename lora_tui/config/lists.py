"""Lists as people type them: ``768, 1024``, with brackets or without; an entry that holds a comma stands in quotes.

A number behind a comma goes on with a rule for layers (``blocks rank=8,8,4, OUT03 rate=0.5`` are two entries), for
such a rule begins with the name of layers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_ENTRY = re.compile(r'\s*(?:"((?:[^"]|"")*)"|\'([^\']*)\'|([^,]*?))\s*(?:,|\Z)', re.DOTALL)
_GOES_ON = re.compile(r"[\d.]+(?:e[-+]?\d+)?(?:\s+\w+=.*)?", re.DOTALL)


def read_list(text: str, *, of_rules: bool = False) -> list[str]:
    """The entries of ``text``; ``of_rules`` of rules for layers, whose numbers are separated by commas themselves."""
    text = text.strip()
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1].strip()
    found: list[str] = []
    place = 0
    while place < len(text):
        entry = _ENTRY.match(text, place)
        assert entry is not None  # anything up to a comma is an entry
        place = entry.end()
        bare = (entry[3] or "").strip()
        if of_rules and found and "=" in found[-1] and _GOES_ON.fullmatch(bare):
            found[-1] += f",{bare}"
        elif entry[1] is not None:
            found.append(entry[1].replace('""', '"'))
        elif (bare or entry[2] or "").strip():
            found.append(bare or entry[2])
    return [one for one in found if one.strip()]


def list_text(entries: Iterable[str], *, of_rules: bool = False) -> str:
    """``entries`` as a text that :func:`read_list` reads again."""
    return ", ".join(_quoted(entry, of_rules=of_rules) for entry in entries)


def _quoted(entry: str, *, of_rules: bool) -> str:
    goes_on = of_rules and _GOES_ON.fullmatch(entry)
    # One quote alone reads as it is, but not beside another.
    if read_list(entry, of_rules=of_rules) == [entry] and not goes_on and not entry.startswith(("[", '"', "'")):
        return entry
    doubled = entry.replace('"', '""')
    return f'"{doubled}"'
