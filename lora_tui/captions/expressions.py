"""What regular expressions that people type may not hold: calls of themselves, which eat memory until they fail."""

from __future__ import annotations

import re

_LOOK = re.compile(r"\\.|(?P<set>\[\^?\]?)|\((?P<call>\?(?:R|[+-]?\d+|&\w+|P>\w+)\))", re.DOTALL)
"""Escaped signs, where a set of characters begins, and calls of a group or of the whole expression."""
_IN_SET = re.compile(r"\\.|[^\]\\]+", re.DOTALL)

STOPPED = (TimeoutError, MemoryError)
"""What a search ends with that took too long or too much memory."""


def call_in(pattern: str) -> int | None:
    """Where an expression calls a group or itself, such as ``(?R)`` or ``(?1)``; none when it does not."""
    at = 0
    while found := _LOOK.search(pattern, at):
        if found["call"]:
            return found.start()
        at = found.end()
        if found["set"]:
            while inner := _IN_SET.match(pattern, at):
                at = inner.end()
    return None
