"""Words for many problems of one kind, each of which has words of its own."""

from __future__ import annotations

from lora_tui.text import N_, _

_TITLES = {
    "image.damaged": N_("Images are damaged or cut short."),
    "image.unreadable": N_("Images cannot be read."),
    "image.too_large": N_("Images have far too many pixels."),
    "image.identical": N_("The same files are there more than once."),
    "image.similar": N_("Images are nearly the same as others."),
    "image.cut": N_("Much of the image is cut away to fit its bucket."),
    "image.small": N_("Images are small and are enlarged."),
    "image.ending": N_("Names of images say another format than they are."),
    "image.extreme": N_("Images are very long or very wide."),
    "image.held_out": N_("Images are held out for validation whose mirror image is trained."),
    "image.twice": N_("The same files are read more than once."),
    "image.repeats": N_("Images are shown very often in one epoch."),
    "caption.other_ending": N_("Captions have an ending that is not read."),
    "caption.shared": N_("Several images have one caption."),
    "caption.doubled": N_("Tags come twice."),
    "folder.unreadable": N_("Folders cannot be read."),
}
_OTHER = N_("There is something else to look at.")
_REMEDIES = {"caption.missing": N_("Write one beside each image, named like it.")}


MENDABLE = frozenset(
    {
        "caption.bom",
        "caption.comma",
        "caption.doubled",
        "caption.empty_tag",
        "caption.mixed_newlines",
        "caption.more_lines",
        "caption.undecodable",
        "caption.wide",
        "trigger.case",
        "trigger.missing",
    }
)
"""Problems for which ``captions lint --fix`` knows a change that mends them."""


def title_of(code: str) -> str:
    """A heading over the problems of a kind."""
    return _(_TITLES.get(code, _OTHER))


def remedy_of(code: str) -> str:
    """What to do about problems of a kind that each have a remedy of their own; empty where their own are needed."""
    return _(_REMEDIES[code]) if code in _REMEDIES else ""
