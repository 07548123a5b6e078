"""What can be done on the start screen."""

from __future__ import annotations

from lora_tui.text import N_
from lora_tui.tui.actions import Action

HOME_ACTIONS: tuple[Action, ...] = (
    Action("home.open", ("enter",), N_("open"), N_("Go to the step, or do what the advice says.")),
    Action("home.new-project", ("n",), N_("new project"), N_("Make a project in a folder: purpose, trigger word.")),
)
