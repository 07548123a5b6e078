"""The files of a tokenizer: whether there are words in them that its text encoder knows. Knows no torch.

A library loads a tokenizer without words, or with the wrong ones, and trains on captions that nobody wrote. Reading
150,000 words takes a third of a second, so that what was found is remembered with the files' content.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Collection
from functools import lru_cache
from pathlib import Path

from lora_tui.caches.contents import remembered
from lora_tui.errors import UserError
from lora_tui.families.told import LARGEST_FILE, read_object
from lora_tui.files import open_file
from lora_tui.places import is_file
from lora_tui.text import N_, _, plain

WHOLE, WORDS, MERGES = "tokenizer.json", "vocab.json", "merges.txt"
PIECES = ("spiece.model", "tokenizer.model")
"""Vocabularies of SentencePiece, which are not read here."""
SETTINGS = ("tokenizer_config.json", "special_tokens_map.json")
EVERY = (WHOLE, WORDS, MERGES, *PIECES, *SETTINGS)
LOOK = "tokenizer 1"
"""What is remembered goes by this name: another look at tokenizers needs another one."""


def check_tokenizer(folder: Path, known: int | None = None) -> None:
    """Refuse the tokenizer in ``folder`` when its files are damaged, or have words that its encoder cannot know.

    Args:
        known: how many words the text encoder knows, where that is told.

    Raises:
        UserError: what is wrong, with the file (``model.tokenizer``).
    """
    flaw, highest, file = _known(folder, tuple(_stamp(folder / name) for name in EVERY))
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


Stamp = tuple[int, int, bool]
"""Size and time of a file, and whether it can be read in whole; none of them where it is missing."""
Finding = tuple[str, int, str]
"""What is wrong (to be translated), or nothing; the highest number of a word, or -1; the file that it is about."""


def _stamp(path: Path) -> Stamp:
    try:
        facts = path.stat()
    except OSError:
        return (0, 0, False)
    return facts.st_size, facts.st_mtime_ns, stat.S_ISREG(facts.st_mode) and facts.st_size <= LARGEST_FILE


@lru_cache(maxsize=64)
def _known(folder: Path, stamps: tuple[Stamp, ...]) -> Finding:
    """What was found in files of this content, or is found now."""
    there = [name for name, stamp in zip(EVERY, stamps, strict=True) if stamp != (0, 0, False)]
    if not all(whole for _size, _time, whole in stamps if (_size, _time) != (0, 0)):
        return _read(folder)
    try:
        told = remembered(LOOK, [folder / name for name in there], there, lambda: json.dumps(_read(folder)))
    except OSError:
        return _read(folder)
    flaw, highest, file = json.loads(told)
    return str(flaw), int(highest), str(file)


def _read(folder: Path) -> Finding:
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


def _told(file: str, numbers: Collection[object]) -> Finding:
    """Without a loop over 150,000 words that Python would take a tenth of a second for."""
    if set(map(type, numbers)) != {int} or min(numbers) < 0:  # type: ignore[type-var,operator]
        return N_("{file} holds no words of a tokenizer."), -1, file
    return "", max(numbers), file  # type: ignore[type-var,return-value]


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
    return any(len(line.split()) == 2 and not line.startswith("#version") for line in text.split("\n"))
