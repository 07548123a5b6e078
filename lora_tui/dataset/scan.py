"""Finding the images of datasets with their facts, repeats and captions.

Headers are read; only files that seem cut short are decoded.

Understood: plain folders, nested folders, and kohya's ``N_name`` folders. Hidden files and folders are
skipped, ``.lora-tui`` among them, and the folders of runs. Links to folders are followed, each real folder once.
Masks are told apart from images, and what a person noted in ``.lora-tui/dataset.toml`` is obeyed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lora_tui.background import uncollected
from lora_tui.captions.files import CAPTION_EXTENSIONS, IMAGE_SUFFIXES, pick_sidecar, with_dots
from lora_tui.captions.masks import masks_among
from lora_tui.config.entries import settings_of
from lora_tui.dataset.buckets import Box, Size
from lora_tui.dataset.facts import ImageFacts, read_facts
from lora_tui.dataset.notes import Layer, clean, crop_in, is_excluded
from lora_tui.dataset.problems import Problem, problem, problem_of, unsupported
from lora_tui.dataset.verdicts import Verdicts
from lora_tui.dataset.walk import walk
from lora_tui.errors import UserError
from lora_tui.text import N_, _, count, ngettext

if TYPE_CHECKING:
    from lora_tui.config.schema import Config

__all__ = [
    "CAPTION_EXTENSIONS",
    "IMAGE_SUFFIXES",
    "DatasetImage",
    "ImageFacts",
    "Problem",
    "Scan",
    "natural_key",
    "read_facts",
    "scan_datasets",
    "scan_folder",
]

#: Pictures that are not read, named so that they are not left out in silence.
OTHER_SUFFIXES = frozenset({".heic", ".heif", ".jxl", ".psd", ".svg", ".dng", ".cr2", ".nef", ".arw"})

_DIGITS = re.compile(r"(\d+)")

Progress = Callable[[int], None]
Stop = Callable[[], bool]
EARLY = (256, 2_048, 16_384)
"""Images after which those found so far are shown to whoever waits for more: at once, and then seldom."""
MaskSource = Literal["off", "file", "alpha"]
"""Where masks come from: nowhere, from files, from the images' own transparency."""


@dataclass(frozen=True, slots=True)
class DatasetImage:
    """One image of a dataset.

    Attributes:
        path: the file.
        relative: its place below the dataset's folder, with ``/``; bytes that are no UTF-8 are escaped.
        dataset: index of the dataset in the configuration.
        repeats: how often it is shown in one epoch, at least 1.
        facts: what its header says.
        caption_path: its caption file, none when there is none.
        crop: the part of it that a person chose, px as it is shown; none for the whole.
        mask_path: its mask, none when there is none.
    """

    path: Path
    relative: str
    dataset: int
    repeats: int
    facts: ImageFacts
    caption_path: Path | None
    crop: Box | None = None
    mask_path: Path | None = None

    @property
    def width(self) -> int:
        """Of what is used of the image, px as it is shown; ``height`` likewise."""
        return self.facts.width if self.crop is None else self.crop.width

    @property
    def height(self) -> int:
        return self.facts.height if self.crop is None else self.crop.height

    @property
    def uid(self) -> str:
        """The image's name among all datasets of a run."""
        return f"{self.dataset}/{self.relative}"


def has_mask(image: DatasetImage, source: MaskSource) -> bool:
    """Whether an image has a mask of this kind, by its headers."""
    return image.mask_path is not None if source == "file" else source == "alpha" and image.facts.alpha


@dataclass(frozen=True)
class Scan:
    """What was found.

    Attributes:
        complete: false when the scan was stopped early.
        ordered: the images are known to stand in natural order of their names, dataset after dataset; putting a
            hundred thousand in order again takes a second.
        excluded: images that a person left out; nothing else names them.
    """

    images: tuple[DatasetImage, ...]
    problems: tuple[Problem, ...] = ()
    complete: bool = True
    ordered: bool = field(default=False, compare=False)
    excluded: tuple[DatasetImage, ...] = ()


