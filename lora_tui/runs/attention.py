"""Which kernel computes the attention of a run, as its record says it. Knows no torch: commands and screens read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from lora_tui.jobs.events import as_number
from lora_tui.text import _, plain

ENTRY = "attention"
"""Its name in the record of a run."""
LONGEST = 20
"""Characters of a name that are shown."""


@dataclass(frozen=True)
class Attention:
    """What the settings ``asked`` for, and the ``kernel`` that it came to on the ``device`` of that name.

    ``kernel`` is ``torch`` where each call is as torch chooses. ``seconds``: a step's passes with each one that was
    measured.
    """

    asked: str
    kernel: str
    device: str
    seconds: Mapping[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """As plain values, for event and record."""
        return {**asdict(self), "seconds": {name: round(each, 5) for name, each in self.seconds.items()}}

    def words(self) -> str:
        """The kernel, in a word or two."""
        if self.kernel == "torch":
            return _("attention as torch chooses")
        return _("attention: {kernel}").format(kernel=plain(self.kernel, limit=LONGEST))

    def sentence(self) -> str:
        """The same with what was measured."""
        if not self.seconds:
            return self.words()
        text = _("attention: {kernel} (measured: {times})")
        times = [
            _("{name} {time} ms").format(name=plain(name), time=f"{1000 * each:.4g}")
            for name, each in sorted(self.seconds.items(), key=lambda entry: entry[1])
        ]
        return text.format(kernel=plain(self.kernel, limit=LONGEST), times=_(", ").join(times))


def attention_of(record: Mapping[str, Any]) -> Attention | None:
    """What a record says of it; none where the settings asked for none, and for what is none."""
    entry = record.get(ENTRY)
    if not isinstance(entry, Mapping):
        return None
    asked, kernel, device = (entry.get(name) for name in ("asked", "kernel", "device"))
    if not isinstance(asked, str) or not isinstance(kernel, str) or not isinstance(device, str):
        return None
    told = entry.get("seconds")
    seconds = {str(name): as_number(value) for name, value in told.items()} if isinstance(told, Mapping) else {}
    return Attention(asked, kernel, device, {name: each for name, each in seconds.items() if each is not None})
