"""What can be done while a part of an image is chosen."""

from __future__ import annotations

from lora_tui.text import N_
from lora_tui.tui.actions import CROP, Action, keys_of


def _over(name: str, keys: tuple[str, ...], title: str, help_: str, *, show: bool = False) -> Action:
    return Action(f"{CROP}.{name}", keys, title, help_, palette=False, show=show)


CROP_ACTIONS: tuple[Action, ...] = (
    _over("next", ("enter", "n", "pagedown"), N_("next"), N_("On to the next image; this part is kept."), show=True),
    _over("leave", ("escape", "q"), N_("end"), N_("Back to the dataset; this part is kept."), show=True),
    _over("undo", ("u",), N_("undo"), N_("Undo the last change of this part."), show=True),
    _over("whole", ("x", "delete"), N_("whole"), N_("Use the whole image again."), show=True),
    _over("shape", ("r",), N_("shape"), N_("Choose the ratio of the sides: any, 2:3, a bucket's."), show=True),
    _over("snap", ("s",), N_("exact"), N_("The size of its bucket in px, then twice, three times that."), show=True),
    _over("subject", ("a",), N_("subject"), N_("Put the part where the picture's subject seems to be."), show=True),
    _over("centre", ("c",), N_("centre"), N_("Put the part into the middle of the image."), show=True),
    _over("zoom", ("z",), N_("near"), N_("Look at the part from near, or at the whole image."), show=True),
    _over("previous", ("p", "pageup"), N_("image before"), N_("To the image before; this part is kept."), show=True),
    _over("redo", ("U",), N_("redo"), N_("Do again what was undone last."), show=True),
    _over("numbers", ("e",), N_("numbers"), N_("Type corner and size in px."), show=True),
    _over(
        "same", ("A",), N_("all of this size"), N_("Use this part for the other images of the same size; asks."),
        show=True,
    ),
    _over("larger", ("+", "="), N_("larger"), N_("Larger about its middle, in its shape.")),
    _over("smaller", ("-",), N_("smaller"), N_("Smaller about its middle, in its shape.")),
    _over("finer", (",",), N_("finer steps"), N_("Each key moves by less: a tenth, a cell, 8 px, 1 px.")),
    _over("coarser", (".",), N_("coarser steps"), N_("Each key moves by more: 1 px, 8 px, a cell, a tenth.")),
    _over("left", ("left", "h"), N_("left"), N_("The part to the left.")),
    _over("right", ("right", "l"), N_("right"), N_("The part to the right.")),
    _over("up", ("up", "k"), N_("up"), N_("The part upwards.")),
    _over("down", ("down", "j"), N_("down"), N_("The part downwards.")),
    _over("narrower", ("shift+left", "H"), N_("narrower"), N_("The right edge to the left.")),
    _over("wider", ("shift+right", "L"), N_("wider"), N_("The right edge to the right.")),
    _over("lower", ("shift+up", "K"), N_("shorter"), N_("The lower edge upwards.")),
    _over("taller", ("shift+down", "J"), N_("taller"), N_("The lower edge downwards.")),
    _over("free", ("0",), N_("any shape"), N_("Width and height change one without the other.")),
    _over("square", ("1",), "1:1", N_("A square.")),
    _over("two-three", ("2",), "2:3", N_("Two wide, three high.")),
    _over("three-two", ("3",), "3:2", N_("Three wide, two high.")),
    _over("three-four", ("4",), "3:4", N_("Three wide, four high.")),
    _over("four-three", ("5",), "4:3", N_("Four wide, three high.")),
    _over("bucket", ("6",), N_("bucket's shape"), N_("The shape of the nearest bucket: nothing is cut away.")),
    *keys_of(CROP),
)  # fmt: skip
