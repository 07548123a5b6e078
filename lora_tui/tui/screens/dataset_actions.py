"""What can be done on the dataset screen."""

from __future__ import annotations

from lora_tui.text import N_
from lora_tui.tui.actions import Action

DATASET_ACTIONS: tuple[Action, ...] = (
    Action("dataset.zoom", ("enter", "z"), N_("large"), N_("Show the picture as large as it goes, and back.")),
    Action("dataset.filter", ("/",), N_("filter"), N_("Show only files whose name has these words.")),
    Action("dataset.problems", ("p",), N_("problems"), N_("Show only files with problems, or all again.")),
    Action("dataset.next-problem", ("n",), N_("next"), N_("To the next file with a problem.")),
    Action(
        "dataset.read",
        ("r",),
        N_("read"),
        N_("The problems, remedies and caption of this file in full."),
    ),
    Action("dataset.order", ("s",), N_("order"), N_("Order by name, by size, or problems first.")),
)
