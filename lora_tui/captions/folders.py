"""The images below a folder with the names of their captions, and the bytes of a caption file. Knows no tag.

Made for 100,000 files: each folder is listed once, and its captions are opened from the folder's descriptor, so that
the system looks up no path twice and each caption costs four calls.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from lora_tui.captions.files import MAX_BYTES, pick_sidecar
from lora_tui.errors import UserError
from lora_tui.files import kind_of
from lora_tui.text import _, plain

_SKIPPED_FOLDERS = frozenset({"__MACOSX", "@eaDir"})
_RUN_FILES = frozenset({"config.toml", "record.json"})
_DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True, slots=True)
class Folder:
    """One folder that has images.

    Attributes:
        path: of the folder.
        prefix: what stands before a file's name in the dataset, ending with ``/``; empty for the dataset's folder.
        files: the names of its images in natural order, each with that of its caption, both within the folder. The
            caption may not be there.
    """

    path: str
    prefix: str
    files: tuple[tuple[str, str], ...]


def walk(root: str, suffixes: Collection[str], endings: Sequence[str], new_ending: str) -> Iterator[Folder]:
    """The folders at and below ``root`` that have images, in natural order, each once although links lead to it.

    Args:
        endings: of captions, the first that exists wins; ``new_ending`` is that of a caption which is not there.

    Raises:
        UserError: ``captions.folder`` when ``root`` cannot be listed; what cannot be listed below it is passed over.
    """
    waiting, seen = [""], set()
    while waiting:
        relative = waiting.pop()
        folder = os.path.join(root, relative)  # noqa: PTH118
        real = os.path.realpath(folder)
        if real in seen:
            continue
        seen.add(real)
        try:
            folders, files = _listed(folder)
        except OSError as error:
            if relative:
                continue
            raise UserError(
                _("The folder cannot be read: {reason}.").format(reason=plain(error.strerror or str(error))),
                place=plain(folder),
                remedy=_("Check the path and its permissions."),
                code="captions.folder",
            ) from error
        if files >= _RUN_FILES:
            continue
        prefix = relative + "/" if relative else ""
        images = natural([name for name in files if name[name.rfind(".") :].lower() in suffixes])
        if images:
            stems = (name[: name.rfind(".")] for name in images)
            captions = (pick_sidecar(stem, files, endings) or stem + new_ending for stem in stems)
            yield Folder(folder, prefix, tuple(zip(images, captions, strict=True)))
        waiting += [prefix + name for name in reversed(natural(folders))]


@contextlib.contextmanager
def opened(folder: str) -> Iterator[int | None]:
    """A descriptor of a folder to open its files from; none when it has vanished."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def read_bytes(path: str, folder: int | None = None) -> tuple[bytes, os.stat_result]:
    """The content of a caption file, and what the file looked like before it was read.

    Args:
        folder: the descriptor of the folder from which ``path`` is meant.

    Raises:
        OSError: it cannot be read, or is too large for a caption.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=folder)
    try:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode):  # a pipe would be waited for, or read as nothing
            raise OSError(0, _("it is {kind}, not a file").format(kind=kind_of(state.st_mode)))
        size = state.st_size
        if size > MAX_BYTES:
            raise OSError(errno.EFBIG, _("it is too large to be a caption"))
        raw = os.read(descriptor, size + 1)  # a larger buffer would be made and freed each time
        if len(raw) > size:
            raw += os.read(descriptor, MAX_BYTES)
        return raw, state
    finally:
        os.close(descriptor)


MOMENT_NS = 20_000_000
"""A file that changed less than this before it was read may change again without looking otherwise: clocks tick."""


def look_of(state: os.stat_result) -> int:
    """A number, never 0, that is another for another file, and after each change of a file: programs can set a file's
    time of change back, but not its time of status change, and what takes its place has another inode."""
    return hash((state.st_ino, state.st_ctime_ns)) or 1


def trusted_look(state: os.stat_result) -> int:
    """As :func:`look_of` of a file that is read now; 0, which nothing looks like, when it has only just changed."""
    return look_of(state) if abs(time.time_ns() - state.st_ctime_ns) > MOMENT_NS else 0


def natural(names: Collection[str]) -> list[str]:
    """Names so that ``img2`` comes before ``img10``; those of one length need no second look."""
    if len({len(name) for name in names}) <= 1:
        return sorted(names, key=lambda name: (name.casefold(), name))
    return sorted(names, key=_natural_key)


def _natural_key(name: str) -> tuple[tuple[tuple[int, int | str], ...], str]:
    parts = _DIGITS.split(name.casefold())
    return tuple((0, int(part)) if part.isdecimal() and len(part) < 100 else (1, part) for part in parts), name


def _listed(folder: str) -> tuple[list[str], set[str]]:
    """The folders and the files of a folder that are not hidden; links count as what they lead to."""
    folders, files = [], set()
    with os.scandir(folder) as found:
        for one in found:
            if (name := one.name).startswith("."):
                continue
            try:
                is_folder = one.is_dir()
            except OSError:
                continue
            if not is_folder:
                files.add(name)
            elif name not in _SKIPPED_FOLDERS:
                folders.append(name)
    return folders, files
