"""The plan of a preparation: what will become of each image, before any pixel is looked at."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lora_tui.dataset.buckets import Box
from lora_tui.dataset.prepare.carried import Folders, Mask, MaskFolder, mask_beside
from lora_tui.dataset.prepare.geometry import MOST_TILES, Fitted, fit, is_small, parts_of
from lora_tui.dataset.prepare.names import ENDINGS, file_stem, flaw_of, folder_for, suffix
from lora_tui.dataset.prepare.options import Options, checked
from lora_tui.dataset.prepare.parts import check_parts
from lora_tui.dataset.problems import Problem
from lora_tui.dataset.scan import DatasetImage, Scan, scan_folder
from lora_tui.errors import UserError
from lora_tui.text import N_, _, plain

NOTE_WORDS: Mapping[str, str] = {
    "crop": N_("crop chosen by hand"),
    "split": N_("split"),
    "small": N_("small: not enlarged"),
    "enlarged": N_("enlarged"),
    "alpha": N_("transparent areas are filled"),
    "animated": N_("animated: the first frame"),
    "turned": N_("turned upright"),
    "mask": N_("with its mask"),
}
"""What may be said of an image in a plan or report, by its code."""

BYTES_PER_PIXEL = {"png": 1.7, "jpeg": 0.55, "webp": 0.35}
"""Of photographs, about; drawings take less."""

STOP_EVERY = 256
"""Images between two questions whether to stop."""

Progress = Callable[[int], None]
Stop = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Piece:
    """A file that will be written: its name below the destination, how it is fitted, the name of its mask if any."""

    name: str
    fitted: Fitted
    flipped: bool = False
    mask_name: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """An image and what will become of it.

    Attributes:
        number: among all images of the source, from 1; one that it got in an earlier run stays its own.
        pieces: the files that will be made of it.
        copies: the files that are copied with it, and their new names below the destination.
        mask: its mask.
        notes: codes of :data:`NOTE_WORDS`.
    """

    image: DatasetImage
    number: int
    pieces: tuple[Piece, ...]
    copies: tuple[tuple[str, str], ...] = ()
    mask: Mask | None = None
    notes: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The image's name among those of the source."""
        return self.image.relative

    @property
    def cut(self) -> float:
        """The share that is cut away of the image, or of the part of it that was chosen by hand."""
        return max(piece.fitted.cut for piece in self.pieces)

    @property
    def names(self) -> Iterator[str]:
        """Every file that will be written for it, below the destination."""
        for piece in self.pieces:
            yield piece.name
            if piece.mask_name:
                yield piece.mask_name
        for _source, name in self.copies:
            yield name


@dataclass(frozen=True)
class Plan:
    """What a preparation will do.

    Attributes:
        source: the folder that is read, absolute.
        items: what will be written, in the natural order of the images.
        refused: images of which nothing can be made, with the reason and what to do.
        left_out: images that are not wanted, by hand or by the options.
        warnings: what else was found in the source.
        complete: false when the source was not read to its end.
    """

    source: Path
    options: Options
    items: tuple[Item, ...]
    refused: tuple[Problem, ...] = ()
    left_out: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    complete: bool = True

    @cached_property
    def files(self) -> int:
        """Images that will be written."""
        return sum(len(item.pieces) for item in self.items)

    @cached_property
    def disk_bytes(self) -> int:
        """Space that the new images will take, about."""
        each = BYTES_PER_PIXEL[self.options.format]
        sizes = (piece.fitted.size for item in self.items for piece in item.pieces)
        return round(sum(size.width * size.height for size in sizes) * each)


def make_plan(
    source: Path,
    options: Options,
    *,
    numbers: Mapping[str, int] | None = None,
    on_progress: Progress | None = None,
    should_stop: Stop | None = None,
) -> Plan:
    """What preparing the images below ``source`` will do. Reads names and headers, and writes nothing.

    Args:
        numbers: those that images have already, by their keys, from
            :func:`~lora_tui.dataset.prepare.work.known_numbers`; the others get numbers that nothing ever had.
        on_progress: called with the number of images looked at, now and then.
        should_stop: asked now and then; once it says yes, the plan ends and is not complete.

    Raises:
        UserError: an option is wrong or a part that it needs is missing; the source cannot be read.
    """
    check_parts(checked(options))
    _mask_folder(options)  # one that is missing is said before anything is read
    scan = scan_folder(rooted(source), on_progress=on_progress, should_stop=should_stop)
    return plan_scan(scan, source, options, numbers=numbers, should_stop=should_stop)


