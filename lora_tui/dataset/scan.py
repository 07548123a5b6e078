"""Finding the images of datasets with their facts, repeats and captions.

Headers are read; only files that seem cut short are decoded.

Understood: plain folders, nested folders, and kohya's ``N_name`` folders. Hidden files and folders are
skipped, ``.lora-tui`` among them, and the folders of runs. Links to folders are followed, each real folder once.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Literal

from lora_tui.captions.files import pick_sidecar, with_dots
from lora_tui.dataset.facts import ImageFacts, read_facts
from lora_tui.dataset.verdicts import Verdicts
from lora_tui.errors import UserError
from lora_tui.text import N_, _, plain

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

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif"})
#: Pictures that are not read, named so that they are not left out in silence.
OTHER_SUFFIXES = frozenset({".heic", ".heif", ".jxl", ".psd", ".svg", ".dng", ".cr2", ".nef", ".arw"})
CAPTION_EXTENSIONS = (".txt", ".caption")
MAX_REPEATS = 10_000

_SKIPPED_FOLDERS = frozenset({"__MACOSX", "@eaDir"})
#: A folder with these is a run's; the samples it drew are no images to train on.
_RUN_FILES = frozenset({"config.toml", "record.json"})
_REPEAT_FOLDER = re.compile(r"(\d{1,18})_")
_DIGITS = re.compile(r"(\d+)")

Severity = Literal["error", "warning", "note"]
Progress = Callable[[int], None]
Stop = Callable[[], bool]


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
    """

    path: Path
    relative: str
    dataset: int
    repeats: int
    facts: ImageFacts
    caption_path: Path | None

    @property
    def uid(self) -> str:
        """The image's name among all datasets of a run."""
        return f"{self.dataset}/{self.relative}"


@dataclass(frozen=True)
class Problem:
    """Something about a file that a person should know.

    Attributes:
        code: a stable identifier such as ``image.invalid``.
        severity: ``error`` for what cannot be trained as it is, ``warning`` for what a person should look at,
            ``note`` for what is usual and good to know.
        others: all further files that it is about; the message may name the first ones only.
    """

    path: Path
    code: str
    message: str
    remedy: str
    severity: Severity = "error"
    others: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Scan:
    """What was found.

    Attributes:
        complete: false when the scan was stopped early.
        ordered: the images are known to stand in natural order of their names, dataset after dataset; putting a
            hundred thousand in order again takes a second.
    """

    images: tuple[DatasetImage, ...]
    problems: tuple[Problem, ...] = ()
    complete: bool = True
    ordered: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class _Folder:
    path: Path
    relative: str
    repeats: int
    files: tuple[str, ...]


def natural_key(name: str) -> tuple[tuple[tuple[int, int | str], ...], str]:
    """Sorts ``img2`` before ``img10``, case aside; names that differ only in case or zeros keep a fixed order."""
    parts = _DIGITS.split(name.casefold())
    return tuple((0, int(part)) if part.isdecimal() else (1, part) for part in parts), name


