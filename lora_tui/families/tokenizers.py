"""The files of a tokenizer: whether there are words in them that its text encoder knows. Knows no torch.

A library loads a tokenizer without words, or with the wrong ones, and trains on captions that nobody wrote.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from lora_tui.errors import UserError
from lora_tui.families.told import read_object
from lora_tui.files import open_file
from lora_tui.places import is_file
from lora_tui.text import N_, _, plain

WHOLE, WORDS, MERGES = "tokenizer.json", "vocab.json", "merges.txt"
PIECES = ("spiece.model", "tokenizer.model")
"""Vocabularies of SentencePiece, which are not read here."""
SETTINGS = ("tokenizer_config.json", "special_tokens_map.json")
LARGEST_FILE = 64 * 2**20  # bytes


def check_tokenizer(folder: Path, known: int | None = None) -> None:
    """Refuse the tokenizer in ``folder`` when its files are damaged, or have words that its encoder cannot know.

    Args:
        known: how many words the text encoder knows, where that is told.

    Raises:
        UserError: what is wrong, with the file (``model.tokenizer``).
    """
    stamps = tuple(_stamp(folder / name) for name in (WHOLE, WORDS, MERGES, *PIECES, *SETTINGS))
    flaw, highest, file = _read(folder, stamps)
    if flaw:
        raise _wrong(folder, _(flaw).format(file=file))
    if known is not None and highest >= known:
        text = _("{file} gives a word the number {number}, the text encoder knows {known}.")
        raise _wrong(folder, text.format(file=file, number=highest, known=known))


def _wrong(folder: Path, message: str) -> UserError:
    return UserError(
        message,
        place=plain(str(folder)),
        remedy=_("Take the whole folder tokenizer of the published model."),
        code="model.tokenizer",
    )


def _stamp(path: Path) -> tuple[int, int]:
    try:
        facts = path.stat()
    except OSError:
        return (0, 0)
    return facts.st_size, facts.st_mtime_ns


@lru_cache(maxsize=64)
def _read(folder: Path, _stamps: tuple[tuple[int, int], ...]) -> tuple[str, int, str]:
    """What is wrong (to be translated), or nothing; the highest number of a word, or -1; the file that it is about."""
    for name in SETTINGS:
        if is_file(folder / name) and _object(folder / name) is None:
            return N_("{file} is no readable JSON object."), -1, name
    if is_file(folder / WHOLE):
        return _told(WHOLE, _of_whole(_object(folder / WHOLE) or {}))
    if is_file(folder / WORDS):
        words = _object(folder / WORDS) or {}
        if words and not _has_merges(folder / MERGES):
            return N_("{file} does not say how letters become words."), -1, MERGES
        return _told(WORDS, words.values())
    if any(is_file(folder / name) for name in PIECES):
        return "", -1, ""
    return N_("{file} is missing."), -1, WORDS


def _told(file: str, numbers: Iterable[object]) -> tuple[str, int, str]:
    found = list(numbers)
    if not found or not all(type(number) is int and number >= 0 for number in found):
        return N_("{file} holds no words of a tokenizer."), -1, file
    return "", max(number for number in found if isinstance(number, int)), file


def _of_whole(told: dict[str, object]) -> list[object]:
    """The numbers of the words in a ``tokenizer.json``."""
    model = told.get("model")
    words = model.get("vocab") if isinstance(model, dict) else None
    if not isinstance(words, dict | list) or not words:
        return []
    added = told.get("added_tokens")
    own: list[object] = [one.get("id") for one in added if isinstance(one, dict)] if isinstance(added, list) else []
    numbers: list[object] = list(words.values()) if isinstance(words, dict) else list(range(len(words)))
    return numbers + own


def _object(path: Path) -> dict[str, object] | None:
    try:
        return read_object(path)
    except (OSError, ValueError):
        return None


def _has_merges(path: Path) -> bool:
    try:
        with open_file(path) as file:
            text = file.read(LARGEST_FILE).decode("utf-8")
    except (OSError, ValueError):
        return False
    return any(len(line.split()) == 2 and not line.startswith("#version") for line in text.splitlines())
