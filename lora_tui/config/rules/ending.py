"""A budget that says nothing that can be kept; the command that is run after a run."""

from __future__ import annotations

from collections.abc import Iterator

from lora_tui.config.findings import Finding, error, note
from lora_tui.config.schema import Config
from lora_tui.errors import UserError
from lora_tui.jobs.budget import parse_budget
from lora_tui.text import _, plain


def budget(config: Config) -> Iterator[Finding]:
    """Neither a time nor an amount of money."""
    try:
        parse_budget(config.ending.budget)
    except UserError as wrong:
        yield error("ending.budget", wrong.message, wrong.remedy, wrong.code)


def command(config: Config) -> Iterator[Finding]:
    """A command comes with a configuration, which may be somebody else's: it is shown before it is run."""
    words = config.ending.on_finish.strip()
    if "\0" in words:
        yield error("ending.on_finish", _("It has a NUL character in it."), _("Type it anew."), "ending.command")
    elif words:
        text = _("After the run this is run by the shell: {command}").format(command=plain(words, limit=300))
        yield note("ending.on_finish", text, "", "ending.on_finish")


RULES = (budget, command)
