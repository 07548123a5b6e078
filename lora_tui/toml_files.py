"""Reading TOML files that a person or another program wrote: within bounds, and with the place of what is wrong.

Python's reader has no bounds of its own: a number of 5,000 digits, brackets in brackets in brackets and keys of
30,000 parts end in other errors, or hardly end at all. What this one returns can be walked through by recursion, and
its numbers are those that TOML allows.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from lora_tui.files import open_file
from lora_tui.text.plain import plain
from lora_tui.text.translate import _

MOST_BYTES = 4_000_000
MOST_LEVELS = 32
MOST_DIGITS = 1000
"""Digits of one number; Python's own reader refuses somewhere above, with an error that names no line."""

_DIGITS = re.compile(rf"[0-9][0-9_]{{{MOST_DIGITS}}}")
_PART = r"""(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+"""
_LONG_KEY = re.compile(rf"(?<![\w-])(?:{_PART}\.[ \t]*+){{{MOST_LEVELS},}}+(?:{_PART})?(?P<end>[=\]]?)")
"""A key of so many parts, by the sign that ends it; without one it is a text with full stops."""


class TomlError(ValueError):
    """The text is no TOML, or beyond what is read; the message says where, in the current language."""


def read_toml(path: Path) -> dict[str, Any]:
    """The content of the file ``path``; a byte order mark is skipped.

    Raises:
        OSError: it cannot be read.
        UnicodeDecodeError: it is not UTF-8.
        TomlError: it is no TOML, or beyond the bounds above.
    """
    return parse_toml(read_text(path))


def read_text(path: Path) -> str:
    """The text of such a file, for who parses it; raises what :func:`read_toml` raises."""
    with open_file(path) as file:
        raw = file.read(MOST_BYTES + 1)
    if len(raw) > MOST_BYTES:
        raise TomlError(_("it is larger than {size} MB").format(size=MOST_BYTES // 1_000_000))
    return raw.decode("utf-8-sig")


def parse_toml(text: str) -> dict[str, Any]:
    """The content of a TOML document.

    Raises:
        TomlError: see :func:`read_toml`.
    """
    for found in _LONG_KEY.finditer(text):
        if found["end"]:
            raise TomlError(_levels(text, found.start()))
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TomlError(plain(str(error), limit=200)) from error
    except RecursionError as error:
        raise TomlError(_levels(text, _deep(text))) from error
    except ValueError as error:
        digits = _DIGITS.search(text)
        where = _line(text, digits.start()) if digits else plain(str(error), limit=200)
        raise TomlError(_("a number has too many digits ({where})").format(where=where)) from error
    _bounded(data)
    return data


def _bounded(data: dict[str, Any]) -> None:
    """Refuse what is nested too deep, and whole numbers beyond the 64 bits that TOML allows."""
    waiting: list[tuple[str, Any, int]] = [("", data, 0)]
    while waiting:
        key, value, level = waiting.pop()
        if level > MOST_LEVELS:
            message = _("{key} is nested more than {levels} levels deep")
            raise TomlError(message.format(key=plain(key, limit=60), levels=MOST_LEVELS))
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            message = _("the number of {key} is beyond 64 bits")
            raise TomlError(message.format(key=plain(key, limit=60)))
        if isinstance(value, dict):
            waiting += [(f"{key}.{name}" if key else name, item, level + 1) for name, item in value.items()]
        elif isinstance(value, list):
            waiting += [(f"{key}.{number}", item, level + 1) for number, item in enumerate(value)]


def _levels(text: str, position: int) -> str:
    message = _("something is nested more than {levels} levels deep ({where})")
    return message.format(levels=MOST_LEVELS, where=_line(text, position))


def _deep(text: str) -> int:
    """Where the brackets first stand deeper than is read; those within texts are counted along."""
    level = 0
    for found in re.finditer(r"[\[{\]}]", text):
        level += 1 if found.group() in "[{" else -1
        if level > MOST_LEVELS:
            return found.start()
    return 0


def _line(text: str, position: int) -> str:
    return _("line {number}").format(number=text.count("\n", 0, position) + 1)
