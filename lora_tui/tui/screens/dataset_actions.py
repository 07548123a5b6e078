"""What can be done on the dataset screen."""

from __future__ import annotations

from lora_tui.text import N_
from lora_tui.tui.actions import ALIKE, Action, keys_of


def _quiet(name: str, keys: tuple[str, ...], title: str, help_: str) -> Action:
    return Action(f"dataset.{name}", keys, title, help_, show=False)


DATASET_ACTIONS: tuple[Action, ...] = (
    Action("dataset.zoom", ("enter", "z"), N_("large"), N_("Show the picture as large as it goes, and back.")),
    Action("dataset.grid", ("v",), N_("pictures"), N_("Show the images as pictures side by side, or as a list.")),
    Action(
        "dataset.filter",
        ("/",),
        N_("filter"),
        N_("Show only images that an expression finds; plain words find names of files and tags."),
    ),
    Action("dataset.mark", ("m", "insert"), N_("mark"), N_("Mark the image, or take its mark away.")),
    Action("dataset.exclude", ("x",), N_("leave out"), N_("Leave images out of training and export, or take them in.")),
    Action("dataset.trash", ("D", "delete"), N_("trash"), N_("Put images and their captions into the trash; asks.")),
    Action("dataset.undo", ("u",), N_("undo"), N_("Undo what was done last: left out, moved, trashed, fixed.")),
    Action("dataset.problems", ("p",), N_("problems"), N_("Show only files with problems, or all again.")),
    Action("dataset.next-problem", ("n",), N_("next"), N_("To the next file with a problem.")),
    Action(
        "dataset.read",
        ("r",),
        N_("read"),
        N_("The problems, remedies and caption of this file in full."),
    ),
    Action("dataset.order", ("s",), N_("order"), N_("Order by name, size, shape, tags, sharpness, time and more.")),
    _quiet("alike", ("d",), N_("duplicates"), N_("Images that are the same or nearly the same, side by side.")),
    _quiet("crop", ("c",), N_("crop"), N_("Choose by hand the part of an image that is used, image after image.")),
    _quiet("numbers", ("i",), N_("in numbers"), N_("Sizes, shapes, buckets, tags and what the images show, as bars.")),
    _quiet("tag", ("t",), N_("tag"), N_("Tag images with models: tags or sentences, tuned before they are written.")),
    _quiet("fix", ("f",), N_("fix"), N_("Fix captions; name a blur or a close-up in them; previewed.")),
    _quiet("move", ("o",), N_("move"), N_("Move images with captions and all that belongs to them to another folder.")),
    _quiet("reviewed", ("R",), N_("reviewed"), N_("Note that the pictures were looked at and found right, or not.")),
    _quiet("prepare", ("space p",), N_("prepare images"), N_("Crop, resize, pad, convert into a new folder.")),
    _quiet("source", ("space s",), N_("source"), N_("Note where the images are from, and their licence.")),
    Action(
        "dataset.tasks",
        ("space b",),
        N_("in the background"),
        N_("Tagging, preparing, work on LoRA files: what goes on or has ended, its progress and results; stop, go on."),
        show=False,
        palette=False,
    ),
    _quiet("trash-list", ("space x",), N_("open the trash"), N_("What lies in the trash: bring it back, or empty it.")),
    _quiet("backwards", ("S",), N_("backwards"), N_("The same order from its other end.")),
    _quiet("mark-range", ("V",), N_("mark range"), N_("Mark from the last marked image to this one.")),
    _quiet("mark-all", ("*",), N_("mark all shown"), N_("Mark every image of the list.")),
    _quiet("mark-invert", ("~",), N_("invert marks"), N_("Marked images of the list become unmarked, others marked.")),
    _quiet("mark-none", ("M",), N_("no marks"), N_("Take all marks away.")),
    _quiet("larger", ("+",), N_("larger"), N_("Fewer pictures, each larger.")),
    _quiet("smaller", ("-",), N_("smaller"), N_("More pictures, each smaller.")),
    _quiet("left", ("left", "h"), N_("left"), N_("One picture to the left.")),
    _quiet("right", ("right", "l"), N_("right"), N_("One picture to the right.")),
)


def _over(name: str, keys: tuple[str, ...], title: str, help_: str, *, show: bool = True) -> Action:
    return Action(f"{ALIKE}.{name}", keys, title, help_, palette=False, show=show)


ALIKE_ACTIONS: tuple[Action, ...] = (
    _over(
        "keep", ("enter", "x"), N_("leave out others"), N_("Keep this one, leave out the other images of the group.")
    ),
    _over("trash", ("D", "delete"), N_("trash others"), N_("Put the other images into the trash; asks.")),
    _over("fine", ("f",), N_("all are fine"), N_("They are alike on purpose: the check says no more of them.")),
    _over("next", ("n", "down", "j"), N_("next group"), N_("To the next group.")),
    _over("previous", ("p", "up", "k"), N_("group before"), N_("To the group before."), show=False),
    _over("left", ("left", "h"), N_("left"), N_("One picture to the left."), show=False),
    _over("right", ("right", "l"), N_("right"), N_("One picture to the right."), show=False),
    _over("leave", ("escape", "q"), N_("end"), N_("Back to the dataset.")),
    *keys_of(ALIKE),
)
"""What can be done in the review of duplicates."""