def plan_scan(
    scan: Scan,
    source: Path,
    options: Options,
    *,
    numbers: Mapping[str, int] | None = None,
    should_stop: Stop | None = None,
) -> Plan:
    """The same for images that were read already, as when one option after the other is tried on them.

    Args:
        scan: of ``source`` alone.
        numbers: as in :func:`make_plan`.

    Raises:
        UserError: an option is wrong or a part that it needs is missing.
    """
    check_parts(checked(options))
    root = rooted(source)
    planner = _Planner(root, options, _mask_folder(options))
    complete = scan.complete
    for place, (image, number) in enumerate(_numbered(scan.images, numbers or {}), start=1):
        if place % STOP_EVERY == 0 and should_stop is not None and should_stop():
            complete = False
            break
        planner.add(image, number)
    return Plan(
        root,
        options,
        tuple(planner.items),
        (*(one for one in scan.problems if one.severity == "error"), *planner.refused),
        (*_excluded(scan), *planner.left_out),
        tuple(one for one in scan.problems if one.severity != "error" and one.code != "image.excluded"),
        complete,
    )


def _numbered(images: Sequence[DatasetImage], known: Mapping[str, int]) -> Iterator[tuple[DatasetImage, int]]:
    """Each image with its number: the one that it has, else its place, where nothing ever had that, else a new one."""
    used = frozenset(known.values())
    unused = max((len(images), *used))
    for place, image in enumerate(images, start=1):
        number = known.get(image.relative)
        if number is None and place in used:
            number = unused = unused + 1
        yield image, number or place


def plan_one(image: DatasetImage, source: Path, options: Options) -> Item:
    """What preparing one image of ``source`` will do, for a preview.

    Raises:
        UserError: an option is wrong, or nothing can be made of the image.
    """
    check_parts(checked(options))
    planner = _Planner(rooted(source), options, _mask_folder(options))
    planner.add(image, 1)
    for problem in (*planner.refused, *planner.left_out):
        raise UserError(problem.message, place=plain(str(problem.path)), remedy=problem.remedy, code=problem.code)
    return planner.items[0]


def rooted(folder: Path) -> Path:
    """A folder as plans and work files name it: absolute and without ``..``, links not followed."""
    return Path(os.path.abspath(folder))  # noqa: PTH100 - resolve() follows links


def _mask_folder(options: Options) -> MaskFolder | None:
    if not options.masks:
        return None
    root = Path(options.masks).expanduser().absolute()
    if not root.is_dir():
        raise UserError(
            _("There is no such folder of masks."),
            place=plain(str(root)),
            remedy=_("Name the folder in which masks have the names of the images."),
            code="prepare.masks",
        )
    return MaskFolder(root)


def _excluded(scan: Scan) -> Iterable[Problem]:
    for image in scan.excluded:
        yield Problem(image.path, "image.excluded", _("It is left out by hand."), "", "note")


