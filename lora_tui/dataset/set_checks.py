"""The checks of a dataset as a whole: how many images, how alike they are, what they show and what is missing."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from lora_tui.dataset.coverage import ENOUGH, coverage
from lora_tui.dataset.problems import Problem
from lora_tui.dataset.scan import DatasetImage, Scan
from lora_tui.project import CONCRETE, GENERAL, PURPOSES
from lora_tui.text import N_, _, count

#: Usual numbers of images: (least, most) for concrete things, least for general impressions.
CONCRETE_RANGE = (20, 50)
CONCRETE_USUAL = 30
GENERAL_LEAST = 50
#: Share of images that are like another one from which on the set itself is too alike.
MAX_ALIKE = 0.2
#: Captions beyond which nobody looks for what is missing by hand.
MOST_COVERED = 5_000

Told = Mapping[Path, Collection[str]]
"""Tags of images."""


def check_number(scan: Scan, purpose: str) -> Iterator[Problem]:
    """Whether there are as many images as are usual for a purpose."""
    images = len(scan.images)
    folder = _common_folder(scan)
    if not images:
        message = _("There is no image to train on.")
        yield Problem(folder, "dataset.empty", message, _("Put images into the folder."))
        return
    kind = PURPOSES[purpose][0] if purpose in PURPOSES else ""
    title = _(PURPOSES[purpose][1]) if kind else ""
    low, high = CONCRETE_RANGE
    if kind == CONCRETE and not low <= images <= high:
        many = images > high
        text = (
            N_("{images} images is many for this purpose ({purpose}): {low} to {high} is usual.")
            if many
            else N_("{images} images is few for this purpose ({purpose}): {low} to {high} is usual.")
        )
        remedy = (
            N_("Keep the best and most different ones; about {usual} do.")
            if many
            else N_("Add different views of it; about {usual} do.")
        )
        message = _(text).format(images=count(images), purpose=title, low=low, high=high)
        code = "dataset.many" if many else "dataset.few"
        yield _warning(folder, code, message, _(remedy).format(usual=CONCRETE_USUAL))
    if kind == GENERAL and images < GENERAL_LEAST:
        message = _("{images} images is few for this purpose ({purpose}): {low} and more is usual.").format(
            images=count(images), purpose=title, low=GENERAL_LEAST
        )
        yield _warning(folder, "dataset.few", message, _("Add images of other subjects in the same manner."))


def check_set(
    images: Sequence[DatasetImage], purpose: str, texts: Sequence[str], told: Told | None = None
) -> Iterator[Problem]:
    """What captions and taggers say that a set lacks, for a purpose that needs all sides of something.

    Args:
        texts: the caption of each image, empty where there is none.
        told: tags that a tagger is sure of.
    """
    concrete = purpose in PURPOSES and PURPOSES[purpose][0] == CONCRETE
    if not concrete or not ENOUGH <= len(texts) <= MOST_COVERED:
        return
    scores = [dict.fromkeys(told.get(image.path, ()), 1.0) for image in images] if told else None
    found = coverage(texts, purpose=purpose, scores=scores)
    folder = _folder_of([image.path for image in images])
    if found.missing:
        kinds = ", ".join(
            _("{aspect}: {kind}").format(aspect=aspect.title, kind=kind.title) for aspect, kind in found.missing
        )
        message = _("No image shows: {kinds}.").format(kinds=kinds)
        remedy = _("Add such images if the LoRA should draw them; see: lora-tui dataset coverage")
        yield Problem(folder, "set.missing", message, remedy, "note")
    for aspect in found.aspects:
        if (kind := aspect.alone) is not None:
            message = _("Nearly all images that say so are of one kind: {aspect}: {kind}.").format(
                aspect=aspect.title, kind=kind.title
            )
            yield _warning(folder, "set.one_kind", message, _("Add others, or it is drawn so every time."))


def check_alike(images: Sequence[DatasetImage], found: Sequence[Problem]) -> Iterator[Problem]:
    """Whether too many of the images are like others, by the groups in ``found``."""
    groups = (problem for problem in found if problem.code in ("image.identical", "image.similar"))
    alike = len({path for problem in groups for path in (problem.path, *problem.others)})
    if len(images) >= ENOUGH and alike > MAX_ALIKE * len(images):
        message = _("{share:.0%} of the images are nearly the same as another one.").format(share=alike / len(images))
        remedy = _("Replace them by different ones: the LoRA learns what repeats by heart.")
        yield _warning(_folder_of([image.path for image in images]), "set.alike", message, remedy)


def _warning(path: Path, code: str, message: str, remedy: str) -> Problem:
    return Problem(path, code, message, remedy, "warning")


def _common_folder(scan: Scan) -> Path:
    return _folder_of([*(image.path for image in scan.images), *(problem.path for problem in scan.problems)])


def _folder_of(paths: Sequence[Path]) -> Path:
    """The folder that holds them all."""
    return Path(os.path.commonpath([os.fspath(path.parent) for path in paths])) if paths else Path()
