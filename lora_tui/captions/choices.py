"""What of a caption is left open until it is shown: one of several lines, one of ``{a|b}``.

The rule of ``{a|b}`` is sd-scripts': not nested, ``{{`` and ``}}`` stand for the brackets themselves, and brackets
around a single text fall away.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

_BRACES = re.compile(r"\{\{|\}\}|\{([^{}]+)\}")
_LITERAL = {"{{": "{", "}}": "}"}


def has_choices(text: str) -> bool:
    """Whether a text holds a bracket with more than one alternative."""
    return any(found[1] and "|" in found[1] for found in _BRACES.finditer(text))


def with_choices(text: str, choose: Callable[[Sequence[str]], str]) -> str:
    """``text`` with ``choose``'s answer in the place of each ``{a|b}``, asked from left to right."""
    return _BRACES.sub(lambda found: _LITERAL.get(found[0]) or choose(found[1].split("|")), text)


def first_of(alternatives: Sequence[str]) -> str:
    """The alternative that is shown where nothing may vary."""
    return alternatives[0]
