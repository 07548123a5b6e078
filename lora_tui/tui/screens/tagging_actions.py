"""What can be done in what a tagging lays over a screen: its form, its progress, and the tuning of its thresholds."""

from __future__ import annotations

from lora_tui.text import N_
from lora_tui.tui.actions import ASKING, TAGGING, TUNING, Action, keys_of


def _over(context: str, name: str, keys: tuple[str, ...], title: str, help_: str, *, show: bool = True) -> Action:
    return Action(f"{context}.{name}", keys, title, help_, palette=False, show=show)


TAGGING_ACTIONS: tuple[Action, ...] = (
    _over(TAGGING, "start", ("ctrl+r",), N_("ask the models"), N_("Ask the models; captions are written afterwards.")),
    _over(TAGGING, "more", ("right", "space"), N_("next value"), N_("The next value of the row, or 0.01 more.")),
    _over(TAGGING, "less", ("left",), N_("value before"), N_("The value before, or 0.01 less."), show=False),
    _over(TAGGING, "remove", ("delete", "x"), N_("remove"), N_("Take the model of the row away."), show=False),
    _over(ASKING, "pause", ("p",), N_("pause or go on"), N_("Let the models rest after the image in hand, or go on.")),
    _over(ASKING, "stop", ("s",), N_("stop"), N_("Stop asking; what was answered is kept.")),
    _over(TUNING, "write", ("enter",), N_("write captions"), N_("Write what is shown; undo takes it back.")),
    _over(TUNING, "less", ("left", "h"), N_("lower"), N_("The threshold 0.01 lower, or the value before.")),
    _over(TUNING, "more", ("right", "l"), N_("higher"), N_("The threshold 0.01 higher, or the next value.")),
    _over(TUNING, "much-less", ("[",), N_("much lower"), N_("The threshold 0.1 lower."), show=False),
    _over(TUNING, "much-more", ("]",), N_("much higher"), N_("The threshold 0.1 higher."), show=False),
    _over(TUNING, "next-pane", ("tab",), N_("pane"), N_("Thresholds, tags, images, and round again.")),
    _over(TUNING, "previous-pane", ("shift+tab",), N_("pane before"), N_("To the pane before."), show=False),
    _over(TUNING, "next-image", ("J", "n"), N_("next image"), N_("To the next image, from any pane.")),
    _over(TUNING, "previous-image", ("K", "p"), N_("image before"), N_("To the image before."), show=False),
    _over(
        TUNING, "drop", ("x",), N_("leave out"),
        N_("Among tags, never write this one; else leave the caption of this image as it is. Again takes it back."),
    ),
    _over(TUNING, "drop-image", ("X",), N_("not this image"), N_("Leave its caption as it is."), show=False),
    _over(
        TUNING, "with-tag", ("f",), N_("its images"),
        N_("Only the images whose captions get or lose the tag; again shows all."),
    ),
    _over(TUNING, "order", ("o",), N_("order"), N_("Tags by number, or by what changed since you began to tune.")),
    _over(TUNING, "leave", ("escape", "q"), N_("write nothing"), N_("Back; answers and thresholds are kept.")),
    *keys_of(TUNING),
)  # fmt: skip