def scan_folder(
    folder: Path,
    *,
    dataset: int = 0,
    repeats: int = 0,
    extensions: Sequence[str] = CAPTION_EXTENSIONS,
    on_progress: Progress | None = None,
    should_stop: Stop | None = None,
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

    Raises:
        UserError: the folder is missing, is none, or cannot be listed (``dataset.missing``).
    """
    images: list[DatasetImage] = []
    problems: list[Problem] = []
    endings = with_dots(extensions)
    verdicts = Verdicts()
    seen = 0
    for found in _walk(folder, repeats, problems):
        names = frozenset(found.files)
        for name in found.files:
            stem, dot, suffix = name.rpartition(".")
            kind = dot + suffix.lower()
            if kind in OTHER_SUFFIXES:
                problems.append(_unsupported(found.path / name))
            if kind not in IMAGE_SUFFIXES:
                continue
            if seen % 64 == 0:
                if should_stop is not None and should_stop():
                    return _sorted_scan(images, problems, complete=False)
                if on_progress is not None:
                    on_progress(seen)
            seen += 1
            path = found.path / name
            try:
                facts = read_facts(path)
            except UserError as error:
                problems.append(_as_problem(path, error))
                continue
            damage = verdicts.damage(path, facts)
            if damage is not None:
                problems.append(_as_problem(path, damage))
                continue
            caption = pick_sidecar(stem, names, endings)
            caption_path = None if caption is None else found.path / caption
            relative = found.relative + _clean(name)
            images.append(DatasetImage(path, relative, dataset, found.repeats, facts, caption_path))
    if on_progress is not None:
        on_progress(seen)
    return _sorted_scan(images, problems)


def scan_datasets(config: Config, *, on_progress: Progress | None = None, should_stop: Stop | None = None) -> Scan:
    """The images of all datasets of a configuration, dataset after dataset.

    Raises:
        UserError: a dataset's folder is missing or cannot be listed.
    """
    images: list[DatasetImage] = []
    problems: list[Problem] = []
    seen = 0
    for index, entry in enumerate(config.datasets):
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
            extensions=config.captions.extensions,
            on_progress=_counting_from(seen, on_progress),
            should_stop=should_stop,
        )
        images.extend(scan.images)
        seen = len(images)
        problems.extend(scan.problems)
        if not scan.complete:
            return Scan(tuple(images), tuple(problems), complete=False, ordered=True)
    return Scan(tuple(images), tuple(problems), ordered=True)


def _counting_from(start: int, on_progress: Progress | None) -> Progress | None:
    return None if on_progress is None else lambda done: on_progress(start + done)


def _walk(folder: Path, repeats: int, problems: list[Problem]) -> Iterator[_Folder]:
    """Every folder to look into, with its files; real folders before those that only links lead to."""
    _must_list(folder)
    own = repeats or _repeats_of(Path(os.path.abspath(folder)).name, folder, problems)  # noqa: PTH100 - links stay
    pending = [(folder, "", 1 if own is None else own)]
    linked: list[tuple[Path, str, int]] = []
    above = frozenset(os.fspath(parent) for parent in folder.resolve().parents)
    visited: set[tuple[int, int]] = set()
    while pending or linked:
        path, relative, times = pending.pop() if pending else linked.pop(0)
        try:
            status = path.stat()
            if (status.st_dev, status.st_ino) in visited:
                continue
            visited.add((status.st_dev, status.st_ino))
            files, folders = _entries(path, problems)
        except OSError as error:
            problems.append(_no_listing(path, error))
            continue
        if _RUN_FILES.issubset(files):
            continue
        if times:
            yield _Folder(path, relative, times, files)
        inside: list[tuple[Path, str, int]] = []
        for name, is_link in folders:
            child = path / name
            if is_link and os.path.realpath(child) in above:
                problems.append(_leads_up(child))
                continue
            named = repeats or _repeats_of(name, child, problems)
            entry = (child, f"{relative}{_clean(name)}/", times if named is None else named)
            (linked if is_link else inside).append(entry)
        pending.extend(reversed(inside))


def _must_list(folder: Path) -> None:
    try:
        os.scandir(folder).close()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(
            _("The dataset folder cannot be read: {reason}.").format(reason=plain(reason)),
            place=plain(str(folder)),
            remedy=_("Check the path and its permissions."),
            code="dataset.missing",
        ) from error


def _entries(folder: Path, problems: list[Problem]) -> tuple[tuple[str, ...], list[tuple[str, bool]]]:
    """The names of files, and of folders with whether each is a link, both sorted; hidden ones left out."""
    files: list[str] = []
    folders: list[tuple[str, bool]] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if name.startswith("."):
                continue
            kind = _kind(entry)
            if kind == "file":
                files.append(name)
            elif kind == "folder":
                if name not in _SKIPPED_FOLDERS:
                    folders.append((name, entry.is_symlink()))
            elif PurePath(name).suffix.lower() in IMAGE_SUFFIXES:
                problems.append(_no_file(folder / name, broken=entry.is_symlink()))
    return tuple(sorted(files)), sorted(folders)


def _kind(entry: os.DirEntry[str]) -> str:
    """``file`` or ``folder``, links followed; empty for anything else, such as a link that leads to itself."""
    try:
        if entry.is_file():
            return "file"
        return "folder" if entry.is_dir() else ""
    except OSError:
        return ""


def _repeats_of(name: str, folder: Path, problems: list[Problem]) -> int | None:
    """The number that a folder's name asks for, none when it is no ``N_name``."""
    match = _REPEAT_FOLDER.match(name)
    if match is None:
        return None
    number = int(match[1])
    if number == 0:
        problems.append(
            _problem(
                folder,
                "folder.zero_repeats",
                N_("The folder's name asks for 0 repeats, so its images are left out."),
                N_("Rename it to 1_name to train them."),
                "warning",
            )
        )
    if number > MAX_REPEATS:
        problems.append(
            _problem(
                folder,
                "folder.many_repeats",
                N_("The number in the folder's name is too large for repeats and is not taken as such."),
                N_("Rename the folder if repeats were meant."),
                "warning",
            )
        )
        return None
    return number


def _sorted_scan(images: list[DatasetImage], problems: list[Problem], *, complete: bool = True) -> Scan:
    images.sort(key=lambda image: (image.dataset, natural_key(image.relative)))
    problems.sort(key=lambda problem: natural_key(os.fspath(problem.path)))
    return Scan(tuple(images), tuple(problems), complete, ordered=True)


def _clean(name: str) -> str:
    """A file's name as text that can be written anywhere: bytes that are no UTF-8 become ``\\xNN``."""
    if name.isascii():
        return name
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _problem(path: Path, code: str, message: str, remedy: str, severity: Severity = "error") -> Problem:
    return Problem(path, code, _(message), _(remedy), severity)


def _as_problem(path: Path, error: UserError) -> Problem:
    return Problem(path, error.code, error.message, error.remedy)


def _unsupported(path: Path) -> Problem:
    return _problem(
        path,
        "image.unsupported",
        N_("Images of this format are not read, so it is left out."),
        N_("Convert it to PNG, JPEG or WebP."),
        "warning",
    )


def _no_file(path: Path, *, broken: bool) -> Problem:
    if broken:
        message, remedy = N_("The link leads nowhere."), N_("Restore what it points to, or remove the link.")
        return _problem(path, "image.broken_link", message, remedy)
    return _problem(path, "image.no_file", N_("This is not a file that can be read."), N_("Remove it."))


def _leads_up(link: Path) -> Problem:
    return _problem(
        link,
        "folder.leads_up",
        N_("The link leads to a folder around the dataset and is not followed."),
        N_("Link to the images' own folder."),
        "warning",
    )


def _no_listing(folder: Path, error: OSError) -> Problem:
    reason = plain(error.strerror or str(error))
    message = _("The folder cannot be read: {reason}.").format(reason=reason)
    return Problem(folder, "folder.unreadable", message, _("Check its permissions."))
