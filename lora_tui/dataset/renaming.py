"""Giving a file another place without ever writing over one: within a disk, to another disk, and links."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import filecmp
import os
import shutil
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path

from lora_tui.files import open_file, sync_folder

_ENDING = ".lora-tui.tmp"
"""As that of all our temporary files: what a killed process leaves is swept away with them."""
_HERE = -100
_NO_REPLACE = 1
"""``AT_FDCWD`` and ``RENAME_NOREPLACE`` of Linux."""
_UNKNOWN = frozenset({errno.ENOSYS, errno.EINVAL, errno.ENOTSUP})
"""What a system says that has no such rename."""
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EACCES})
"""What a file system says that has no hard links, or allows none of this file."""


def rename(source: Path, target: Path, places: Mapping[str, str] | None = None) -> None:
    """Give a file another place, in an existing folder; a file for another disk is copied whole before it goes here.

    Args:
        places: a link by a relative path is written anew, so that it leads where it did, or where that goes: real
            paths of files that move along, with their new ones. None leaves the text of links as it is.

    Raises:
        FileExistsError: something is there; nothing has changed.
        OSError: it cannot be done; nothing has changed.
    """
    if places is not None and (text := _text_there(source, target, places)):
        target.symlink_to(text)
        _unlink_or(source, target)
        return
    try:
        _rename_here(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:  # another disk
            raise
        copy_over(source, target)
        _unlink_or(source, target)


def copy_over(source: Path, target: Path) -> None:
    """Copy a file or a link whole and with its times, on disk when this returns; never over another file.

    Raises:
        FileExistsError: something is there.
        OSError: it is neither, or cannot be read or written; nothing is left of it.
    """
    if source.is_symlink():
        target.symlink_to(source.readlink())
        return
    if os.path.lexists(target):  # before bytes are copied for nothing
        raise _taken(target)
    with open_file(source, links=False) as file:
        handle, name = tempfile.mkstemp(prefix=f".{target.name[:40]}.", suffix=_ENDING, dir=target.parent)
        part = Path(name)
        try:
            with os.fdopen(handle, "wb") as copy:
                shutil.copyfileobj(file, copy, 1 << 20)
                copy.flush()
                os.fchmod(copy.fileno(), stat.S_IMODE(os.fstat(file.fileno()).st_mode))
                os.fsync(copy.fileno())
            _rename_here(part, target)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    with contextlib.suppress(OSError):  # a disk without times or marks
        shutil.copystat(source, target)
    sync_folder(target.parent)


def is_copy(source: Path, target: Path) -> bool:
    """Whether a file has arrived whole and only the old one is left to remove: two files of the same content.

    Raises:
        OSError: one of them cannot be read.
    """
    old, new = source.lstat(), target.lstat()
    if stat.S_IFMT(old.st_mode) != stat.S_IFMT(new.st_mode):
        return False
    if _place(source) == _place(target):
        return False
    if stat.S_ISLNK(old.st_mode):
        return source.readlink() == target.readlink() or os.path.realpath(source) == os.path.realpath(target)
    if not stat.S_ISREG(old.st_mode) or old.st_size != new.st_size:
        return False
    if (old.st_dev, old.st_ino) == (new.st_dev, new.st_ino):
        return old.st_nlink > 1  # else one file that is seen at two places
    return filecmp.cmp(source, target, shallow=False)


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder or a link to one; a link that leads to itself is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _place(path: Path) -> str:
    return f"{os.path.realpath(path.parent)}/{path.name}"


def _text_there(source: Path, target: Path, places: Mapping[str, str]) -> str:
    """What a link is to say at ``target`` to lead where it does; empty when it may stay as it is, or leads nowhere."""
    try:
        text = os.fspath(source.readlink())
    except OSError:  # no link
        return ""
    head, _slash, name = text.rpartition("/")
    there = f"{os.path.realpath(source.parent / head)}/{name}"
    if text.startswith("/") or not (there in places or source.exists()):
        return ""
    folder = os.path.realpath(target.parent)
    there = places.get(there, there)
    return "" if os.path.realpath(target.parent / head) + f"/{name}" == there else os.path.relpath(there, folder)


def _unlink_or(source: Path, target: Path) -> None:
    """Remove what has a copy at ``target``; where that is refused, the copy goes, and nothing has changed."""
    try:
        source.unlink()
    except FileNotFoundError:
        return
    except OSError:
        target.unlink()
        raise


def _rename_here(source: Path, target: Path) -> None:
    """Rename on one disk, in one step that fails when something is there; else as near to that as the disk allows."""
    if _libc is not None:
        done = _libc.renameat2(_HERE, os.fsencode(source), _HERE, os.fsencode(target), _NO_REPLACE)
        number = ctypes.get_errno()
        if done == 0:
            return
        if number not in _UNKNOWN:
            raise OSError(number, os.strerror(number), str(source), None, str(target))
    try:
        os.link(source, target, follow_symlinks=False)  # unlike a rename, this never replaces
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(target):
            raise _taken(target) from error
        source.rename(target)
    else:
        _unlink_or(source, target)


def _taken(target: Path) -> FileExistsError:
    return FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))


def _with_no_replace() -> ctypes.CDLL | None:
    library = ctypes.CDLL(None, use_errno=True)
    return library if hasattr(library, "renameat2") else None


_libc = _with_no_replace()
