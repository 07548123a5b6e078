"""The tags that a model knows, in the order of its output, each with its category; and the files that list them.

Read are ``selected_tags.csv`` of the WD taggers (``tag_id,name,category,count`` with the numbers of booru sites), other
CSV files with a column ``name`` (and ``category``), text files with a tag on each line (DeepDanbooru's), and JSON: a
list of names, or an object from the number of an output to a name or to ``{"tag": ..., "category": ...}``.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lora_tui.captions.vocabulary import folded
from lora_tui.errors import UserError
from lora_tui.tagging.clean import one_line
from lora_tui.text import _, plain

GENERAL, CHARACTER, RATING = "general", "character", "rating"
NUMBERED = {0: GENERAL, 1: "artist", 3: "copyright", 4: CHARACTER, 5: "meta", 9: RATING}
"""The categories of booru sites by their numbers; 9 is how the WD taggers mark ratings."""

CATEGORIES = (GENERAL, CHARACTER, "copyright", "artist", "meta", "model", "quality", RATING)

_LARGEST = 64 << 20
_MOST_TAGS = 1_000_000


@dataclass(frozen=True)
class Vocabulary:
    """Names and categories of a model's tags; the place of a tag is that of its output.

    Attributes:
        names: as the model's list spells them, usually with underscores.
        categories: one of :data:`CATEGORIES` for each, or another word of the list.
    """

    names: tuple[str, ...]
    categories: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def place(self, tag: str) -> int | None:
        """The place of a tag, whatever its case, underscores and escapes; none when the model does not know it."""
        return self._places.get(folded(tag))

    @cached_property
    def _places(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for place, name in enumerate(self.names):
            found.setdefault(folded(name), place)
        return found


def read_vocabulary(path: Path) -> Vocabulary:
    """The tags that a file lists, in its order.

    Raises:
        UserError: ``tagger.tags`` when it cannot be read, or lists no tags.
    """
    text = _read(path)
    try:
        match path.suffix.lower():
            case ".csv":
                found = list(_of_csv(text))
            case ".json":
                found = _of_json(json.loads(text))
            case _:
                found = [(line, _by_name(line)) for line in text.splitlines() if line.strip()]
    except (ValueError, KeyError, TypeError, RecursionError, csv.Error) as error:
        raise _unusable(
            path, _("it is no list of tags ({reason})").format(reason=plain(str(error), limit=100))
        ) from error
    if not found:
        raise _unusable(path, _("it lists no tags"))
    if len(found) > _MOST_TAGS:
        raise _unusable(path, _("it lists more than a million tags"))
    return Vocabulary(tuple(one_line(name) or "?" for name, _kind in found), tuple(kind for _name, kind in found))


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(_LARGEST + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise _unusable(path, plain(reason)) from error
    if len(raw) > _LARGEST:
        raise _unusable(path, _("it is too large"))
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _unusable(path, _("it is not UTF-8 text")) from error


def _of_csv(text: str) -> Iterator[tuple[str, str]]:
    rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    column = next((name for name in ("name", "tag") if name in (rows.fieldnames or ())), "")
    if not column:
        raise ValueError(_("it has no column “name”"))
    for row in rows:
        if row[column] is None:
            raise ValueError(_("line {number} is cut short").format(number=rows.line_num))
        yield row[column], _category(row.get("category"), row[column])


def _of_json(data: Any) -> list[tuple[str, str]]:
    """Names by a list, or by an object with the numbers of the outputs; every number must be there."""
    if isinstance(data, Mapping):
        numbered = {int(number): value for number, value in data.items()}
        if sorted(numbered) != list(range(len(numbered))):
            raise ValueError(_("its numbers are not those from 0 to the last"))
        data = [numbered[number] for number in range(len(numbered))]
    return list(_named(data))


def _named(items: Iterable[Any]) -> Iterator[tuple[str, str]]:
    for item in items:
        if isinstance(item, Mapping):
            name = item["tag"] if "tag" in item else item["name"]
            yield str(name), _category(item.get("category"), str(name))
        elif isinstance(item, str):
            yield item, _by_name(item)
        else:
            raise TypeError(_("a name is wanted, and there is {value}").format(value=plain(repr(item), limit=40)))


def _category(given: Any, name: str) -> str:
    """A category as a list names it: by its number, or by a word in any case."""
    text = one_line(str(given)).lower() if given is not None else ""
    if text.isascii() and text.isdigit() and len(text) < 4:
        return NUMBERED.get(int(text), "other")
    return text[:40] or _by_name(name)


def _by_name(name: str) -> str:
    """The category that a list without categories gives by the tag's beginning, as in ``rating:safe``."""
    return RATING if name.startswith(("rating:", "rating_")) else GENERAL


def _unusable(path: Path, reason: str) -> UserError:
    return UserError(
        _("The list of the model's tags cannot be used: {reason}.").format(reason=reason),
        place=plain(str(path)),
        remedy=_("Copy it again from where the model comes from."),
        code="tagger.tags",
    )
