"""What the keeper noted of the end of a run: its budget, its cost, and the command that was run after it."""

from __future__ import annotations

from lora_tui.jobs.events import as_number
from lora_tui.runs.record import read_record
from lora_tui.runs.status import RunStatus
from lora_tui.text.plain import plain
from lora_tui.text.translate import _

ENTRY = "ending"
"""Its place in the record, see :mod:`lora_tui.jobs.care`."""


def after_lines(status: RunStatus) -> list[str]:
    """The same in words, a line each; none while the run lives, and of one without a keeper's note."""
    entry = {} if status.alive else read_record(status.run).get(ENTRY)
    entry = entry if isinstance(entry, dict) else {}
    budget, cost, after = entry.get("budget"), as_number(entry.get("cost")), entry.get("on_finish")
    lines = []
    if isinstance(budget, dict) and budget.get("reached"):
        said = plain(str(budget.get("said")), limit=60)
        lines.append(_("It stopped for its budget of {budget}.").format(budget=said))
    if cost is not None:
        currency = plain(str(entry.get("currency") or ""), limit=20)
        lines.append(_("It cost {cost}.").format(cost=f"{cost:.2f} {currency}".strip()))
    if isinstance(after, dict):
        command = plain(str(after.get("command")), limit=200)
        told = _("not ended") if after.get("exit_status") is None else plain(str(after["exit_status"]), limit=20)
        lines.append(_("After it: {command} (status {status})").format(command=command, status=told))
    return lines
