"""Runs in the order of one of their fields."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from lora_tui.errors import UserError
from lora_tui.records.fields import FIELDS, field_of
from lora_tui.records.rows import Row
from lora_tui.text.plain import plain
from lora_tui.text.translate import _

T = TypeVar("T")


def ordered(rows: Iterable[Row], field: str) -> list[Row]:
    """The rows by ``field``, the smallest first; with ``-`` in front the largest. Those without a value come last.

    An empty ``field`` leaves them as they are.

    Raises:
        UserError: ``runs.field``, no run has such a field.
    """
    rows = list(rows)
    if not field:
        return rows
    get = field_of(field.removeprefix("-"))
    if get is None:
        raise UserError(
            _("No field of a run is called {name}.").format(name=plain(field, limit=40)),
            remedy=_("Fields are {names}, and every setting, such as network.rank.").format(names=", ".join(FIELDS)),
            code="runs.field",
        )
    return sorted_by(rows, get, largest_first=field.startswith("-"))


def sorted_by(rows: Iterable[T], get: Callable[[T], Any], *, largest_first: bool = False) -> list[T]:
    """The rows by what ``get`` says of each, numbers before texts; those of which it says nothing come last."""
    rows = list(rows)
    known = [(key, row) for row in rows if (key := _key(get(row))) is not None]
    known.sort(key=lambda one: one[0], reverse=largest_first)
    there = {id(row) for _key_, row in known}
    return [row for _key_, row in known] + [row for row in rows if id(row) not in there]


def _key(value: Any) -> tuple[int, float, str] | None:
    if isinstance(value, tuple):
        value = " ".join(str(one) for one in value if one is not None)
    if value is None or value == "":
        return None
    if isinstance(value, (int, float)):
        return None if math.isnan(value) else (0, float(value), "")
    return (1, 0.0, str(value).casefold())