def natural_key(name: str) -> tuple[tuple[int | str, ...], str]:
    """Sorts ``img2`` before ``img10``, case aside; names that differ only in case or zeros keep a fixed order."""
    parts: list[int | str] = _DIGITS.split(name.casefold())  # text and digits by turns, so that like meets like
    parts[1::2] = map(int, parts[1::2])
    return tuple(parts), name


@uncollected()
def scan_folder(
    folder: Path,
    *,
    dataset: int = 0,
    repeats: int = 0,
    extensions: Sequence[str] = CAPTION_EXTENSIONS,
    on_progress: Progress | None = None,
    should_stop: Stop | None = None,
    on_early: Callable[[Scan], None] | None = None,
) -> Scan:
    """The images below ``folder``.

    Args:
        folder: the dataset's folder; it may itself be named ``N_name``.
        dataset: its index among the datasets of a run.
        repeats: how often each image is shown in one epoch; 0 takes the number from the nearest folder
            named ``N_name``, else 1.
        extensions: endings of caption files, in order; the first that exists is the image's caption.
        on_progress: called with the number of images looked at so far, now and then.
        should_stop: asked now and then; once it says yes, the scan ends and is not complete.
        on_early: called with what was found so far, after each of :data:`EARLY` images.

    Raises:
        UserError: the folder is missing, is none, or cannot be listed (``dataset.missing``), or its notes cannot be
            read, see :func:`~lora_tui.dataset.notes.load_notes`.
    """
    images: list[DatasetImage] = []
    excluded: list[DatasetImage] = []
    problems: list[Problem] = []
    pictures: list[str] = []
    endings, verdicts, seen = with_dots(extensions), Verdicts(), 0
    finished = partial(_finished, folder, pictures, images, excluded, problems)
    for found in walk(folder, repeats, problems):
        names = frozenset(found.files)
        for name in found.files:
            stem, dot, suffix = name.rpartition(".")
            kind = dot + suffix.lower()
            if kind in OTHER_SUFFIXES:
                problems.append(unsupported(found.path / name))
                pictures.append(found.relative + clean(name))
            if kind not in IMAGE_SUFFIXES:
                continue
            if seen % 64 == 0:
                if should_stop is not None and should_stop():
                    return finished(complete=False)
                _tell(seen, finished, on_progress, on_early)
            seen += 1
            path = found.path / name
            pictures.append(found.relative + clean(name))
            if (facts := _sound(path, verdicts, problems)) is None:
                continue
            caption = pick_sidecar(stem, names, endings)
            beside = found.path / caption if caption else None
            image = DatasetImage(path, pictures[-1], dataset, found.repeats, facts, beside)
            if found.notes and is_excluded(found.notes, clean(name)):
                excluded.append(image)
            else:
                images.append(_cropped(image, found.notes, problems) if found.notes else image)
    _tell(seen, finished, on_progress)
    return finished()


def _tell(
    seen: int,
    finished: Callable[..., Scan],
    on_progress: Progress | None,
    on_early: Callable[[Scan], None] | None = None,
) -> None:
    """Say how far it is."""
    if on_progress is not None:
        on_progress(seen)
    if on_early is not None and seen in EARLY:
        on_early(finished(complete=False))


def _sound(path: Path, verdicts: Verdicts, problems: list[Problem]) -> ImageFacts | None:
    """The facts of an image that can be read; what speaks against another is added to ``problems``."""
    try:
        facts = read_facts(path)
        damage = verdicts.damage(path, facts)
    except UserError as error:
        damage = error
    if damage is None:
        return facts
    problems.append(problem_of(path, damage))
    return None


