"""What can be done in the queue."""

from __future__ import annotations

from lora_tui.text import N_
from lora_tui.tui.actions import Action

QUEUE_ACTIONS: tuple[Action, ...] = (
    Action("queue.open", ("enter",), N_("open"), N_("Show the run on the training screen, or the work in full.")),
    Action("queue.hold", ("h",), N_("hold, release"), N_("Put the job aside, or let it go on; it keeps its place.")),
    Action("queue.up", ("K", "shift+up"), N_("earlier"), N_("Move the waiting job one place up.")),
    Action("queue.down", ("J", "shift+down"), N_("later"), N_("Move the waiting job one place down.")),
    Action("queue.first", ("F",), N_("first"), N_("Move the waiting job before all others."), show=False),
    Action("queue.after", ("a",), N_("after"), N_("Let the job wait until others are done.")),
    Action("queue.retry", ("R",), N_("retry"), N_("Put a job that failed or was stopped back: it goes on.")),
    Action("queue.remove", ("D",), N_("remove"), N_("Take the job out of the queue; runs and files stay.")),
    Action("queue.stop", ("s",), N_("stop"), N_("Ask the running job to save and end.")),
    Action("queue.read", ("r",), N_("read"), N_("All that is known of the job.")),
    Action("queue.log", ("o",), N_("log"), N_("The end of what the job printed."), show=False),
    Action("queue.hold-all", ("H",), N_("hold all"), N_("Start nothing new, or go on; what is running goes on.")),
    Action("queue.process", ("P",), N_("start, stop the queue"), N_("The queue's process; jobs go on."), show=False),
    Action("queue.clear", ("C",), N_("clear"), N_("Take out all that has ended; runs and files stay."), show=False),
)