class _Planner:
    """Adds up the items of a plan; no two files get one name."""

    def __init__(self, source: Path, options: Options, masks: MaskFolder | None) -> None:
        self.items: list[Item] = []
        self.refused: list[Problem] = []
        self.left_out: list[Problem] = []
        self._source, self._options, self._masks = source, options, masks
        self._folders = Folders()
        self._taken: dict[str, Path] = {}
        self._known: dict[str, str] = {}
        self._fits: dict[Box, Fitted | None] = {}

    def add(self, image: DatasetImage, number: int) -> None:
        whole = image.crop if self._options.crops else None
        part = whole or Box(0, 0, image.facts.width, image.facts.height)
        parts = parts_of(part, self._options)
        if len(parts) > MOST_TILES:
            message = _("The image is so long that it would become {number} pieces.").format(number=len(parts))
            self._refuse(image, "prepare.long", message, _("Cut it yourself, or do not split."))
            return
        fitted = [self._fit(one) for one in parts]
        found = [one for one in fitted if one is not None]
        if len(found) < len(fitted):
            self._too_small(image)
            return
        item = self._item(image, number, found)
        if item is not None:
            self.items.append(item)

    def _fit(self, part: Box) -> Fitted | None:
        """Images of one size share what is found for it."""
        if part not in self._fits:
            self._fits[part] = fit(part, self._options)
        return self._fits[part]

    def _item(self, image: DatasetImage, number: int, fitted: list[Fitted]) -> Item | None:
        place, _slash, file = os.fspath(image.path).rpartition("/")
        old = file.rpartition(".")[0]
        inside = self._inside(place)
        folder = folder_for(image, inside, self._options)
        mask = self._mask(image, inside)
        captions = self._folders.captions(place, old)
        pieces: list[Piece] = []
        copies: list[tuple[str, str]] = []
        for part, one in enumerate(fitted):
            for flipped in (False, True) if self._options.flips else (False,):
                stem = file_stem(image, number, one.size, self._options)
                stem += suffix(part, len(fitted), flipped=flipped)
                mask_name = mask.name_for(folder, stem) if mask is not None else ""
                pieces.append(Piece(folder + stem + ENDINGS[self._options.format], one, flipped, mask_name))
                copies += [(f"{place}/{name}", folder + stem + name[len(old) :]) for name in captions]
        item = Item(image, number, tuple(pieces), tuple(copies), mask, self._notes(image, fitted, mask))
        return item if self._claim(item) else None

    def _inside(self, folder: str) -> str:
        """A folder below the source, ending with ``/``; empty for the source itself."""
        known = self._known.get(folder)
        if known is None:
            relative = rooted(Path(folder)).relative_to(self._source).as_posix()
            known = self._known[folder] = "" if relative == "." else f"{relative}/"
        return known

    def _mask(self, image: DatasetImage, inside: str) -> Mask | None:
        found = self._masks.mask(inside, image.path) if self._masks is not None else None
        if found is None and image.mask_path is not None:
            return mask_beside(image.path, image.mask_path)
        return found

    def _notes(self, image: DatasetImage, fitted: list[Fitted], mask: Mask | None) -> tuple[str, ...]:
        facts = image.facts
        said = {
            "crop": image.crop is not None and self._options.crops,
            "split": len(fitted) > 1,
            "small": self._options.small == "keep" and any(is_small(one.part, self._options) for one in fitted),
            "enlarged": any(one.scale > 1 for one in fitted),
            "alpha": facts.alpha,
            "animated": facts.animated,
            "turned": facts.orientation != 1,
            "mask": mask is not None,
        }
        return tuple(code for code, holds in said.items() if holds)

    def _claim(self, item: Item) -> bool:
        """Whether the names of an item are fit and free; they are its own then."""
        names = list(item.names)
        for name in names:
            flaw = flaw_of(name)
            if flaw:
                self._refuse(item.image, "prepare.name", flaw, _("Choose another pattern of names."))
                return False
            owner = self._taken.get(name)
            if owner is not None or names.count(name) > 1:
                message = _("It would have the name {name}, which {other} has.").format(
                    name=plain(name), other=plain(str(owner or item.image.path))
                )
                remedy = _("Keep the folders, or put {folder} or {number} into the pattern of names.")
                self._refuse(item.image, "prepare.same_name", message, remedy)
                return False
        self._taken.update(dict.fromkeys(names, item.image.path))
        return True

    def _too_small(self, image: DatasetImage) -> None:
        message = _("The image is too small ({width} x {height}).").format(width=image.width, height=image.height)
        if self._options.small == "leave-out":
            self.left_out.append(Problem(image.path, "image.small", message, "", "note"))
        else:
            self._refuse(image, "image.small", message, _("Enlarge small images, or pad them."))

    def _refuse(self, image: DatasetImage, code: str, message: str, remedy: str) -> None:
        self.refused.append(Problem(image.path, code, message, remedy))
