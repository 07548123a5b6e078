"""The marks and ornaments of the interface, each with its ASCII form. Marks never rely on colour alone."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Marks:
    """One set of marks; every one is a single cell wide in every terminal.

    ``cursor`` stands before the row that keys are for, ``resting`` before that of a list without the focus.
    """

    done: str = "✓"
    needs: str = "!"
    todo: str = "·"
    running: str = "●"
    empty: str = "∅"
    failed: str = "×"
    paused: str = "‖"
    cursor: str = "▌"
    resting: str = "▏"
    rule: str = "─"
    bar: str = "│"
    dot: str = "·"
    ellipsis: str = "…"
    times: str = "×"

    def of_severity(self, severity: str) -> str:
        """The mark before a problem: an ``error``, a ``warning``, or a ``note``."""
        return {"error": self.failed, "note": self.dot}.get(severity, self.needs)


UNICODE = Marks()
ASCII = Marks(
    done="v",
    needs="!",
    todo=".",
    running="*",
    empty="0",
    failed="x",
    paused="=",
    cursor=">",
    resting=":",
    rule="-",
    bar="|",
    dot="-",
    ellipsis="~",
    times="x",
)


def marks_of(app: object) -> Marks:
    """The marks that an app draws with."""
    found = getattr(app, "marks", None)
    return found if isinstance(found, Marks) else UNICODE
