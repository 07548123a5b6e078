"""Settings that sd-scripts has no option for: kept in a table of their own in its TOML, where it passes them over."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

from lora_tui.config.fields import field_for
from lora_tui.config.load import parse_config
from lora_tui.config.mistakes import ConfigErrors
from lora_tui.config.schema import as_plain
from lora_tui.exchange.fate import Fate, Imported, Row, told_value
from lora_tui.families import FAMILIES
from lora_tui.files import open_file
from lora_tui.text import _

OURS = "lora_tui"
"""The table's name. sd-scripts reads every table as options and passes over those that it does not know."""

DESCRIBED, DIGEST = "described", "digest"
"""The table within it that says what a file of datasets cannot, and there what that file was when it was written."""


def family_told(table: Any) -> str:
    """The family that such a table names; empty where it names none that is known."""
    family = table.get("model.family") if isinstance(table, Mapping) else None
    return family if isinstance(family, str) and family in FAMILIES else ""


def digest_of(text: str) -> str:
    """What a file of datasets is known by."""
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def with_ours(found: Imported, table: Any, described: Path | None = None) -> Imported:
    """``found`` with the settings of such a table, which are exactly ours and are taken as they are.

    ``described`` is the file of datasets that the options name. What the table says beyond that file counts only while
    the file is as it was written.
    """
    if not isinstance(table, Mapping):
        return found
    data, rows = as_plain(found.config), list(found.rows)
    for shown, key, value in _entries(table):
        section, _dot, name = key.partition(".")
        why = ""
        if field_for(key) is None and key not in ("samples", "datasets"):
            rows.append(Row(shown, told_value(shown, value), Fate.UNKNOWN))
            continue
        if shown != f"{OURS}.{key}" and not _is_as_written(described, table[DESCRIBED].get(DIGEST)):
            note = _("the file of datasets was changed since")
            rows.append(Row(shown, told_value(shown, value), Fate.IDLE, {}, note))
            continue
        before = deepcopy(data[section])
        try:
            if name:
                data[section][name] = value
            else:
                data[section] = value
            parse_config(data)
        except (ConfigErrors, TypeError, KeyError) as error:
            data[section], why = before, str(error)
        fate = Fate.UNKNOWN if why else Fate.TAKEN
        rows.append(Row(shown, told_value(shown, value), fate, {} if why else {key: value}, why))
    return replace(found, config=parse_config(data), rows=tuple(rows))


def _entries(table: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """What the table says: where, of which setting, and its value."""
    for key, value in table.items():
        if key == DESCRIBED and isinstance(value, Mapping):
            for inner, one in value.items():
                if inner != DIGEST:
                    yield f"{OURS}.{DESCRIBED}.{inner}", str(inner), one
        else:
            yield f"{OURS}.{key}", str(key), value


def _is_as_written(described: Path | None, digest: object) -> bool:
    if described is None:
        return False
    try:
        with open_file(described) as file:
            return digest_of(file.read().decode("utf-8", "surrogateescape")) == digest
    except OSError:
        return False
