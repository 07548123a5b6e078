"""What can be done on the list of LoRA files. Operations that make new files stand in ``tui/lora_operations.py``."""

from __future__ import annotations

from lora_tui.text import N_
from lora_tui.tui.actions import MAKING, METADATA, Action
from lora_tui.tui.lora_operations import OPERATIONS


def _quiet(name: str, keys: tuple[str, ...], title: str, text: str) -> Action:
    return Action(f"loras.{name}", keys, title, text, show=False)


LORAS_ACTIONS: tuple[Action, ...] = (
    Action("loras.read", ("enter", "r"), N_("info"), N_("All that the file says of itself, in full.")),
    Action("loras.filter", ("/",), N_("filter"), N_("Show only files that fit, such as family:flux rank>16 tag:hat.")),
    Action("loras.check", ("c",), N_("check"), N_("Look for numbers that are none, dead layers and unread keys.")),
    Action("loras.metadata", ("e",), N_("metadata"), N_("Look at every entry of the metadata, and edit them.")),
    Action("loras.copy", ("y",), N_("copy words"), N_("Copy the trigger words to the clipboard.")),
    Action("loras.mark", ("m", "insert"), N_("mark"), N_("Mark the file, or take its mark away.")),
    _quiet("mark-all", ("M",), N_("mark all"), N_("Mark all files that are shown, or take their marks away.")),
    Action("loras.sort", ("s",), N_("order"), N_("Order by name, date, size, rank or family.")),
    Action("loras.tags", ("t",), N_("tags"), N_("The tags of the training set by their frequency.")),
    Action("loras.run", ("R",), N_("its run"), N_("Show the run that wrote the file.")),
    Action("loras.add-folder", ("a",), N_("add folder"), N_("List the LoRA files of another folder, too; remembered.")),
    _quiet("drop-folder", ("D",), N_("leave out a folder"), N_("List a folder that was added no more.")),
    *(operation.action for operation in OPERATIONS),
)


def _over(name: str, keys: tuple[str, ...], title: str, text: str, context: str = METADATA) -> Action:
    return Action(f"{context}.{name}", keys, title, text, palette=False)


METADATA_ACTIONS: tuple[Action, ...] = (
    _over("save", ("w", "ctrl+s"), N_("write"), N_("Write the changes into the file; one backup is kept.")),
    _over("trigger", ("t",), N_("trigger words"), N_("The words that call up what was learned.")),
    _over("note", ("n",), N_("note"), N_("A note, where programs show the comment.")),
    _over("add", ("a",), N_("add"), N_("Write another entry.")),
    _over("remove", ("x", "delete"), N_("remove"), N_("Take the entry away, or let it stay after all.")),
    _over("undo", ("u",), N_("undo"), N_("Forget all changes that are not written.")),
    _over("read", ("r",), N_("read"), N_("The whole value.")),
    _over("restore", ("R",), N_("bring back"), N_("The file as it was before all edits.")),
)
"""What can be done in the metadata of a LoRA file, over the list."""

MAKING_ACTIONS: tuple[Action, ...] = (
    _over("write", ("w", "ctrl+s"), N_("write"), N_("Make the file; the work goes on when the form is left."), MAKING),
    _over("curve", ("c",), N_("curve"), N_("What files of each size would keep."), MAKING),
    _over("read", ("r",), N_("read"), N_("What it would come to, in full."), MAKING),
    _over("stop", ("s",), N_("stop"), N_("Stop the work; nothing is left of it."), MAKING),
)
"""What can be done in the form of an operation, over the list."""
