"""The filter and the orders of LoRA files: ``family:flux rank>16 tag:hat -is:broken``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from lora_tui.loras.files import LoraFile
from lora_tui.records.order import sorted_by
from lora_tui.records.query import Get, Language, Test, parse
from lora_tui.text.translate import N_

Row = Callable[[LoraFile], Any]

FIELDS: dict[str, Row] = {
    "name": lambda one: (one.name, *one.titles),
    "folder": lambda one: str(one.path.parent),
    "family": lambda one: one.family,
    "kind": lambda one: one.kind,
    "layout": lambda one: one.layout,
    "rank": lambda one: one.rank,
    "alpha": lambda one: one.alpha,
    "step": lambda one: one.step or None,
    "size": lambda one: one.size,
    "date": lambda one: one.modified,
    "base": lambda one: one.base,
    "trigger": lambda one: one.triggers,
    "tag": lambda one: one.tags,
}
"""Name of a field -> what a file has there: a number, a text, several, or none."""

OTHER_NAMES = {"dim": "rank", "network_dim": "rank", "network_alpha": "alpha", "model": "base", "type": "kind"} | {
    "tags": "tag", "triggers": "trigger", "steps": "step", "path": "folder", "changed": "date",
}  # fmt: skip

KINDS: dict[str, Callable[[LoraFile], bool]] = {
    "broken": lambda one: one.problem is not None,
    "trigger": lambda one: bool(one.triggers),
    "tags": lambda one: bool(one.tags),
    "tagged": lambda one: bool(one.tags),
    "unknown": lambda one: one.family == "unknown",
    "checkpoint": lambda one: one.path.parent.name == "checkpoints",
}
"""What stands behind ``is:`` and ``has:``."""

ORDERS: tuple[tuple[str, str], ...] = (
    ("", N_("folder and name")),
    ("name", N_("name")),
    ("-date", N_("when it was written, the newest first")),
    ("-size", N_("size, the largest first")),
    ("-rank", N_("rank, the highest first")),
    ("family", N_("model family")),
)
_SORTED: dict[str, Row] = {**FIELDS, "name": lambda one: one.name}


def _field(name: str) -> Get | None:
    name = name.casefold()
    return FIELDS.get(OTHER_NAMES.get(name, name))


def _texts(one: LoraFile) -> Iterable[str]:
    return one.path.name, one.path.parent.name, one.family, one.kind, *one.titles, *one.triggers, *one.tags


LANGUAGE = Language(
    FIELDS,
    _field,
    KINDS,
    _texts,
    ("date", "changed"),
    N_("No field of a LoRA file is called {name}."),
    N_("A LoRA file cannot be {name}."),
    N_("Fields are {names}."),
)


def parse_filter(text: str) -> Test:
    """The filter as a test of a file; an empty one holds for all.

    Raises:
        FilterError: it is none.
    """
    return parse(text, LANGUAGE)


def ordered(files: Iterable[LoraFile], order: str) -> list[LoraFile]:
    """The files in one of the :data:`ORDERS`; those that are equal in it by folder and name."""
    by_place = sorted(files, key=lambda one: (str(one.path.parent), one.name.casefold(), one.name))
    if not order:
        return by_place
    return sorted_by(by_place, _SORTED[order.removeprefix("-")], largest_first=order.startswith("-"))
