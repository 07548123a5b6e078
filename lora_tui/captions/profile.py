"""How a trainer will read caption files: which endings, which lines, what separates and what is fixed. Data only.

The facts are those of the trainers named, each as it reads a folder of images with its defaults.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lora_tui.errors import UserError
from lora_tui.text.translate import _

Lines = Literal["first", "all", "one_random"]


@dataclass(frozen=True, slots=True)
class Profile:
    """What one trainer makes of a caption file.

    Attributes:
        name: as a person names it on the command line.
        extensions: endings of caption files with their dot, in the order in which they are looked for.
        new_extension: the ending that a new caption file gets.
        lines: ``first`` reads the first line that is not blank, ``all`` the whole file, ``one_random`` takes one of
            the lines each time.
        line: with ``first``, which of the lines that are not blank is meant, from 1; another than the first is for
            whoever edits it, no trainer reads it so.
        separator: what stands between tags.
        keep_tokens: this many tags at the front stay where they are; those that are tied together count as one.
        keep_separator: what ends the fixed front and begins the fixed end of a caption; empty where the trainer knows
            none.
        keeps_marks: the trainer takes that mark away only where it shuffles; elsewhere it trains it as text.
        secondary_separator: what ties tags to one unit that is moved as a whole; empty where the trainer knows none.
        wildcards: the trainer chooses one of ``{a|b}``.
        weights: the trainer reads ``(tag:1.2)``; elsewhere it is plain text.
        empty_text: what a caption file holds that has lost its last tag, for trainers that stop at one of no bytes.
    """

    name: str
    extensions: tuple[str, ...] = (".txt", ".caption")
    new_extension: str = ".txt"
    lines: Lines = "first"
    line: int = 1
    separator: str = ","
    keep_tokens: int = 0
    keep_separator: str = "|||"
    keeps_marks: bool = False
    secondary_separator: str = ";;;"
    wildcards: bool = False
    weights: bool = False
    empty_text: str = ""


OURS = Profile("ours")

PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        OURS,
        Profile("sd-scripts", extensions=(".caption",), new_extension=".caption", keeps_marks=True, empty_text="\n"),
        Profile("musubi", extensions=(".txt",), lines="all", keep_separator="", secondary_separator=""),
        Profile("ai-toolkit", extensions=(".txt",), lines="all", keep_separator="", secondary_separator=""),
        Profile(
            "onetrainer",
            extensions=(".txt",),
            lines="one_random",
            keep_tokens=1,
            keep_separator="",
            secondary_separator="",
        ),
    )
}
"""The profiles that are ready made, by name; a trainer that was told other things is ``replace(profile, ...)``."""


def profile_named(name: str) -> Profile:
    """The ready-made profile of this name.

    Raises:
        UserError: ``captions.profile`` when there is none.
    """
    try:
        return PROFILES[name]
    except KeyError:
        raise UserError(
            _("There is no such trainer profile."),
            place=name,
            remedy=_("Choose one of: {names}.").format(names=", ".join(PROFILES)),
            code="captions.profile",
        ) from None
