"""Which transactions can be undone and which redone, told from the journal alone, so that it outlives a restart."""

from __future__ import annotations

from collections.abc import Iterable

from lora_tui.captions.journal.log import Record

REVIEWS = ("review", "unreview")
"""Kinds of records that change no caption: somebody said that captions are right, or took that back."""


def undo_and_redo(records: Iterable[Record]) -> tuple[list[Record], list[Record]]:
    """The transactions that undo would take back and those that redo would bring back, the next one last.

    A new edit empties the way forward, as everywhere. Undoing a part (some files, a tag) is an edit like others.
    """
    back: list[Record] = []
    forward: list[Record] = []
    for record in records:
        if record.kind in REVIEWS or not _did(record):
            continue
        if record.kind == "undo":
            back, moved = _taken(back, record.of)
            forward += moved
        elif record.kind == "redo":
            forward, moved = _taken(forward, record.of)
            back += moved
        else:
            back.append(record)
            forward = []
    return back, forward


def _did(record: Record) -> bool:
    """Whether anything came of it. An undo that others' changes kept out counts: what it wanted waits to be merged."""
    return record.files > 0 or (record.kind in ("undo", "redo") and bool(record.contested))


def _taken(stack: list[Record], number: int) -> tuple[list[Record], list[Record]]:
    moved = [record for record in stack if record.number == number]
    return [record for record in stack if record.number != number], moved
