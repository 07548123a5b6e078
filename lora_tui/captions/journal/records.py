"""What the JSON text of a frame says: a transaction, that transactions are done, or files moved. Trusts nothing of it.

A journal may come with a dataset from anywhere, and may have been written by a later version of this program. What is
not as it should be is damage; what is sound and unknown is newer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from lora_tui.captions.journal.bodies import Blocks, blocks_of
from lora_tui.captions.journal.frame import Frame, NewerError
from lora_tui.captions.journal.renames import Moved, moved_in

KINDS = frozenset({"edit", "undo", "redo", "part", "merge", "review", "unreview"})
_LATEST = 32503680000.0
"""The year 3000 in unix seconds: times beyond it cannot be shown everywhere."""
_MOST = 1 << 53


@dataclass(frozen=True, slots=True)
class Record:
    """One transaction as the journal knows it.

    Attributes:
        number: from 1, in the order in which they happened.
        time: unix seconds.
        kind: ``edit``; ``undo`` and ``redo`` of the transaction ``of``; ``part``: a part of it put
            back; ``merge``: edits that another program's change had kept out, as a person decided; ``review`` and
            ``unreview`` change nothing.
        author: a person, a tagger, a rule.
        operation, scope: as text, for a reader.
        files: how many files it changed.
        of: the number of the transaction that an undo or redo is about, 0 for none.
        failed: names of files that the disk refused, or that another program had changed meanwhile.
        contested: those of them that another program had changed; what was to be written waits in the journal.
        only, but: names of the files to which it comes down, all when none, and of files without which it is meant: of
            a transaction of which the disk refused to take back or to bring back a part.
        below: what stands before the names of its files, ending with ``/``, where it was joined from a folder below.
        links: the links among its files that come or go, each with where it leads.
        frame: where it lies in the file.
        blocks: the parts of its body that can be read by themselves.
    """

    number: int
    time: float
    kind: str
    author: str
    operation: str
    scope: str
    files: int
    of: int = 0
    failed: frozenset[str] = frozenset()
    contested: frozenset[str] = frozenset()
    only: frozenset[str] | None = None
    but: frozenset[str] = frozenset()
    below: str = ""
    links: tuple[tuple[str, str], ...] = field(default=(), repr=False, compare=False)
    frame: Frame | None = field(default=None, repr=False, compare=False)
    blocks: Blocks = field(default=(), repr=False, compare=False)

    def head(self, number: int, of: int, below: str) -> dict[str, Any]:
        """What a frame says of it in the journal of a folder above, to which its own is joined."""
        told: dict[str, Any] = {
            "kind": self.kind,
            "author": self.author,
            "operation": self.operation,
            "scope": self.scope,
            "of": of,
            "number": number,
            "time": self.time,
            "files": self.files + len(self.failed),
            "below": below + self.below,
        }
        if self.links:
            told["links"] = {name.removeprefix(self.below): link for name, link in self.links}
        return {**told, "blocks": self.blocks} if self.blocks else told

    @property
    def refused(self) -> frozenset[str]:
        """Names of files that the disk refused."""
        return self.failed - self.contested

    def has(self, name: str) -> bool:
        """Whether a file of it is meant."""
        return name not in self.failed and name not in self.but and (self.only is None or name in self.only)

    def with_names(self, names: Mapping[str, str]) -> Record:
        """This transaction after some of its files were moved, by how they were called before."""
        if not self.failed and not self.links:
            return self
        links = tuple((names.get(name, name), link) for name, link in self.links)
        failed, contested = (frozenset(names.get(one, one) for one in some) for some in (self.failed, self.contested))
        return replace(self, failed=failed, contested=contested, links=links)

    def with_failed(self, names: Iterable[str], contested: Iterable[str]) -> Record:
        """This transaction, of which some files could not be written."""
        failed = self.failed | frozenset(names)
        files = max(self.files - len(failed) + len(self.failed), 0)
        return replace(self, failed=failed, contested=self.contested | (frozenset(contested) & failed), files=files)


class Done(NamedTuple):
    """That the files of transactions were written, but for those that failed, by the transactions' numbers."""

    numbers: tuple[int, ...]
    failed: dict[int, frozenset[str]]
    contested: dict[int, frozenset[str]]


def entry_of(frame: Frame) -> Record | Done | Moved:
    """What a frame says.

    Raises:
        ValueError: it is damaged.
        NewerError: it is sound, and this version does not know what it is.
    """
    head = frame.head
    if head is None:
        raise ValueError
    if "done" in head:
        return Done(
            tuple(_whole(number) for number in _list(head["done"])),
            _names(head.get("failed", {})),
            _names(head.get("contested", {})),
        )
    if "moved" in head:
        return moved_in(head)
    kind = _text(head, "kind", "edit")
    if "number" not in head or kind not in KINDS:
        raise NewerError(kind)
    moment = head.get("time", 0.0)
    if not isinstance(moment, int | float) or not 0 <= moment < _LATEST:
        raise ValueError
    return Record(
        number=_whole(head["number"], least=1),
        time=float(moment),
        kind=kind,
        author=_text(head, "author"),
        operation=_text(head, "operation"),
        scope=_text(head, "scope"),
        files=_whole(head.get("files", 0)),
        of=_whole(head.get("of", 0)),
        below=_below(head),
        links=_links(head.get("links", {}), _below(head)),
        frame=replace(frame, head=None),
        blocks=blocks_of(head),
    )


def _whole(value: Any, *, least: int = 0) -> int:
    if type(value) is not int or not least <= value < _MOST:
        raise ValueError
    return value


def _text(head: dict[str, Any], key: str, default: str = "") -> str:
    value = head.get(key, default)
    if not isinstance(value, str):
        raise ValueError
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError
    return value


def _below(head: dict[str, Any]) -> str:
    below = _text(head, "below")
    if below and (not below.endswith("/") or below.startswith("/") or ".." in below.split("/")):
        raise ValueError
    return below


def _links(value: Any, below: str) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict) or not all(isinstance(link, str) and link for link in value.values()):
        raise ValueError
    return tuple((below + name, link) for name, link in value.items())


def _names(value: Any) -> dict[int, frozenset[str]]:
    if not isinstance(value, dict):
        raise ValueError
    found = {}
    for number, names in value.items():
        if not number.isascii() or not number.isdecimal() or not all(isinstance(name, str) for name in _list(names)):
            raise ValueError
        found[_whole(int(number[:20]))] = frozenset(names)
    return found
