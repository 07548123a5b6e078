"""What can be done with grids: on their list, in one of them, and with the picture of a cell."""

from __future__ import annotations

from lora_tui.text import N_
from lora_tui.tui.actions import Action


def _quiet(name: str, keys: tuple[str, ...], title: str, text: str) -> Action:
    return Action(f"grids.{name}", keys, title, text, show=False)


GRIDS_ACTIONS: tuple[Action, ...] = (
    Action("grids.open", ("enter",), N_("open"), N_("Open the grid; in it the cell's picture, as large as it fits.")),
    Action("grids.new", ("n",), N_("new grid"), N_("Choose what varies and see what it takes before it is drawn.")),
    Action("grids.blink", ("b",), N_("blink base"), N_("The base model's picture in the cell's place, and back.")),
    Action("grids.best", ("x",), N_("best"), N_("Note the cell's file and strength as the best of its run.")),
    Action("grids.undo", ("u",), N_("undo"), N_("Undo what was noted as the best.")),
    Action("grids.add", ("+",), N_("add values"), N_("Add values to an axis, such as strength=1.2, 1.4; draws them.")),
    Action("grids.mark", ("m",), N_("mark"), N_("Mark the cell that others are compared with, or take the mark away.")),
    Action("grids.compare", ("c",), N_("compare"), N_("The marked cell beside the one under the cursor.")),
    Action("grids.next-page", ("tab",), N_("next page"), N_("The next prompt, or what else pages of the grid are.")),
    _quiet("page-before", ("shift+tab",), N_("page before"), N_("The page before.")),
    Action("grids.sheet", ("o",), N_("sheet"), N_("Where its sheets, tables and the page for a browser are.")),
    Action("grids.score", ("e",), N_("score"), N_("Likeness, fit to the prompt and more, and what to take.")),
    Action("grids.read", ("r",), N_("read"), N_("The cell in full: settings, prompt, numbers, why it failed.")),
    Action("grids.larger", ("z",), N_("larger"), N_("Larger pictures; arrows move over those that do not fit.")),
    _quiet("smaller", ("Z",), N_("smaller"), N_("Smaller pictures, down to the size that shows most cells.")),
    Action("grids.pause", ("p",), N_("pause, go on"), N_("Let the drawing rest, or go on; draw what is missing.")),
    Action("grids.stop", ("s",), N_("stop"), N_("End the drawing; what is drawn stays, and it can go on later.")),
    _quiet("run", ("R",), N_("its run"), N_("Show the run whose files the grid compares.")),
    _quiet("generate", ("i",), N_("generate"), N_("Pictures of the base model, with LoRA files or none.")),
    _quiet("tasks", ("t",), N_("tasks"), N_("Work in the background: progress, warnings, results.")),
    _quiet("left", ("left", "h"), N_("cell before"), N_("To the cell at the left.")),
    _quiet("right", ("right", "l"), N_("next cell"), N_("To the cell at the right.")),
)
