"""Completion of tags: the dataset's own first, then lists with categories, counts and aliases, then translations.

Lists are those of the A1111 tag completion (``name,type,count,"alias,alias"`` without a heading), ``selected_tags.csv``
of the WD taggers (with one), text files with a tag on each line, and translations ``tag=text`` as
BooruDatasetTagManager keeps them. Matching is by words: each word typed must begin a word of the name, an alias or a
translation; after these come names in which it stands somewhere, and then those in which its letters lie apart, so
that ``lkvw`` finds ``looking at viewer``.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path

from lora_tui.captions.index import Index
from lora_tui.captions.kaomoji import spaced
from lora_tui.captions.names import HOWS, How, Names
from lora_tui.captions.vocabulary import folded
from lora_tui.errors import UserError
from lora_tui.text import _, plain

_FILE_BYTES = 256 << 20
_MANY_NEW = 200
"""Tags of the dataset that have appeared since their words were put in order; with more, it is done anew."""
ENOUGH = 8
"""Matches from which on looser ones are not sought: as many as are seen at once."""
_SURE_LETTERS = 4
"""Letters of one word from which on they are sought apart although something matches; fewer are in most names."""
_COLUMNS = ("name", "category", "count", "aliases")
_CATEGORIES = {0: "general", 1: "artist", 3: "copyright", 4: "character", 5: "meta", 9: "rating"}
_UNPARTED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
"""Scripts that put no blanks between words: a word begins anywhere within what is written together."""
_TRANSLATED = re.compile(r"\*?(.+)=([^=]+)")


@dataclass(frozen=True, slots=True)
class Named:
    """A tag of a list.

    Attributes:
        tag: with blanks, as captions have it.
        category: ``general``, ``artist``, ``copyright``, ``character``, ``meta``, ``rating``, or empty.
        count: how many pictures of the site have it.
        aliases: other names of it.
    """

    tag: str
    category: str = ""
    count: int = 0
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Completion:
    """One proposal.

    Attributes:
        tag: what is inserted.
        source: ``dataset``, ``list`` or ``translation``.
        count: captions of the dataset that have it; of a tag that none has, pictures of the site.
        category: of the tag; empty when unknown.
        matched: the alias or translation by which it was found; empty when by its own name.
    """

    tag: str
    source: str
    count: int
    category: str = ""
    matched: str = ""


class TagList:
    """Tags from files, ready to be searched; some 300 bytes a name."""

    def __init__(self, tags: Iterable[Named] = (), translations: Mapping[str, str] | None = None) -> None:
        self.by_name: dict[str, Named] = {}
        for named in tags:
            known = self.by_name.get(folded(named.tag))
            if known is None or named.count > known.count:
                self.by_name[folded(named.tag)] = named
        self._translations = translations or {}

    @cached_property
    def _names(self) -> list[tuple[str, Named, str]]:
        """All names, the most frequent first: how it is compared, the tag, and the alias or translation that it is."""
        names: list[tuple[str, Named, str]] = []
        for key, named in self.by_name.items():
            names.append((key, named, ""))
            names.extend((folded(alias), named, alias) for alias in named.aliases if folded(alias) != key)
        for tag, text in self._translations.items():
            names.append((folded(text), self.by_name.get(folded(tag)) or Named(tag), text))
        names.sort(key=lambda row: -row[1].count)
        return names

    @cached_property
    def _words(self) -> Names:
        """The names put in order for searching, when somebody first searches; categories need none of it."""
        return Names([row[0] for row in self._names])

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, tag: object) -> bool:
        """Whether a tag or an alias of one is spelled so; an alias takes a look at all."""
        if not isinstance(tag, str):
            return False
        key = folded(tag)
        return key in self.by_name or any(row[0] == key and row[2] in row[1].aliases for row in self._names)

    def category(self, tag: str) -> str:
        """The category of a tag; empty when the lists do not know it."""
        named = self.by_name.get(folded(tag))
        return named.category if named else ""

    def find(self, typed: str, limit: int, how: How = "beginnings") -> list[tuple[Named, str]]:
        """Tags that match, with the alias or translation by which they did, the most frequent first."""
        found: dict[str, tuple[Named, str]] = {}
        for place in self._words.find(folded(typed), limit * 3, how):
            _key, named, matched = self._names[place]
            found.setdefault(named.tag, (named, matched))
        return list(found.values())[:limit]


class Completer:
    """Completion for one dataset."""

    def __init__(self, index: Index, tags: TagList | None = None) -> None:
        self.index = index
        self.tags = tags or TagList()
        self._revision = -1
        self._own: list[str] = []
        self._known: frozenset[str] = frozenset()
        self._words = Names([])
        self._new = Names([])
        self._new_tags: list[str] = []

    def complete(self, typed: str, limit: int = 20) -> list[Completion]:
        """Proposals for what is typed so far, the best first.

        Stricter matches come before looser ones, which are sought only where the stricter are few, or where a word of
        Chinese or Japanese may stand within others; among equals the dataset's tags come before those of the lists.
        """
        wanted = folded(typed)
        if not wanted:
            return []
        self._refresh()
        found: dict[str, Completion] = {}
        strict = ("beginnings", "parts") if _UNPARTED.search(wanted) else ("beginnings",)
        for how in HOWS:
            if len(found) >= (limit if how in strict else min(ENOUGH, limit)):
                break
            if how == "letters" and (" " in wanted or (found and len(wanted) < _SURE_LETTERS)):
                break
            for one in (*self._of_dataset(wanted, limit, how), *self._of_lists(wanted, limit, how)):
                found.setdefault(folded(one.tag) if one.source != "dataset" else one.tag, one)
        return list(found.values())[:limit]

    def _of_dataset(self, wanted: str, limit: int, how: How) -> Iterator[Completion]:
        count, category = self.index.count, self.tags.category
        own = [self._own[place] for place in self._words.find(wanted, limit * 5, how)]
        own += [self._new_tags[place] for place in self._new.find(wanted, limit * 5, how)]
        for tag in sorted((tag for tag in own if tag in self.index), key=_rank(wanted, count))[:limit]:
            yield Completion(tag, "dataset", count(tag), category(tag))

    def _of_lists(self, wanted: str, limit: int, how: How) -> Iterator[Completion]:
        """Tags of the lists; one that the dataset has in its spelling there, and only where another name found it."""
        for named, matched in self.tags.find(wanted, limit * 2, how):
            mine = self.index.vocabulary.same(named.tag)
            if mine and matched:
                yield Completion(mine[0], "dataset", self.index.count(mine[0]), named.category, matched)
            elif not mine:
                source = "list" if not matched or matched in named.aliases else "translation"
                yield Completion(named.tag, source, named.count, named.category, matched)

    def _refresh(self) -> None:
        if self._revision == self.index.revision:
            return
        self._revision = self.index.revision
        new = [tag for tag in self.index.tags() if tag not in self._known]
        if len(new) > _MANY_NEW:
            count = self.index.count
            self._own = sorted(self.index.tags(), key=lambda tag: -count(tag))
            self._known, new = frozenset(self._own), []
            self._words = Names([folded(tag) for tag in self._own])
        self._new_tags, self._new = new, Names([folded(tag) for tag in new])


def _rank(wanted: str, count: Callable[[str], int]) -> Callable[[str], tuple[bool, bool, int, str]]:
    """Itself first, then what begins with what was typed, then by frequency."""

    def rank(tag: str) -> tuple[bool, bool, int, str]:
        key = folded(tag)
        return key != wanted, not key.startswith(wanted), -count(tag), tag

    return rank


def list_folder(project: Path | None = None) -> Path:
    """Where lists of tags and translations are kept: in ``tags`` of a project, or of the data folder for all."""
    from lora_tui.settings import data_dir

    return (data_dir() if project is None else project) / "tags"


def installed_lists(project: Path | None = None) -> list[Path]:
    """The lists that are kept for every project, by name, then those of one project, whose words win.

    Args:
        project: its folder.
    """
    found: list[Path] = []
    for folder in (list_folder(), *([] if project is None else [list_folder(project)])):
        try:
            found += sorted(path for path in folder.iterdir() if is_list(path))
        except OSError:
            continue
    return found


def is_list(path: Path) -> bool:
    """Whether a file may be a list of tags or of translations, by its name."""
    return path.suffix.lower() in (".csv", ".txt") and not path.name.startswith(".") and path.is_file()


def load_tag_list(paths: Iterable[Path]) -> TagList:
    """The tags and translations of files, whatever of the known kinds each is.

    Raises:
        UserError: a file cannot be read.
    """
    tags: list[Named] = []
    translations: dict[str, str] = {}
    for path in paths:
        text = _read(path)
        if path.suffix.lower() == ".csv":
            tags += parse_csv(text)
        else:
            own, translated = parse_lines(text)
            tags += own
            translations |= translated
    return TagList(tags, translations)


def parse_csv(text: str, odd: list[str] | None = None) -> Iterator[Named]:
    """The tags of a CSV file: with a heading, or ``name,type,count,aliases``.

    Args:
        odd: where the rows are put that name no tag, or that go over several lines because a quote is never closed.
    """
    rows = _rows(text)
    first = next(rows, None)
    if first is None:
        return
    heading = [cell.strip().lower() for cell in first]
    if "name" in heading:
        at = {name: heading.index(name) for name in _COLUMNS if name in heading}
    else:
        at = {name: place for place, name in enumerate(_COLUMNS)}
        rows = chain((first,), rows)
    for row in rows:
        named = None if any("\n" in cell for cell in row) else _named(row, at)
        if named is not None:
            yield named
        elif odd is not None and any(cell.strip() for cell in row):
            odd += ",".join(row).splitlines()


def _rows(text: str) -> Iterator[list[str]]:
    """The rows of CSV ``text``, whatever ends its lines."""
    csv.field_size_limit(max(csv.field_size_limit(), _FILE_BYTES))  # a tag may have very many aliases
    yield from csv.reader(io.StringIO(text.replace("\0", ""), newline=None))


def parse_lines(text: str) -> tuple[list[Named], dict[str, str]]:
    """The tags of a text file, and its translations ``tag=text``; lines with ``//`` in front are comments."""
    tags, translations = [], {}
    for line in text.splitlines():
        line = line.strip()
        if not line or line.startswith("//"):
            continue
        found = _TRANSLATED.fullmatch(line)
        if found and found[1].strip() and found[2].strip():
            translations[spaced(found[1].strip())] = found[2].strip()
        else:
            tags.append(Named(spaced(line)))
    return tags, translations


def _named(row: list[str], at: Mapping[str, int]) -> Named | None:
    """The tag of a row; none when it has no name."""
    name, kind, number, others = (row[at[key]].strip() if at.get(key, len(row)) < len(row) else "" for key in _COLUMNS)
    if not name:
        return None
    category = _CATEGORIES.get(int(kind), "") if kind.isascii() and kind.isdigit() and len(kind) < 4 else ""
    aliases = tuple(spaced(alias.strip()) for alias in others.split(",") if alias.strip()) if others else ()
    return Named(spaced(name), category, int(number) if number.isascii() and number.isdigit() else 0, aliases)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_FILE_BYTES).decode("utf-8-sig", "replace")
    except OSError as error:
        raise UserError(
            _("The list of tags cannot be read: {reason}.").format(reason=plain(error.strerror or str(error))),
            place=plain(str(path)),
            remedy=_("Check the file and its permissions."),
            code="tags.unreadable",
        ) from error
