"""How a run ends and who is told: its budget, a command after it, its alarms."""

from __future__ import annotations

from typing import Literal

from lora_tui.config.option import option
from lora_tui.config.schema.section import Section
from lora_tui.text.translate import N_


class EndingSection(Section):
    """Ending"""

    budget: str = option(
        "",
        N_("budget"),
        N_(
            "The run saves and stops in time to stay within it: a time such as 2h or 1h30m, or money such as 2.50 EUR "
            "at the project's price per hour. A resumed run has it anew. Empty: no limit."
        ),
        peers=("max_runtime", "time_limit"),
    )
    on_finish: str = option(
        "",
        N_("command at the end"),
        N_(
            "A shell command that is run after the run has ended in any way and everyone was told, such as one that "
            "stops the machine. LORA_TUI_STATE, LORA_TUI_REASON, LORA_TUI_RUN and others tell it what happened; never "
            "write a secret here."
        ),
    )
    alarms: Literal["all", "errors", "off"] = option(
        "all",
        N_("alarms"),
        N_(
            "What is looked for while it runs: everything, only what ends or endangers the run (NaN, death, full disk "
            "or memory), or nothing."
        ),
        labels=(("all", N_("all")), ("errors", N_("only grave ones")), ("off", N_("none"))),
        expert=True,
    )
