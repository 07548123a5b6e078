"""How quickly this machine draws, as it was seen last: what a plan says of time comes from here. Knows no torch."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from lora_tui.jobs.events import as_number
from lora_tui.runs.folder import read_json, write_json
from lora_tui.settings import state_dir

FILE = "grid-pace.json"
SHARE = 0.3
"""Of a new figure, in the mean of those before it."""


def known_pace() -> Mapping[str, float]:
    """Seconds for a million pixels and one step, by family."""
    found = {family: as_number(value) for family, value in read_json(state_dir() / FILE).items()}
    return {family: value for family, value in found.items() if value is not None and 0 < value < 1e6}


def note_pace(family: str, seconds: float) -> None:
    """Take a new figure into the mean; a state folder that cannot be written is let be."""
    known = dict(known_pace())
    before = known.get(family, seconds)
    known[family] = round(before + SHARE * (seconds - before), 6)
    with contextlib.suppress(OSError):
        write_json(state_dir() / FILE, dict(known), durable=False)
