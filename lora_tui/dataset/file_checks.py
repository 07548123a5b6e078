"""The checks of a dataset's image files that need headers alone: endings, orientation, colours, files read twice."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import lru_cache

from lora_tui.dataset.problems import Problem
from lora_tui.dataset.scan import DatasetImage
from lora_tui.text import _

#: Formats that an ending of a name stands for.
_FORMATS = {
    ".png": {"PNG"},
    ".jpg": {"JPEG", "MPO"},
    ".jpeg": {"JPEG", "MPO"},
    ".jfif": {"JPEG"},
    ".webp": {"WEBP"},
    ".gif": {"GIF"},
    ".bmp": {"BMP", "DIB"},
    ".tif": {"TIFF"},
    ".tiff": {"TIFF"},
    ".avif": {"AVIF"},
}

EXTREME = 3.0
"""Longer by shorter side from which on a shape is extreme: no bucket of the usual ones is as narrow."""


def check_file(image: DatasetImage) -> Iterator[Problem]:
    """What is odd about an image's file as its header tells."""
    facts = image.facts
    ending = image.path.suffix.lower()
    if facts.format not in _FORMATS.get(ending, {facts.format}):
        message = _("The file's name says {ending}, and it is {format}.").format(
            ending=ending.removeprefix(".").upper(), format=facts.format
        )
        remedy = _("Rename it: some programs go by the name and refuse it.")
        yield Problem(image.path, "image.ending", message, remedy, "note")
    if facts.orientation != 1:
        message = _("The image is turned by a note in its EXIF data; it is trained as that says.")
        remedy = _("Programs that do not read EXIF show it lying: dataset prepare writes it upright.")
        yield Problem(image.path, "image.turned", message, remedy, "note")
    if facts.colours == "CMYK":
        message = _("The image is stored for print (CMYK); it is converted to RGB without its profile.")
        remedy = _("See whether its colours are right: dataset prepare converts them by the profile.")
        yield Problem(image.path, "image.cmyk", message, remedy, "note")
    elif facts.colours:
        message = _("The image has 16 bits a channel; it is trained with 8.")
        remedy = _("See whether it is not too dark: dataset prepare writes 8 bits.")
        yield Problem(image.path, "image.deep", message, remedy, "note")
    longer, shorter = max(image.width, image.height), max(min(image.width, image.height), 1)
    if longer / shorter >= EXTREME:
        message = _("One side of the image is {ratio:.1f} times the other.").format(ratio=longer / shorter)
        remedy = _("Cut the part that matters: much of it is lost in any bucket.")
        yield Problem(image.path, "image.extreme", message, remedy, "warning")


def check_twice(images: Sequence[DatasetImage], resolutions: Sequence[int] = ()) -> Iterator[Problem]:
    """Files that are read more than once, because datasets overlap or links lead to them.

    Those of two datasets with other ``resolutions`` (px, one a dataset) are meant to be.
    """
    places: defaultdict[tuple[str, int], list[DatasetImage]] = defaultdict(list)
    real_folder = lru_cache(os.path.realpath)
    for image in images:
        resolution = resolutions[image.dataset] if image.dataset < len(resolutions) else 0
        folder, name = os.path.split(image.path)
        # The folders above are looked at once, and not anew for every file in them.
        place = os.path.realpath(image.path) if image.path.is_symlink() else f"{real_folder(folder)}/{name}"
        places[place, resolution].append(image)
    for members in places.values():
        if len(members) > 1:
            first, *others = members
            datasets = {image.dataset for image in members}
            if len(datasets) > 1:
                message = _("The same file is in {number} datasets at once.").format(number=len(datasets))
                remedy = _("Take it out of all but one; repeats show an image more often.")
            else:
                message = _("The same file is read {number} times through links.").format(number=len(members))
                remedy = _("Remove the links; repeats show an image more often.")
            yield Problem(first.path, "image.twice", message, remedy, "warning", tuple(image.path for image in others))
