"""Where an event file ends, and where the lives of its run went back to: what is known of it before it is read."""

from __future__ import annotations

import itertools

from lora_tui.jobs.backwards import newest_first
from lora_tui.jobs.events import LineReader, parse_line
from lora_tui.runs import facts
from lora_tui.runs.folder import RunFolder

_REWIND = b"resumed"

_LOOKED_THROUGH = 200
"""Events at the end of a file among which its last step is looked for."""


def find_rewinds(run: RunFolder) -> list[int]:
    """The steps that the lives of a run went back to, in the order of the event file."""
    found: list[int] = []
    reader = LineReader(run.events_path)
    while True:
        block = reader.block()
        place = block.find(_REWIND)
        while place >= 0:
            end = block.find(b"\n", place)
            event = parse_line(block[block.rfind(b"\n", 0, place) + 1 : end])
            if event is not None and event.get("kind") == "resumed":
                found.append(facts.whole(event, "step"))
            place = block.find(_REWIND, end)
        if reader.at_end:
            return found


def last_step(run: RunFolder) -> int:
    """The step that the events of a run end with, as far as their end shows it; else 0."""
    for event in itertools.islice(newest_first(run.events_path, ("resources", "phase")), _LOOKED_THROUGH):
        if event.get("kind") in ("step", "resumed"):
            return facts.whole(event, "step")
    return 0
