"""The check of close-ups: a picture of one part from near, whose caption does not say so, is drawn so every time."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from lora_tui.dataset.coverage import shows
from lora_tui.dataset.problems import Problem
from lora_tui.dataset.scan import DatasetImage
from lora_tui.project import CONCRETE, PURPOSES
from lora_tui.text import _

CUT_OUT = 0.15
"""Share of a picture below which the part that a person cut out of it shows its subject from near."""


def check_closeup(image: DatasetImage, caption: str, purpose: str, seen: Collection[Path]) -> Problem | None:
    """What to say of an image that is a close-up without a word of it; none when there is nothing to say.

    Args:
        purpose: of pictures of eyes or hands, and where only the manner counts, nothing is said.
        seen: images that a tagger takes for close-ups.
    """
    if purpose == "element" or (purpose in PURPOSES and PURPOSES[purpose][0] != CONCRETE):
        return None
    if not (image.path in seen or _is_small_part(image)) or shows(caption, "framing", "closeup"):
        return None
    message = _("The picture is a close-up, and its caption does not say so.")
    remedy = _('Tag it with "close-up", so that the LoRA does not come that close every time.')
    return Problem(image.path, "image.close", message, remedy, "warning")


def _is_small_part(image: DatasetImage) -> bool:
    """Whether a person chose a small part of a large picture."""
    if image.crop is None:
        return False
    return image.crop.width * image.crop.height < CUT_OUT * image.facts.width * image.facts.height
