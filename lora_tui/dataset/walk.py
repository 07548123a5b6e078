"""Going through the folders of a dataset: each real one once, with its files, its repeats and the notes for it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from lora_tui.captions.files import IMAGE_SUFFIXES
from lora_tui.captions.journal.log import HOME
from lora_tui.dataset.notes import Layer, clean, layers_below, layers_of
from lora_tui.dataset.problems import Problem, leads_up, no_file, no_listing, problem
from lora_tui.errors import UserError
from lora_tui.text import N_, _, plain

MAX_REPEATS = 10_000

_SKIPPED_FOLDERS = frozenset({"__MACOSX", "@eaDir"})
#: A folder with these is a run's; the samples it drew are no images to train on.
_RUN_FILES = frozenset({"config.toml", "record.json"})
_REPEAT_FOLDER = re.compile(r"(\d{1,18})_")


@dataclass(frozen=True)
class Folder:
    """A folder to look into.

    Attributes:
        relative: what stands before its files' names in the dataset, ending with ``/``; empty for its own folder.
        repeats: how often each of its images is shown in one epoch.
        files: the names of its files, sorted.
        notes: what a person has noted about them.
    """

    path: Path
    relative: str
    repeats: int
    files: tuple[str, ...]
    notes: tuple[Layer, ...]


def walk(folder: Path, repeats: int, problems: list[Problem]) -> Iterator[Folder]:
    """Every folder to look into, with its files; real folders before those that only links lead to."""
    _must_list(folder)
    own = repeats or _repeats_of(Path(os.path.abspath(folder)).name, folder, problems)  # noqa: PTH100 - links stay
    pending = [(folder, "", 1 if own is None else own, layers_of(folder))]
    linked: list[tuple[Path, str, int, tuple[Layer, ...]]] = []
    above = frozenset(os.fspath(parent) for parent in folder.resolve().parents)
    visited: set[tuple[int, int]] = set()
    while pending or linked:
        path, relative, times, notes = pending.pop() if pending else linked.pop(0)
        try:
            status = path.stat()
            if (status.st_dev, status.st_ino) in visited:
                continue
            visited.add((status.st_dev, status.st_ino))
            files, folders, has_home = _entries(path, problems)
        except OSError as error:
            problems.append(no_listing(path, error))
            continue
        if _RUN_FILES.issubset(files):
            continue
        notes = layers_below(notes, path, has_home=has_home) if relative else notes
        if times:
            yield Folder(path, relative, times, files, notes)
        inside: list[tuple[Path, str, int, tuple[Layer, ...]]] = []
        for name, is_link in folders:
            child = path / name
            if is_link and os.path.realpath(child) in above:
                problems.append(leads_up(child))
                continue
            named = repeats or _repeats_of(name, child, problems)
            entry = (child, f"{relative}{clean(name)}/", times if named is None else named, notes)
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


def _entries(folder: Path, problems: list[Problem]) -> tuple[tuple[str, ...], list[tuple[str, bool]], bool]:
    """The names of files, and of folders with whether each is a link, both sorted, without hidden ones.

    Also whether there is a ``.lora-tui`` among those.
    """
    files: list[str] = []
    folders: list[tuple[str, bool]] = []
    has_home = False
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if name.startswith("."):
                has_home = has_home or name == HOME
                continue
            kind = _kind(entry)
            if kind == "file":
                files.append(name)
            elif kind == "folder":
                if name not in _SKIPPED_FOLDERS:
                    folders.append((name, entry.is_symlink()))
            elif PurePath(name).suffix.lower() in IMAGE_SUFFIXES:
                problems.append(no_file(folder / name, broken=entry.is_symlink()))
    return tuple(sorted(files)), sorted(folders), has_home


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
            problem(
                folder,
                "folder.zero_repeats",
                N_("The folder's name asks for 0 repeats, so its images are left out."),
                N_("Rename it to 1_name to train them."),
                "warning",
            )
        )
    if number > MAX_REPEATS:
        problems.append(
            problem(
                folder,
                "folder.many_repeats",
                N_("The number in the folder's name is too large for repeats and is not taken as such."),
                N_("Rename the folder if repeats were meant."),
                "warning",
            )
        )
        return None
    return number
