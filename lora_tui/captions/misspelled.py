"""Tags that look like another spelling, or a slip, of a much more frequent tag of the same dataset."""

from __future__ import annotations

from lora_tui.captions.index import Index
from lora_tui.captions.vocabulary import folded

_SHORTEST = 6
"""Shorter tags are too often words of their own one letter apart."""
_LONGEST = 60
"""Longer ones are parts of sentences, where a letter more or less is no slip of a tag."""
_RARE, _TIMES = 5, 10
"""A slip is rare: it stands in five captions at most, and the tag that was meant in ten times as many."""


def misspelled(index: Index) -> dict[str, str]:
    """Tag and the tag that was probably meant.

    Of tags that differ in case, underscores or escapes alone, all but the most frequent. Of tags that differ by one
    letter (missing, doubled, other, or two swapped), those that are rare beside the other; tags with different
    digits are never slips of each other.
    """
    found: dict[str, str] = {}
    for best, *others in index.vocabulary.variants():
        found.update(dict.fromkeys(others, best))
    counts = index.counts()
    frequent = [tag for tag, number in counts.items() if number >= _TIMES and _is_fit(tag) and tag not in found]
    lengths = {len(folded(tag)) + more for tag in frequent for more in (-1, 0, 1)}
    scarce = [tag for tag, number in counts.items() if number <= _RARE and _is_fit(tag) and tag not in found]
    scarce = [tag for tag in scarce if len(folded(tag)) in lengths]
    if not scarce:
        return found
    # What is one letter shorter is written down for the fewer tags, those that are frequent as a rule.
    sought: set[str] | None = None
    if len(frequent) < len(scarce):
        sought = {short for tag in frequent for short in _without_one(folded(tag))}
    rare: dict[str, list[str]] = {}
    for tag in scarce:
        shorts = _without_one(folded(tag))
        for short in shorts if sought is None else sought.intersection(shorts):
            rare.setdefault(short, []).append(tag)
    meant: dict[str, str] = {}
    for tag in frequent if rare else ():
        number, key = counts[tag], folded(tag)
        likely = {other for short in _without_one(key) for other in rare.get(short, ())}
        for other in likely:
            better = other not in meant or (number, tag) > (counts[meant[other]], meant[other])
            if better and number >= _TIMES * counts[other] and _one_apart(folded(other), key):
                meant[other] = tag
    return found | meant


def _is_fit(tag: str) -> bool:
    return _SHORTEST <= len(tag) <= _LONGEST


def still_means(index: Index, tag: str, meant: str) -> bool:
    """Whether what :func:`misspelled` once found still holds, by how often both tags stand in captions now."""
    times = 1 if folded(tag) == folded(meant) else _TIMES
    return index.count(meant) >= times * max(index.count(tag), 1)


def _without_one(word: str) -> list[str]:
    """The word, and the word without each of its letters in turn: words one letter apart share one of these."""
    places = range(len(word))
    if any(map(str.isdigit, word)):
        return [word, *[word[:place] + word[place + 1 :] for place in places if not word[place].isdigit()]]
    return [word, *[word[:place] + word[place + 1 :] for place in places]]


def _one_apart(one: str, other: str) -> bool:
    """Whether one letter was left out, doubled, changed inside a word, or swapped with its neighbour.

    Another first letter of a word makes another word (``red hair``, ``bed hair``), and a plural is none either.
    """
    if one == other or _digits(one) != _digits(other):
        return False
    if len(one) > len(other):
        one, other = other, one
    start = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), len(one))
    if len(one) < len(other):
        if start == len(one) and other.endswith("s"):
            return False
        return one[start:] == other[start + 1 :] and not _begins_word(other, start)
    if one[start + 1 :] == other[start + 1 :]:
        return not _begins_word(other, start)
    return one[start : start + 2] == other[start : start + 2][::-1] and one[start + 2 :] == other[start + 2 :]


def _begins_word(text: str, at: int) -> bool:
    return at == 0 or text[at - 1] == " "


def _digits(text: str) -> str:
    return "".join(filter(str.isdigit, text))
