"""What a check of a configuration says: one sentence, the field it is about, and what to do."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """One thing to know before a run.

    Attributes:
        severity: ``error`` (the run would fail or learn nothing), ``warning`` (probably not what was
            meant) or ``note`` (good to know).
        field: the dotted name of the setting, ``network.alpha``; empty when it is about the whole.
        message: what is the case, in the current language.
        remedy: what to do about it; empty for a note that asks for nothing.
        code: a stable name for scripts and tests, ``network.alpha_above_rank``.
    """

    severity: Severity
    field: str
    message: str
    remedy: str
    code: str

    def as_dict(self) -> dict[str, str]:
        """The finding as plain data for ``--json``."""
        return asdict(self)


def error(field: str, message: str, remedy: str, code: str) -> Finding:
    """A finding that stops a run from starting."""
    return Finding("error", field, message, remedy, code)


def warning(field: str, message: str, remedy: str, code: str) -> Finding:
    """A finding that lets a run start."""
    return Finding("warning", field, message, remedy, code)


def note(field: str, message: str, remedy: str, code: str) -> Finding:
    """A finding that asks for nothing."""
    return Finding("note", field, message, remedy, code)
