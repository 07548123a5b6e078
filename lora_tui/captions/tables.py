"""What a dataset says of its tags: aliases, implications, what is needless beside what, what excludes what, order.

Kept in ``.lora-tui/tables.toml``. Tags are compared by :meth:`Tables.key`: without case, underscores and escapes, and
by the name that the aliases prefer, so that one table serves every spelling and every name of a tag.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from lora_tui.captions.vocabulary import folded, glob_expression
from lora_tui.errors import UserError
from lora_tui.files import write_atomic
from lora_tui.text import N_, _, plain
from lora_tui.toml_files import TomlError, parse_toml, read_text

FILE = "tables.toml"
MOST_WORDS = 12
"""Words of a tag that may be needless beside one which ends with it; more are a sentence."""

#: Sets of tags of which a picture of one subject can have only one; used where a dataset names none.
USUAL_GROUPS: dict[str, tuple[str, ...]] = {
    N_("number of girls"): ("1girl", "2girls", "3girls", "4girls", "5girls", "6+girls"),
    N_("number of boys"): ("1boy", "2boys", "3boys", "4boys", "5boys", "6+boys"),
    N_("alone"): ("solo", "2girls", "2boys", "multiple girls", "multiple boys", "everyone"),
    N_("hair length"): ("bald", "very short hair", "short hair", "medium hair", "long hair"),
    N_("eyes open"): ("closed eyes", "half-closed eyes", "wide-eyed"),
    N_("mouth"): ("open mouth", "closed mouth"),
    N_("place"): ("indoors", "outdoors"),
    N_("time of day"): ("day", "night"),
}


@dataclass(frozen=True)
class Tables:
    """The tables of one dataset.

    Attributes:
        aliases: another name of a tag, and the tag.
        implications: a tag, and the tags that are true wherever it is: ``black cat`` implies ``cat``.
        consolidate: a tag, and the tags that say no more beside it: ``white shirt`` makes ``shirt`` needless.
        by_ending: a tag is also needless beside one that ends with it, as ``shirt`` beside ``white shirt``.
        groups: the name of a group, and tags of which a caption should have only one.
        blacklist: tags, also with ``*`` and ``?``, that no caption should have.
        order: tags and patterns in the order in which captions should have them; ``*`` alone is all others.
    """

    aliases: Mapping[str, str] = field(default_factory=dict)
    implications: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    consolidate: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    by_ending: bool = True
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: USUAL_GROUPS)
    blacklist: tuple[str, ...] = ()
    order: tuple[str, ...] = ()

    @property
    def exclusive(self) -> tuple[tuple[str, ...], ...]:
        """The groups without their names."""
        return tuple(self.groups.values())

    def canonical(self, tag: str) -> str:
        """The tag that ``tag`` is another name of; itself when it is none."""
        known = self._aliases
        seen = {folded(tag)}
        while (found := known.get(folded(tag))) is not None and folded(found) not in seen:
            tag = found
            seen.add(folded(tag))
        return tag

    def key(self, tag: str) -> str:
        """What two tags have in common that are one for the tables: ``Long_Hair``, ``long hair`` and its aliases."""
        return folded(self.canonical(tag)) if self.aliases else folded(tag)

    def implied(self, tag: str) -> tuple[str, ...]:
        """All other tags that ``tag`` implies, the nearest first, by the names that the aliases prefer."""
        found: dict[str, str] = {self.key(tag): tag}
        waiting = [tag]
        while waiting:
            for parent in map(self.canonical, self._implies.get(self.key(waiting.pop(0)), ())):
                if folded(parent) not in found:
                    found[folded(parent)] = parent
                    waiting.append(parent)
        return tuple(found.values())[1:]

    def needless(self, tags: Sequence[str]) -> tuple[int, ...]:
        """The places of the tags that a more specific one beside them makes needless.

        What a tag implies is needless, too. A tag that ends with itself only in another spelling is a duplicate
        and none of this.
        """
        keys = [self.key(tag) for tag in tags]
        gone: set[str] = set()
        for key, tag in zip(keys, tags, strict=True):
            gone.update(general for general in map(self.key, self._general(key, tag)) if general != key)
            if self.by_ending:
                words = key.split(" ")
                gone.update(" ".join(words[first:]) for first in range(max(1, len(words) - MOST_WORDS), len(words)))
        return tuple(place for place, key in enumerate(keys) if key in gone)

    def conflicts(self, tags: Iterable[str]) -> list[tuple[str, tuple[str, ...]]]:
        """The exclusive groups of which more than one tag is there, with those tags in their order."""
        found: dict[str, dict[str, str]] = {}
        groups_of = self._groups
        for tag in tags:
            key = self.key(tag)
            for group in groups_of.get(key, ()):
                found.setdefault(group, {}).setdefault(key, tag)
        return [(group, tuple(members.values())) for group, members in found.items() if len(members) > 1]

    def banned(self, tag: str) -> bool:
        """Whether ``tag`` is on the black list."""
        names, patterns = self._banned
        key = self.key(tag)
        return key in names or any(pattern.match(one) for pattern in patterns for one in {key, folded(tag)})

    def rank(self, tag: str) -> int:
        """Where ``tag`` stands in the order, from 0; tags that it does not name stand at ``*``, or else at its end."""
        names, patterns, others = self._order
        key = self.key(tag)
        if key in names:
            return names[key]
        return next((place for place, pattern in patterns if pattern.match(key)), others)

    def _general(self, key: str, tag: str) -> tuple[str, ...]:
        return (*self._consolidate.get(key, ()), *(self.implied(tag) if key in self._implies else ()))

    @cached_property
    def _aliases(self) -> dict[str, str]:
        return {folded(alias): tag for alias, tag in self.aliases.items()}

    @cached_property
    def _implies(self) -> dict[str, tuple[str, ...]]:
        return self._joined(self.implications)

    @cached_property
    def _consolidate(self) -> dict[str, tuple[str, ...]]:
        return self._joined(self.consolidate)

    @cached_property
    def _groups(self) -> dict[str, list[str]]:
        groups: dict[str, list[str]] = {}
        for name, tags in self.groups.items():
            for tag in tags:
                groups.setdefault(self.key(tag), []).append(name)
        return groups

    def _joined(self, table: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        """A table by the keys of its tags; what it says of several names of a tag holds for each of them."""
        joined: dict[str, tuple[str, ...]] = {}
        for tag, others in table.items():
            joined[self.key(tag)] = joined.get(self.key(tag), ()) + others
        return joined

    @cached_property
    def _banned(self) -> tuple[frozenset[str], list[Any]]:
        wild = [word for word in self.blacklist if "*" in word or "?" in word]
        return frozenset(map(self.key, self.blacklist)), [glob_expression(folded(word)) for word in wild]

    @cached_property
    def _order(self) -> tuple[dict[str, int], list[tuple[int, Any]], int]:
        names, patterns, others = dict[str, int](), [], len(self.order)
        for place, word in enumerate(self.order):
            if word == "*":
                others = place
            elif "*" in word or "?" in word:
                patterns.append((place, glob_expression(folded(word))))
            else:
                names.setdefault(self.key(word), place)
        return names, patterns, others


def load_tables(folder: Path) -> Tables:
    """The tables of a dataset; the usual ones where it says nothing.

    Args:
        folder: the dataset's ``.lora-tui``.

    Raises:
        UserError: the file cannot be read, or something in it is not what it should be.
    """
    path = folder / FILE
    try:
        return parse_tables(read_text(path), path)
    except FileNotFoundError:
        return Tables()
    except TomlError as error:
        raise _wrong(path, str(error)) from error
    except OSError as error:
        raise _wrong(path, error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise _wrong(path, _("it is not UTF-8 text")) from error


def parse_tables(text: str, path: Path) -> Tables:
    """The tables that ``text`` holds; ``path`` is named in errors.

    Raises:
        UserError: it is no TOML, has an unknown table, something that is no text, or aliases that go in a circle.
    """
    try:
        document = parse_toml(text)
    except TomlError as error:
        raise _wrong(path, str(error)) from error
    unknown = set(document) - {"aliases", "implies", "consolidate", "by_ending", "exclusive", "blacklist", "order"}
    if unknown:
        raise _wrong(path, _("there is no table {name}").format(name=plain(sorted(unknown)[0])))
    by_ending = document.get("by_ending", True)
    if not isinstance(by_ending, bool):
        raise _wrong(path, _("{name} must be true or false").format(name="by_ending"))
    tables = Tables(
        aliases=_names(document, "aliases", path),
        implications=_lists(document, "implies", path),
        consolidate=_lists(document, "consolidate", path),
        by_ending=by_ending,
        groups=_lists(document, "exclusive", path) if "exclusive" in document else USUAL_GROUPS,
        blacklist=_words(document.get("blacklist", []), "blacklist", path),
        order=_words(document.get("order", []), "order", path),
    )
    _check_circles(tables, path)
    return tables


def save_tables(folder: Path, tables: Tables) -> None:
    """Write the tables of a dataset.

    Raises:
        UserError: they cannot be written, or the aliases go in a circle.
    """
    import tomli_w

    _check_circles(tables, folder / FILE)
    document = as_document(tables, usual=False)
    path = folder / FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(path, tomli_w.dumps(document).encode("utf-8"))
    except OSError as error:
        raise UserError(
            _("The tables of tags cannot be written: {reason}.").format(reason=plain(error.strerror or str(error))),
            place=plain(str(path)),
            remedy=_("Check the folder's permissions and free space."),
            code="tables.write",
        ) from error


def as_document(tables: Tables, *, usual: bool = True) -> dict[str, Any]:
    """Tables as their file has them; ``usual``: with the groups that hold where a dataset names none."""
    document: dict[str, Any] = {"by_ending": tables.by_ending}
    document |= {"blacklist": list(tables.blacklist)} if tables.blacklist else {}
    document |= {"order": list(tables.order)} if tables.order else {}
    document |= {"aliases": dict(tables.aliases)} if tables.aliases else {}
    lists = {"implies": tables.implications, "consolidate": tables.consolidate, "exclusive": tables.groups}
    for name, table in lists.items():
        if table and (usual or table is not USUAL_GROUPS):
            document[name] = {tag: list(others) for tag, others in table.items()}
    return document


def _names(document: Mapping[str, Any], name: str, path: Path) -> dict[str, str]:
    table = document.get(name, {})
    if not isinstance(table, dict) or not all(isinstance(tag, str) and tag.strip() for tag in table.values()):
        raise _wrong(path, _("{name} wants a tag for each tag").format(name=name))
    return table


def _lists(document: Mapping[str, Any], name: str, path: Path) -> dict[str, tuple[str, ...]]:
    table = document.get(name, {})
    if not isinstance(table, dict):
        raise _wrong(path, _("{name} wants a list of tags for each tag").format(name=name))
    return {tag: _words([others] if isinstance(others, str) else others, name, path) for tag, others in table.items()}


def _words(words: Any, name: str, path: Path) -> tuple[str, ...]:
    if not isinstance(words, list) or not all(isinstance(word, str) and word.strip() for word in words):
        raise _wrong(path, _("{name} wants lists of tags").format(name=name))
    return tuple(words)


def _check_circles(tables: Tables, path: Path) -> None:
    known = {folded(alias): folded(tag) for alias, tag in tables.aliases.items()}
    for alias in known:
        seen, at = {alias}, known[alias]
        while at in known and at != alias:
            if at in seen:
                break
            seen.add(at)
            at = known[at]
        if at == alias and known[alias] != alias:
            raise _wrong(path, _("the aliases of {tag} go in a circle").format(tag=plain(alias)))


def _wrong(path: Path, reason: str) -> UserError:
    return UserError(
        _("The tables of tags cannot be used: {reason}.").format(reason=plain(reason, limit=200)),
        place=plain(str(path)),
        remedy=_("Fix the file, or remove it."),
        code="tables.wrong",
    )
