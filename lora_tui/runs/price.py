"""What the machine costs, as the record of a run has it, and whether a budget in money can be kept with that."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lora_tui.errors import UserError
from lora_tui.jobs.budget import parse_budget
from lora_tui.jobs.events import as_number
from lora_tui.text.plain import plain
from lora_tui.text.translate import _


def price_entries(runs_dir: Path) -> dict[str, Any]:
    """``price_per_hour`` and ``currency`` of the project that ``runs_dir`` belongs to; empty without a price."""
    from lora_tui.project import Project

    try:
        project = Project.find(runs_dir)
    except UserError:  # a damaged project file is told where the project is opened, and is no reason not to train
        return {}
    if project is None or project.price_per_hour <= 0:
        return {}
    return {"price_per_hour": project.price_per_hour, "currency": project.currency}


def check_budget(text: str, record: Mapping[str, Any]) -> None:
    """Refuse a budget that could not be kept.

    Raises:
        UserError: it is none (``budget.value``), or it is money and the run's record has no price (``budget.price``) or
            another currency (``budget.currency``).
    """
    budget = parse_budget(text)
    if budget is not None:
        budget.within(as_number(record.get("price_per_hour")) or 0.0)
        currency = str(record.get("currency") or "")
        if budget.money and currency.isalpha() and budget.currency.isalpha() and differ(currency, budget.currency):
            raise UserError(
                _("The price of this machine is in {currency}, not in {other}.").format(
                    currency=plain(currency, limit=20), other=plain(budget.currency)
                ),
                place="ending.budget",
                remedy=_("Give the budget in {currency}, or a time such as 2h.").format(
                    currency=plain(currency, limit=20)
                ),
                code="budget.currency",
            )


def differ(one: str, other: str) -> bool:
    """Whether two names of currencies are not the same word."""
    return one.casefold() != other.casefold()
