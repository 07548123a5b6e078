"""Edits that wait because another program changed the same captions: finding them in the journal, and settling them.

A transaction leaves such a file alone, and the journal keeps what it wanted. What is waiting is told from the journal
alone, so it outlives a restart; an edit that was undone, or that somebody settled, waits no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from lora_tui.captions.folders import natural
from lora_tui.captions.journal.bodies import FileChange
from lora_tui.captions.journal.log import Journal
from lora_tui.captions.journal.place import read
from lora_tui.captions.journal.records import Record
from lora_tui.captions.journal.writer import Transaction
from lora_tui.captions.merging import Merged, merge
from lora_tui.captions.profile import Profile
from lora_tui.captions.transaction import Session
from lora_tui.errors import UserError
from lora_tui.text import plain

Way = Literal["merge", "ours", "theirs"]
WAYS: tuple[Way, ...] = ("merge", "ours", "theirs")
"""Both changes; the edit that waits, whatever the other program wrote; what it wrote, and the edit is dropped."""


@dataclass(frozen=True)
class Conflict:
    """One caption file with an edit that waits.

    Attributes:
        name: of the file, in the journal.
        records: the transactions that wait, oldest first.
        base, ours, theirs: the file before them, after them, and as it is on disk; none where there is no file.
        merged: both changes together; none when a person must choose.
        problem: why the file cannot be read now.
    """

    name: str
    records: tuple[Record, ...]
    base: bytes | None
    ours: bytes | None
    theirs: bytes | None
    merged: Merged | None = None
    problem: str = ""

    @property
    def ways(self) -> tuple[Way, ...]:
        """How it can be settled."""
        if self.problem:
            return ()
        return WAYS if self.merged is not None else ("ours", "theirs")

    def content(self, way: Way) -> bytes | None:
        """What the file will hold."""
        if way == "merge":
            assert self.merged is not None
            return self.merged.content
        return self.ours if way == "ours" else self.theirs


@dataclass
class _Waiting:
    """What waits for one file: the changes one after the other, those that build on each other as one."""

    records: list[Record] = field(default_factory=list)
    changes: list[FileChange] = field(default_factory=list)

    def add(self, record: Record, change: FileChange) -> None:
        self.records.append(record)
        if self.changes and self.changes[-1].after == change.before:
            change = FileChange(change.name, self.changes.pop().before, change.after)
        if change.before != change.after and change not in self.changes:
            self.changes.append(change)


def waiting(journal: Journal) -> dict[str, _Waiting]:
    """The edits that wait, by the names of their files; reads only what it must of the journal."""
    records = journal.records()
    turned = {record.of: record for record in records if record.kind in ("undo", "redo")}  # the last of each
    found: dict[str, _Waiting] = {}
    for record in records:
        last = turned.get(record.of if record.kind in ("undo", "redo") else record.number, record)
        if record.kind == "merge" and last.kind != "undo":
            for change in (*_changes(journal, record), *_contested(journal, record)):
                found.pop(change.name, None)
        if record.contested and last.number <= record.number:
            for change in _contested(journal, record):
                found.setdefault(change.name, _Waiting()).add(record, change)
    return {name: one for name, one in found.items() if one.changes}


def conflicts(session: Session) -> list[Conflict]:
    """The captions of the session's folder with edits that wait, as the disk is now; for a thread.

    An edit that the file holds already, because it was done again or somebody else did the same, waits no more.
    """
    profile, found = session.corpus.profile, []
    held = waiting(session.journal)
    for name in natural(held):
        if session.is_below(name):
            conflict = _conflict(session, name, held[name], profile)
            merged = conflict.merged
            if conflict.problem or merged is None or merged.content != conflict.theirs:
                found.append(conflict)
    return found


def _conflict(session: Session, name: str, one: _Waiting, profile: Profile) -> Conflict:
    base, ours = one.changes[0].before, one.changes[-1].after
    try:
        theirs = read(session.journal.home, name)
    except OSError as error:
        return Conflict(name, tuple(one.records), base, ours, None, problem=plain(error.strerror or str(error)))
    merged: Merged | None = Merged(theirs)
    for change in one.changes:
        if merged is not None:
            merged = merge(change.before, change.after, merged.content, profile)
    return Conflict(name, tuple(one.records), base, ours, theirs, merged)


def settle(session: Session, chosen: Sequence[tuple[Conflict, Way]], author: str) -> Transaction:
    """Bring edits that waited to their end as a person decided; a transaction like others, which undo takes back.

    What was dropped is noted, too, so that it waits no more.
    """
    ways = {way for _conflict, way in chosen}
    how = ways.pop() if len(ways) == 1 else "merge"
    head = {"kind": "merge", "author": author, "operation": f"conflicts {how}"}
    return session.change_files(
        head, [FileChange(conflict.name, conflict.theirs, conflict.content(way)) for conflict, way in chosen]
    )


def _changes(journal: Journal, record: Record) -> list[FileChange]:
    """The files of a transaction; none where the journal is damaged, which hides nothing else."""
    try:
        return journal.load(record)
    except UserError:
        return []


def _contested(journal: Journal, record: Record) -> list[FileChange]:
    try:
        return journal.contested(record)
    except UserError:
        return []
