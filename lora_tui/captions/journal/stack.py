"""Which transactions can be undone and which redone, told from the journal alone, so that it outlives a restart."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lora_tui.captions.journal.records import Record

REVIEWS = ("review", "unreview")
"""Kinds of records that change no caption: somebody said that captions are right, or took that back."""


class Stacks:
    """Both stacks, kept up at the cost of what comes.

    A new edit empties the way forward, as everywhere. Undoing a part (some files, a tag) is an edit like others. A
    transaction of which the disk refused a part is on both stacks: it can be tried again either way.
    """

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self._back: dict[int, Record] = {}
        self._forward: dict[int, Record] = {}
        for record in records:
            self.take(record)

    def take(self, record: Record) -> None:
        """Another transaction."""
        if record.kind in REVIEWS or not _did(record):
            return
        if record.kind == "undo":
            _turn(record, self._back, self._forward)
        elif record.kind == "redo":
            _turn(record, self._forward, self._back)
        else:
            self._back[record.number] = record
            self._forward = {}

    def lists(self) -> tuple[list[Record], list[Record]]:
        """The transactions that undo would take back and those that redo would bring back, the next one last."""
        return list(self._back.values()), list(self._forward.values())


def _did(record: Record) -> bool:
    """Whether anything came of it. An undo that others' changes kept out counts: what it wanted waits to be merged."""
    return record.files > 0 or (record.kind in ("undo", "redo") and bool(record.contested))


def _turn(turn: Record, stack: dict[int, Record], other: dict[int, Record]) -> None:
    """Move a transaction that was taken back or brought back; it also stays while the disk refused a part of it."""
    if (record := stack.get(turn.of)) is not None:
        other.pop(turn.of, None)
        other[turn.of] = replace(record, but=turn.refused, only=None)
        if turn.refused:
            stack[turn.of] = replace(record, but=frozenset(), only=turn.refused)
        else:
            del stack[turn.of]
