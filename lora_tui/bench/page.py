"""The page of results: a section for each command that was measured, written by ``bench NAME ... --write PAGE``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

TITLE = """# Measurements

Each section was written by the command that it names, with `--write docs/benchmarks.md`; a section is replaced when its
command is run again on the same machine. What a figure is held to stands in its third column. Ratios are medians of
pairs taken in turns, with an interval that holds the median with 95%.
"""


def put(page: str, result: Mapping[str, Any], when: datetime | None = None) -> str:
    """``page`` with the section of ``result`` (what ``--json`` prints), in the place of an older one or at its end."""
    section = _section(result, when or datetime.now(UTC))
    head = section.partition("\n")[0]
    text = page.strip() or TITLE.strip()
    parts = re.split(r"(?m)^(?=## )", text)
    for number, part in enumerate(parts):
        if part.partition("\n")[0] == head and _machine(part) == _machine(section):
            parts[number] = section
            return "\n\n".join(one.strip() for one in parts) + "\n"
    return "\n\n".join(one.strip() for one in (*parts, section)) + "\n"


def _machine(section: str) -> str:
    return next((line for line in section.splitlines() if line.startswith("Machine: ")), "")


def _section(result: Mapping[str, Any], when: datetime) -> str:
    place, versions = result["machine"], result["versions"]
    told = [*place["gpus"], place["processor"], f"{place['cores']} cores", f"{place['memory_bytes'] / 1e9:.0f} GB"]
    lines = [
        f"## `lora-tui bench {' '.join((result['bench'], *result['options']))}`",
        "",
        f"Machine: {', '.join(told)}.",
        f"Measured on {when:%Y-%m-%d} with {', '.join(f'{name} {version}' for name, version in versions.items())}.",
        "",
        "| what | measured | held to | |",
        "|---|---|---|---|",
    ]
    for row, measure in zip(result["rows"], result["measures"], strict=True):
        detail = f" ({measure['detail']})" if measure["detail"] else ""
        cells = (row[0] + detail, *row[1:])
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)
