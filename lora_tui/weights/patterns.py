"""peft's patterns for the ends of layers' names, tried in a time that grows with their length alone.

A file's patterns are a stranger's: with regular expressions as Python tries them, a short one can take for ever. Of
their language this knows names, ``.``, ``\\d``, ``\\w``, sets in brackets, ``*``, ``+`` and ``?`` behind one of these,
groups and ``|``. Needs no torch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache

LONGEST = 500
"""Characters of a pattern, of more than a plain name, and of the names that one is tried on."""
_NAME = re.compile(r"[\w.-]+\Z")
_ATOM = re.compile(r"\\[dwDW.\-_/]|\[\^?(?:[\w.-]|\\[dw.\-])+\]|[^\\\[\](){}|*+?^$]", re.DOTALL)
#: From places in a name to those that lie behind what matches from there.
_Steps = Callable[[str, frozenset[int]], frozenset[int]]


def ends_with(name: str, pattern: str) -> bool:
    """Whether ``pattern`` matches ``name`` or what stands behind one of its dots, up to its end.

    As ``re.match(rf"(.*\\.)?({pattern})$", name)`` of peft's ``get_pattern_key``.

    Raises:
        ValueError: the pattern is none of those that are known here.
    """
    if _NAME.match(pattern):
        tail = name[-len(pattern) :]
        behind = name[: -len(pattern)]
        same = len(tail) == len(pattern) and all(own in (".", there) for own, there in zip(pattern, tail, strict=True))
        return same and behind[-1:] in ("", ".")
    steps = _compiled(pattern)
    if len(name) > LONGEST:
        raise ValueError(pattern)
    starts = frozenset([0, *(place + 1 for place, letter in enumerate(name) if letter == ".")])
    return len(name) in steps(name, starts)


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> _Steps:
    if len(pattern) > LONGEST:
        raise ValueError(pattern)
    steps, rest = _either(pattern, 0, depth=0)
    if rest != len(pattern):
        raise ValueError(pattern)
    return steps


def _either(pattern: str, at: int, *, depth: int) -> tuple[_Steps, int]:
    """What stands in ``pattern`` from ``at`` to the end of the group, and where that is."""
    if depth > 20:
        raise ValueError(pattern)
    choices: list[list[_Steps]] = [[]]
    while at < len(pattern) and pattern[at] != ")":
        if pattern[at] == "|":
            choices.append([])
            at += 1
        elif pattern[at] == "(":
            inner, at = _either(pattern, at + (3 if pattern.startswith("(?:", at) else 1), depth=depth + 1)
            if pattern[at : at + 1] != ")" or pattern[at + 1 : at + 2] in ("*", "+", "?", "{"):
                raise ValueError(pattern)  # groups many times over are what takes for ever
            choices[-1].append(inner)
            at += 1
        else:
            step, at = _letters(pattern, at)
            choices[-1].append(step)

    def go(name: str, places: frozenset[int]) -> frozenset[int]:
        return frozenset(end for choice in choices for end in _through(choice, name, places))

    return go, at


def _through(steps: list[_Steps], name: str, places: frozenset[int]) -> frozenset[int]:
    for step in steps:
        places = step(name, places)
    return places


def _letters(pattern: str, at: int) -> tuple[_Steps, int]:
    """One letter of some kind, as often as the sign behind it says."""
    if pattern[at] in "^$":
        edge = pattern[at]
        return lambda name, places: places & {0 if edge == "^" else len(name)}, at + 1
    found = _ATOM.match(pattern, at)
    if not found:
        raise ValueError(pattern)
    try:
        letter = re.compile(found[0])
    except re.error:
        raise ValueError(pattern) from None
    at = found.end()
    times = pattern[at : at + 1] if pattern[at : at + 1] in ("*", "+", "?") else ""
    at += len(times)
    if times and pattern[at : at + 1] == "?":  # the fewest: the same names match
        at += 1
    if pattern[at : at + 1] in ("*", "+", "?", "{") and pattern[at : at + 1]:
        raise ValueError(pattern)

    def go(name: str, places: frozenset[int]) -> frozenset[int]:
        return frozenset(_run(letter, times, name, places))

    return go, at


def _run(letter: re.Pattern[str], times: str, name: str, places: frozenset[int]) -> Iterator[int]:
    """The places behind one ``letter``, none or many, from any of ``places``."""
    if times in ("*", "?"):
        yield from places
    reached = False
    for place in range(len(name)):
        reached = (place in places or (reached and times in ("*", "+"))) and letter.match(name, place) is not None
        if reached:
            yield place + 1