def scan_datasets(
    config: Config,
    *,
    on_progress: Progress | None = None,
    should_stop: Stop | None = None,
    on_early: Callable[[Scan], None] | None = None,
) -> Scan:
    """The images of all datasets of a configuration that are in use, in order. Arguments as for :func:`scan_folder`.

    Raises:
        UserError: a dataset's folder is missing or cannot be listed.
    """
    images: list[DatasetImage] = []
    excluded: list[DatasetImage] = []
    problems: list[Problem] = []
    seen = 0
    for index, entry in enumerate(config.datasets):
        if not entry.use:
            continue
        if not entry.path:  # as a path it would be the current folder
            raise UserError(
                _("No dataset folder is named."),
                place=f"datasets.{index}.path",
                remedy=_("Give a folder of images with their captions."),
                code="dataset.missing",
            )
        scan = scan_folder(
            Path(entry.path),
            dataset=index,
            repeats=entry.repeats,
            extensions=settings_of(config, index).captions.extensions,
            on_progress=_counting_from(seen, on_progress),
            should_stop=should_stop,
            on_early=None if on_early is None or seen >= EARLY[0] else on_early,
        )
        images.extend(scan.images)
        excluded.extend(scan.excluded)
        seen = len(images)
        problems.extend(scan.problems)
        if not scan.complete:
            return Scan(tuple(images), tuple(problems), complete=False, ordered=True, excluded=tuple(excluded))
    return Scan(tuple(images), tuple(problems), ordered=True, excluded=tuple(excluded))


def _counting_from(start: int, on_progress: Progress | None) -> Progress | None:
    return None if on_progress is None else lambda done: on_progress(start + done)


def _cropped(image: DatasetImage, notes: tuple[Layer, ...], problems: list[Problem]) -> DatasetImage:
    """The image with the crop that its notes have for it, if that was made on the image as it is now."""
    crop = crop_in(notes, clean(image.path.name))
    if crop is None:
        return image
    if crop.of != Size(image.facts.width, image.facts.height):
        message = N_("The image has another size than when its crop was chosen, so the whole image is used.")
        problems.append(problem(image.path, "image.crop", message, N_("Choose the crop again."), "warning"))
        return image
    return replace(image, crop=crop.box)


def _finished(
    folder: Path,
    pictures: list[str],
    images: list[DatasetImage],
    excluded: list[DatasetImage],
    problems: list[Problem],
    *,
    complete: bool = True,
) -> Scan:
    """What was found, in order; what it is made of stays as it is."""
    images, masks = _without_masks(pictures, images)
    images, excluded = (
        sorted(some, key=lambda image: (image.dataset, natural_key(image.relative))) for some in (images, excluded)
    )
    problems = list(problems)
    if masks:
        text = ngettext(
            "{number} picture is the mask of an image and is not trained as one.",
            "{number} pictures are masks of images and are not trained as such.",
            len(masks),
        )
        remedy = _("If they are images, move them out of the folder called masks.")
        message = text.format(number=count(len(masks)))
        problems.append(Problem(folder, "image.mask", message, remedy, "note", tuple(masks)))
    if excluded:
        text = ngettext("{number} image is left out by hand.", "{number} images are left out by hand.", len(excluded))
        message, remedy = text.format(number=count(len(excluded))), _("See: lora-tui dataset notes DIR")
        paths = tuple(image.path for image in excluded)
        problems.append(Problem(folder, "image.excluded", message, remedy, "note", paths))
    problems.sort(key=lambda problem: natural_key(os.fspath(problem.path)))
    return Scan(tuple(images), tuple(problems), complete, ordered=True, excluded=tuple(excluded))


def _without_masks(pictures: list[str], images: list[DatasetImage]) -> tuple[list[DatasetImage], list[Path]]:
    """The images, each with its mask, and the masks.

    Args:
        pictures: the names of all pictures that were found. The mask of one that is left out, or that cannot be read,
            is a mask all the same.
    """
    owners = masks_among(chain((image.relative for image in images), pictures))
    if not owners:
        return images, []
    masks: dict[str, Path] = {}
    for image in images:
        if image.relative in owners:
            masks.setdefault(owners[image.relative], image.path)
    kept = (image for image in images if image.relative not in owners)
    found = [replace(image, mask_path=masks.get(image.relative)) for image in kept]
    return found, [image.path for image in images if image.relative in owners]
