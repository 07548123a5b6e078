"""What can be done on the screen that prepares images."""

from __future__ import annotations

from lora_tui.text import N_
from lora_tui.tui.actions import Action

PREPARE = "prepare"
"""The context of these actions; the screen lies over the dataset's."""

PREPARE_ACTIONS: tuple[Action, ...] = (
    Action("prepare.edit", ("enter",), N_("change"), N_("Change the setting; among the images, show one large.")),
    Action("prepare.other-pane", ("tab", "shift+tab"), N_("images"), N_("From the settings to the images, and back.")),
    Action("prepare.zoom", ("z",), N_("large"), N_("Before and after as large as they go, and back.")),
    Action("prepare.start", ("ctrl+r",), N_("start"), N_("Prepare the images in the background.")),
    Action("prepare.pause", ("p",), N_("pause"), N_("Let the preparation rest, or go on.")),
    Action("prepare.stop", ("s",), N_("stop"), N_("End after the images in hand; what is done stays.")),
    Action("prepare.go-on", ("c",), N_("go on"), N_("Go on with a preparation that rests, was stopped, or died.")),
    Action("prepare.use", ("a",), N_("train on them"), N_("Put the new folder in the place of the old one.")),
    Action("prepare.again", ("o",), N_("settings"), N_("Back to the settings, for another preparation.")),
    Action("prepare.undo", ("u",), N_("undo"), N_("Undo the last change of the settings.")),
    Action("prepare.refused", ("n",), N_("next refused"), N_("To the next image of which nothing can be made.")),
    Action(
        "prepare.read", ("r",), N_("read"), N_("All that is known of the image or the setting; at the end the report.")
    ),
    Action(
        "prepare.turn-on",
        ("right", "space"),
        N_("next value"),
        N_("The next value of a setting; among the images, the next of the files made of one."),
        show=False,
        palette=False,
    ),
    Action(
        "prepare.turn-back",
        ("left",),
        N_("value before"),
        N_("The value before, of a setting; among the images, the file before."),
        show=False,
        palette=False,
    ),
)
