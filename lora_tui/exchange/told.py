"""Settings that sd-scripts has no option for: kept in a table of their own in its TOML, where it passes them over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lora_tui.config.fields import field_for
from lora_tui.config.load import parse_config
from lora_tui.config.mistakes import ConfigErrors
from lora_tui.config.schema import as_plain
from lora_tui.exchange.fate import Fate, Imported, Row, told_value
from lora_tui.families import FAMILIES

OURS = "lora_tui"
"""The table's name. sd-scripts reads every table as options and passes over those that it does not know."""


def family_told(table: Any) -> str:
    """The family that such a table names; empty where it names none that is known."""
    family = table.get("model.family") if isinstance(table, Mapping) else None
    return family if isinstance(family, str) and family in FAMILIES else ""


def with_ours(found: Imported, table: Any) -> Imported:
    """``found`` with the settings of such a table, which are exactly ours and are taken as they are."""
    if not isinstance(table, Mapping):
        return found
    data, rows = as_plain(found.config), list(found.rows)
    for key, value in table.items():
        section, _dot, name = str(key).partition(".")
        shown = f"{OURS}.{key}"
        if field_for(str(key)) is None and key != "samples":
            rows.append(Row(shown, told_value(shown, value), Fate.UNKNOWN))
            continue
        before = data[section][name] if name else data[section]
        try:
            if name:
                data[section][name] = value
            else:
                data[section] = value
            parse_config(data)
        except (ConfigErrors, TypeError, KeyError) as error:
            if name:
                data[section][name] = before
            else:
                data[section] = before
            rows.append(Row(shown, told_value(shown, value), Fate.UNKNOWN, {}, str(error)))
            continue
        rows.append(Row(shown, told_value(shown, value), Fate.TAKEN, {str(key): value}))
    return replace(found, config=parse_config(data), rows=tuple(rows))
