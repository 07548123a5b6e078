"""The rows of the dataset screen: images those left out among them, and whatever else has a problem. No
widget."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.background import courteous
from lora_tui.errors import UserError
from lora_tui.text import N_, _, plain

if TYPE_CHECKING:
    from lora_tui.dataset.scan import DatasetImage, Problem
    from lora_tui.tui.workspace import Images

ALIKE = {"image.similar": N_("Nearly the same as {name}."), "image.identical": N_("The same file as {name}.")}
"""Findings about several images, which the check tells once, and what each of the others shows."""

_NO_ROW = ("dataset.empty", "image.excluded")
"""What is said elsewhere: where the rows would be, and by the rows of the images themselves."""


def part_of(image: DatasetImage | None) -> tuple[float, float, float, float] | None:
    """The part of an image that is used, its edges as shares of the image from 0 to 1; none for all of it."""
    if image is None or image.crop is None:
        return None
    crop, (width, height) = image.crop, (image.facts.width, image.facts.height)
    return crop.left / width, crop.top / height, crop.right / width, crop.bottom / height


@dataclass(frozen=True, slots=True)
class FileRow:
    """One row: an image, or a file or folder that is only here because of its problems.

    Attributes:
        name: path below its dataset, safe to show.
        key: the name in lower case, to search in.
        excluded: a person left the image out.
        reviewed: a person looked at the picture and found it right.
    """

    path: Path
    name: str
    key: str
    image: DatasetImage | None
    problems: tuple[Problem, ...]
    excluded: bool = False
    reviewed: bool = False

    @property
    def mark(self) -> str:
        """Its mark as a field of ``Marks``; empty when all is well."""
        if any(problem.severity == "error" for problem in self.problems):
            return "failed"
        if self.image is not None and self.image.caption_path is None:
            return "empty"
        return "needs" if self.wrong else ""

    @property
    def wrong(self) -> bool:
        """Whether a person should look at it: notes are no problem."""
        return any(problem.severity != "note" for problem in self.problems)

    @property
    def counted(self) -> bool:
        """Whether it is one of the images that are trained."""
        return self.image is not None and not self.excluded

    @property
    def part(self) -> tuple[float, float, float, float] | None:
        """The part that is used, its edges as shares of the image from 0 to 1; none for all of it."""
        return part_of(self.image)

    @property
    def stamp(self) -> tuple[int, int]:
        """Time of change (ns) and bytes of an image, which tell two contents of one file apart."""
        return (self.image.facts.mtime_ns, self.image.facts.size) if self.image else (0, 0)


def build_rows(images: Images, root: Path) -> tuple[FileRow, ...]:
    """All rows: problems of folders first, then images in their natural order with the problem files among them.

    That there is no image at all is said where the rows would be, and is no row.
    """
    from lora_tui.dataset.scan import natural_key

    reviewed = Reviewed()
    by_path: dict[Path, list[Problem]] = {}
    scan = images.scan
    alike = any(problem.code in ALIKE for problem in images.problems)
    names = {image.path: image.relative.rpartition("/")[2] for image in scan.images} if alike else {}
    for problem in images.problems:
        if problem.code not in _NO_ROW:
            by_path.setdefault(problem.path, []).append(problem)
        for other in problem.others if problem.code in ALIKE else ():
            message = _(ALIKE[problem.code]).format(name=plain(names.get(problem.path, problem.path.name)))
            by_path.setdefault(other, []).append(replace(problem, path=other, message=message, others=()))
    rows: list[FileRow] = []
    datasets = _datasets((*scan.images, *scan.excluded))
    several, labels = len(datasets) > 1, _labels(datasets)
    cut = 0 if several else len(common_folder(images))
    for image in courteous((*scan.images, *scan.excluded)):
        found = by_path.pop(image.path, []) if by_path else []
        if by_path and image.caption_path is not None:
            found = found + by_path.pop(image.caption_path, [])
        name = plain(labels[image.dataset] + image.relative if several else image.relative[cut:])
        row = FileRow(image.path, name, name.casefold(), image, tuple(found))
        rows.append(replace(row, reviewed=True) if reviewed.has(image.path) else row)
    first = len(scan.images)
    rows[first:] = [replace(row, excluded=True) for row in rows[first:]]
    folder = common_folder(images)
    bases = [*(_base(image, folder) for image in images.scan.images[:1] if not several), root]
    if several and labels[min(labels)].endswith("/"):
        bases = [*dict.fromkeys(path.parent for path in datasets.values()), root]
    others = [_other(path, tuple(found), bases) for path, found in by_path.items()]
    files = [row for row in others if not row.name.endswith("/")]
    if files or scan.excluded:
        rows = sorted([*rows, *files], key=lambda row: natural_key(row.name))
    folders = sorted((row for row in others if row.name.endswith("/")), key=lambda row: row.name)
    return (*folders, *rows)


def _datasets(images: Sequence[DatasetImage]) -> dict[int, Path]:
    """The folder of each dataset that has images, by its number."""
    found: dict[int, DatasetImage] = {}
    for image in images:
        found.setdefault(image.dataset, image)
    return {number: _base(image, "") for number, image in found.items()}


def _labels(datasets: Mapping[int, Path]) -> dict[int, str]:
    """What stands before the names of a dataset's images: its folder's name, or its number where two are alike."""
    names = {path.name.casefold() for path in datasets.values()}
    alike = len(names) < len(datasets)
    return {number: f"{number + 1}: " if alike else path.name + "/" for number, path in datasets.items()}


def common_folder(images: Images) -> str:
    """The folder below its dataset that all images are in, with a slash at its end; empty when there is none."""
    folders = {image.relative.rpartition("/")[0] for image in (*images.scan.images, *images.scan.excluded)}
    if len(folders) != 1:
        return ""
    folder = folders.pop()
    return folder + "/" if folder else ""


def _base(image: DatasetImage, folder: str) -> Path:
    """The folder from which the names of images count."""
    depth = image.relative.count("/") - folder.count("/")
    return image.path.parents[depth]


def _other(path: Path, problems: tuple[Problem, ...], bases: Sequence[Path]) -> FileRow:
    if path == Path():  # a problem of the whole dataset, which has no image to say where it is
        path = bases[-1]
    base = next((base for base in bases if base in path.parents), None)
    relative = str(path.relative_to(base)) if base is not None else path.name or str(path)
    name = plain(relative) + ("/" if path.is_dir() else "")
    return FileRow(path, name, name.casefold(), None, problems)


class Reviewed:
    """Which pictures somebody found right; the notes of each folder are read once, and unreadable ones say nothing."""

    def __init__(self) -> None:
        self._folders: dict[str, tuple[Path, frozenset[str]]] = {}  # by text: a hundred thousand paths are slow keys

    def has(self, image: Path) -> bool:
        """Whether the notes of the image's dataset say so."""
        from lora_tui.captions.journal.log import home_of
        from lora_tui.dataset.notes import load_notes, name_in_notes

        folder = os.path.dirname(image)  # noqa: PTH120
        known = self._folders.get(folder)
        if known is None:
            home, names = home_of(image.parent), frozenset[str]()
            with contextlib.suppress(UserError):
                names = load_notes(home).reviewed
            known = self._folders[folder] = home, names
        return bool(known[1]) and name_in_notes(known[0], image) in known[1]
