"""How long the newest life of a run took to its first step, and what with: noted in its record by the trainer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lora_tui.jobs.events import as_number
from lora_tui.text.formats import MOST_SECONDS, duration
from lora_tui.text.translate import N_, _

ENTRY = "beginning"
"""Its place in the record: an object with ``seconds`` and ``parts``, as in the event ``began``."""

PARTS: Mapping[str, str] = {
    "libraries": N_("libraries"),
    "loading": N_("loading"),
    "caching": N_("caching"),
    "measuring": N_("measuring"),
    "step": N_("first step"),
}
"""Starting the process and importing; dataset, models and network; latents and text; samples and losses before the
first step; that step."""


@dataclass(frozen=True)
class Beginning:
    """Seconds from the start of the process to the end of the first step, in all and by part; pauses do not count."""

    seconds: float
    parts: Mapping[str, float]

    @property
    def words(self) -> tuple[str, ...]:
        """In pieces that stay whole: all of it, then what took a tenth of a second or more."""
        told = [_("{part} {time}").format(part=_(PARTS[name]), time=_time(each)) for name, each in self.parts.items()]
        shown = [text for text, each in zip(told, self.parts.values(), strict=True) if each >= 0.05]
        return (_("first step after {time}").format(time=_time(self.seconds)), *shown)

    @property
    def sentence(self) -> str:
        """The same as one line."""
        first, *rest = self.words
        return f"{first} ({_(', ').join(rest)})" if rest else first


def beginning_of(record: Mapping[str, Any]) -> Beginning | None:
    """What a record says of it; none before the first step, and for what is none."""
    entry = record.get(ENTRY)
    if not isinstance(entry, Mapping) or not isinstance(entry.get("parts"), Mapping):
        return None
    seconds, parts = _seconds(entry.get("seconds")), {name: _seconds(entry["parts"].get(name)) for name in PARTS}
    known = {name: each for name, each in parts.items() if each is not None}
    return Beginning(seconds, known) if seconds is not None else None


def _seconds(value: Any) -> float | None:
    found = as_number(value)
    return found if found is not None and 0 <= found <= MOST_SECONDS else None


def _time(seconds: float) -> str:
    return _("{seconds} s").format(seconds=f"{seconds:.1f}") if seconds < 60 else duration(seconds)
