"""The events of a run in the order of its file, without the steps that a resume took back. Reads in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator

from lora_tui.jobs.events import Event, EventReader
from lora_tui.runs import facts
from lora_tui.runs.folder import RunFolder
from lora_tui.runs.rewinds import find_rewinds

PLACED = frozenset({"step", "validation", "sample", "checkpoint", "state"})
"""Kinds whose events belong to a step."""


def kept_events(run: RunFolder) -> Iterator[Event]:
    """Every event that still holds. Never raises for what the file is or holds; lines that are none are left out."""
    cuts = find_rewinds(run)
    reader, passed = EventReader(run.events_path), 0
    limit = min(cuts, default=None)
    while True:
        for event in reader.poll():
            kind = event.get("kind")
            if kind == "resumed" and passed < len(cuts):
                passed += 1
                limit = min(cuts[passed:], default=None)
            if kind in PLACED and limit is not None and facts.whole(event, "step") > limit:
                continue
            yield event
        if reader.at_end:
            return
