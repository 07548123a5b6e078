"""After a crash: finish what the journal began, or take it back. Every file ends wholly new or wholly old."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lora_tui.captions.journal.log import Journal
from lora_tui.captions.journal.names import Reach
from lora_tui.captions.journal.place import place, read, sweep
from lora_tui.captions.journal.records import Record
from lora_tui.errors import UserError


@dataclass(frozen=True, slots=True)
class Recovery:
    """What was found and done.

    Attributes:
        records: the transactions that had not come to their end.
        written: names of files that were put right.
        conflicts: names of files that hold something that the journal does not know, or that are no captions of the
            dataset; they were left alone.
    """

    records: tuple[Record, ...] = ()
    written: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()


def recover(journal: Journal, way: Literal["finish", "revert"] = "finish", *, locked: bool = False) -> Recovery:
    """Bring transactions to an end that a killed process or a lost machine left in the middle.

    Args:
        way: ``finish`` writes what is missing, ``revert`` puts back what was.
        locked: the caller holds the journal's lock; else it is taken, if there is anything to do.

    Raises:
        UserError: ``journal.folder``, ``journal.locked``.
    """
    if not journal.pending():
        return Recovery()
    if not locked:
        with journal.locked():
            return recover(journal, way, locked=True)
    records = journal.pending()
    chains, damaged = _chains(journal, records)
    numbers = [record.number for record in records]
    sweep(journal.home, chains, numbers)
    wanted, conflicts = _wanted(journal, chains, way)
    broken = place(journal.home, wanted, numbers[-1]).failed
    wrong = {*conflicts, *broken} if way == "finish" else set(chains)
    names = _names(journal, records, damaged)
    contested = {} if way == "revert" else _among(names, set(conflicts))
    journal.finish(numbers, _among(names, wrong), contested)
    written = tuple(name for name in wanted if name not in broken)
    return Recovery(tuple(records), written, (*conflicts, *broken))


def _chains(journal: Journal, records: Sequence[Record]) -> tuple[dict[str, list[bytes | None]], set[int]]:
    """For each file the contents that it had and was to have, in their order."""
    chains: dict[str, list[bytes | None]] = {}
    damaged = set()
    for record in records:
        try:
            changes = journal.load(record)
        except UserError:
            damaged.add(record.number)
            continue
        for change in changes:
            chains.setdefault(change.name, [change.before]).append(change.after)
    return chains, damaged


def _wanted(
    journal: Journal, chains: dict[str, list[bytes | None]], way: str
) -> tuple[dict[str, bytes | None], list[str]]:
    """What is to be written, and the files that are none of ours any more."""
    wanted: dict[str, bytes | None] = {}
    conflicts = []
    reach = Reach(journal.home, journal.endings)
    for name, chain in chains.items():
        goal = chain[-1] if way == "finish" else chain[0]
        try:
            now = read(journal.home, name)
        except OSError:
            conflicts.append(name)
            continue
        if now == goal:
            continue
        if not reach.why_not(name, asked=False) and (now in chain or _is_torn(now)):
            wanted[name] = goal
        else:
            conflicts.append(name)
    return wanted, conflicts


def _is_torn(content: bytes | None) -> bool:
    """Whether this is what a machine that lost its power leaves of a file: nothing, or nothing but zero bytes."""
    return content is not None and not content.strip(b"\0")


def _among(names: dict[int, set[str]], wanted: set[str]) -> dict[int, list[str]]:
    """Those of some names that each transaction has; none where it has none."""
    return {number: sorted(wanted & some) for number, some in names.items() if wanted & some}


def _names(journal: Journal, records: Sequence[Record], damaged: set[int]) -> dict[int, set[str]]:
    return {
        record.number: {change.name for change in journal.load(record)}
        for record in records
        if record.number not in damaged
    }
