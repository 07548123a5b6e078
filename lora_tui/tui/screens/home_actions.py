"""What can be done on the start screen."""

from __future__ import annotations

from lora_tui.text import N_
from lora_tui.tui.actions import Action

HOME_ACTIONS: tuple[Action, ...] = (
    Action("home.open", ("enter",), N_("open"), N_("Go where the row under the cursor leads.")),
    Action("home.read", ("r",), N_("read"), N_("What the row says and what to do about it, in full.")),
    Action(
        "home.start", ("ctrl+r",), N_("start training"), N_("Start the run that the parameters describe; asks first.")
    ),
    Action("home.new-project", ("n",), N_("new project"), N_("Make a project: its folder, purpose and trigger word.")),
    Action("home.open-project", ("o",), N_("open"), N_("Open another project or a folder of images."), palette=False),
    Action("home.next-part", ("tab",), N_("next part"), N_("From the road to the advice and on."), show=False),
)
