"""What can be done on the list of runs."""

from __future__ import annotations

from lora_tui.text import N_
from lora_tui.tui.actions import Action

RUNS_ACTIONS: tuple[Action, ...] = (
    Action("runs.open", ("enter",), N_("open"), N_("Show the run on the training screen, living or ended.")),
    Action("runs.resume", ("R",), N_("resume"), N_("Go on with a run that was stopped or died.")),
    Action("runs.read", ("r",), N_("read"), N_("How the run ended and what to do, its settings and files, in full.")),
    Action("runs.files", ("o",), N_("files"), N_("Where the files of the run are.")),
    Action("runs.settings", ("t",), N_("settings"), N_("The configuration of the run, as it is in its folder.")),
)
