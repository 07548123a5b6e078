"""A budget that says nothing that can be kept."""

from __future__ import annotations

from collections.abc import Iterator

from lora_tui.config.findings import Finding, error
from lora_tui.config.schema import Config
from lora_tui.errors import UserError
from lora_tui.jobs.budget import parse_budget


def budget(config: Config) -> Iterator[Finding]:
    """Neither a time nor an amount of money."""
    try:
        parse_budget(config.ending.budget)
    except UserError as wrong:
        yield error("ending.budget", wrong.message, wrong.remedy, wrong.code)


RULES = (budget,)
