"""One finding about the machine."""

from __future__ import annotations

from dataclasses import asdict, dataclass

OK, NOTE, WARNING, ERROR = "ok", "note", "warning", "error"
"""``note`` is something optional that is not there; ``error`` is something essential that fails."""


@dataclass(frozen=True)
class Check:
    """What was looked at and what was seen.

    Attributes:
        group: ``software``, ``training``, ``machine`` or ``terminal``.
        name: a short stable identifier for scripts, such as ``torch`` or ``tmux.escape-time``.
        status: ``ok``, ``note``, ``warning`` or ``error``.
        title: what was looked at, translated.
        text: what was seen, translated; outside text in it is plain.
        remedy: what to do; empty when nothing is to be done.
    """

    group: str
    name: str
    status: str
    title: str
    text: str
    remedy: str = ""

    def as_dict(self) -> dict[str, str]:
        return asdict(self)
