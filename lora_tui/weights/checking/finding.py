"""What a check of a LoRA file finds. Knows no torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from lora_tui.text import _, count, plain

Severity = Literal["error", "warning", "note"]
ORDER: tuple[Severity, ...] = ("error", "warning", "note")
NAMED = 3
"""Layers that a sentence names."""


@dataclass(frozen=True)
class Finding:
    """One thing that is so: ``error`` spoils what is drawn, ``warning`` may, a ``note`` is only said.

    Attributes:
        message, remedy: sentences, safe to show.
        layers: names in the file of the layers or tensors that it is about.
    """

    severity: Severity
    code: str
    message: str
    remedy: str = ""
    layers: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        data: dict[str, Any] = {"severity": self.severity, "code": self.code, "message": self.message}
        return data | {"remedy": self.remedy, "layers": list(self.layers)}


@dataclass(frozen=True)
class Verdict:
    """How a program reads the file: ``yes``, ``part``, ``no`` or ``unknown``, and why not all of it."""

    program: str
    reads: Literal["yes", "part", "no", "unknown"]
    why: str = ""


@dataclass(frozen=True)
class LoraCheck:
    """What is said of one file. ``values`` were looked at, of so many tensors; none where they could not be."""

    path: Path
    findings: tuple[Finding, ...]
    family: str = ""
    kind: str = ""
    layout: str = ""
    readers: tuple[Verdict, ...] = ()
    tensors: int = 0
    values: int | None = None
    numbers: dict[str, Any] = field(default_factory=dict)

    @property
    def problems(self) -> tuple[Finding, ...]:
        """What is more than a note."""
        return tuple(finding for finding in self.findings if finding.severity != "note")

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "file": self.path, "family": self.family, "kind": self.kind, "layout": self.layout,
            "tensors": self.tensors, "values": self.values, "numbers": self.numbers,
            "readers": {one.program: {"reads": one.reads, "why": one.why} for one in self.readers},
            "findings": [finding.as_dict() for finding in self.findings], "problems": len(self.problems),
        }  # fmt: skip


def by_gravity(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Errors first, each kind in the order in which it was found."""
    return tuple(sorted(findings, key=lambda finding: ORDER.index(finding.severity)))


def named(names: Iterable[str]) -> str:
    """The first few names, and how many more there are."""
    names = tuple(names)
    text = ", ".join(plain(name, limit=100) for name in names[:NAMED])
    if len(names) > NAMED:
        text = _("{names} and {count} more").format(names=text, count=count(len(names) - NAMED))
    return text
