"""Writing files so that a reader sees the old content or the new, never a part of it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from lora_tui.errors import UserError
from lora_tui.text.plain import plain
from lora_tui.text.translate import N_, _

_ENDING = ".lora-tui.tmp"
_DRAWN = 9
"""Characters that mkstemp puts before the ending, with their full stop."""
_HELD = "held"
"""Marks files that are locked while they are written."""
_JUST_MADE = 2.0
"""Seconds after which a file that nobody has locked is no longer one that is about to be."""
_TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}" + re.escape(_ENDING), re.DOTALL)  # as mkstemp fills it in

_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES})
"""What file systems without hard links say."""

_KINDS = (
    (stat.S_ISDIR, N_("a folder")),
    (stat.S_ISFIFO, N_("a named pipe")),
    (stat.S_ISSOCK, N_("a socket")),
    (stat.S_ISLNK, N_("a link that leads to itself")),
    (stat.S_ISBLK, N_("a device")),
    (stat.S_ISCHR, N_("a device")),
)


class NotAFileError(UserError, OSError):
    """Something else stands where a file is to be written: a folder, a device, a pipe.

    Also an ``OSError``, so that whoever goes on without a file that the disk refuses goes on without this one.
    """

    def __init__(self, path: Path, kind: str, remedy: str = "") -> None:
        super().__init__(
            _("It is {kind}, not a file, and is left as it is.").format(kind=kind),
            place=plain(str(path)),
            remedy=remedy or _("Name another place."),
            code="file.not_regular",
        )


def kind_of(mode: int) -> str:
    """What a ``st_mode`` stands for when it is no regular file, in a person's words; empty for a regular file."""
    return "" if stat.S_ISREG(mode) else next((_(name) for test, name in _KINDS if test(mode)), _("something unusual"))


def open_file(path: Path, *, writable: bool = False, links: bool = True) -> BinaryIO:
    """Open a file to read it, or to change what it holds; what is none is never waited for, as a pipe would be.

    Args:
        links: whether ``path`` may be a link to the file.

    Raises:
        OSError: it is not there, is something else, or cannot be opened.
    """
    flags = (os.O_RDWR if writable else os.O_RDONLY) | os.O_CLOEXEC | os.O_NONBLOCK | (0 if links else os.O_NOFOLLOW)

    def opened(name: str, _flags: int) -> int:
        try:
            descriptor = os.open(name, flags)
        except OSError as error:
            if error.errno == errno.ELOOP and not links:
                raise _no_file(_("a link")) from error
            raise
        if kind := kind_of(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise _no_file(kind)
        return descriptor

    # The file object alone closes it: closed again after a Ctrl+C, the number might be another file's by then.
    return open(path, "r+b" if writable else "rb", opener=opened)


def open_append(path: Path) -> BinaryIO:
    """The file of :func:`append_descriptor` as an object, unbuffered; raises what that raises."""
    return os.fdopen(append_descriptor(path), "ab", buffering=0)


def append_descriptor(path: Path) -> int:
    """Open a file to write behind what it holds; a new one gets the umask's mode. Never waits.

    Raises:
        NotAFileError: a folder, a device, a pipe or a socket has this name.
        OSError: it cannot be opened.
    """
    remedy = _("Move it away: a file belongs there.")
    with contextlib.suppress(FileNotFoundError):
        if kind := kind_of(path.stat().st_mode):  # opening a pipe that nobody reads fails without saying so
            raise NotAFileError(path, kind, remedy)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o666)
    if kind := kind_of(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotAFileError(path, kind, remedy)
    os.set_blocking(descriptor, True)  # whoever inherits it expects that
    return descriptor


def _no_file(kind: str) -> OSError:
    return OSError(0, _("it is {kind}, not a file").format(kind=kind))


def write_atomic(path: Path, data: bytes, *, durable: bool = True, by: str = "") -> None:
    """Replace ``path`` by ``data``: temporary file in the same folder, then rename.

    A symbolic link is resolved first, so the link stays. What is there and is no regular file is never replaced: the
    rename would put a file in the place of a device. The mode of an existing file is kept; a new
    file gets the umask's mode. With ``durable`` the content is flushed to disk before the rename. What a
    killed process leaves is removed by :func:`sweep_temporaries`; ``by`` marks it as the work of a part of the program.

    Raises:
        NotAFileError: a folder, a device, a pipe or a socket has this name.
        OSError: the folder cannot be written or the disk is full; the old content is untouched.
    """
    target = Path(os.path.realpath(path))
    with contextlib.suppress(FileNotFoundError):
        if kind := kind_of(target.lstat().st_mode):
            raise NotAFileError(path, kind)
    handle, name = _temporary(target, by)
    temporary = Path(name)
    try:
        with naming(target), os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), _mode_for(target))
            if durable:
                os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(target.parent)


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Errors of writing that come out of it name ``path``: those of a full disk name no file by themselves."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


@contextlib.contextmanager
def written_whole(path: Path, *, new: bool = False) -> Iterator[Path]:
    """The path of a temporary file to write, which takes the place of ``path`` at the end, or goes when that failed.

    For what is written by a library and may be larger than memory; it is not flushed to disk. The file is locked while
    it is written, so that what a killed process leaves is known at once, however large it is.

    Args:
        new: whether nothing is replaced.

    Raises:
        FileExistsError: ``path`` has come to be in the meantime, and is ``new``; it is left as it is.
        OSError: the folder cannot be written.
    """
    handle, name = _temporary(path, _HELD)
    temporary = Path(name)
    try:
        with contextlib.suppress(OSError):  # a disk that knows no locks: age alone tells what is left there
            fcntl.flock(handle, fcntl.LOCK_EX)  # who looks whether it is held, holds it for no time
        yield temporary
        temporary.chmod(_mode_for(path))
        if new:
            _take_new(temporary, path)
        else:
            temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        os.close(handle)


def write_new(path: Path, data: bytes, *, by: str = "") -> None:
    """Write a file that is not there yet, whole or not at all: temporary file in the same folder, then its new name.

    Not flushed to disk. What a killed process leaves is removed by :func:`sweep_temporaries`, as in
    :func:`write_atomic`.

    Raises:
        FileExistsError: something has this name already; it is left as it is.
        OSError: the folder cannot be written or the disk is full.
    """
    handle, name = _temporary(path, by)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), default_mode())
        _take_new(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _take_new(temporary: Path, path: Path) -> None:
    """Give a finished file the name ``path``, which nothing may have.

    Raises:
        FileExistsError: something has it.
        OSError: the folder cannot be written.
    """
    try:
        os.link(temporary, path)  # unlike a rename, this never replaces
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from error
        temporary.rename(path)
    else:
        temporary.unlink(missing_ok=True)


def _temporary(target: Path, by: str) -> tuple[int, str]:
    mark = f"{by}." if by else ""
    return tempfile.mkstemp(prefix=f".{target.name[:40]}.{mark}", suffix=_ENDING, dir=target.parent)


def sweep_temporaries(folder: Path, older_than: float = 60.0, *, by: str = "") -> int:
    """Remove what killed processes left of :func:`write_atomic` in ``folder`` (not below it); return how many.

    Files younger than ``older_than`` seconds may still be written and stay, as does what cannot be removed; of
    :func:`written_whole` those that are written now stay at any age, and others go at any. With ``by`` only the files
    with that mark: whoever knows that none of its own writers lives may take them at any age.
    """
    removed = 0
    try:
        found = [path for path in folder.iterdir() if _TEMPORARY.fullmatch(path.name)]
    except OSError:
        return 0
    for path in found:
        if by and not _marked(path, by):
            continue
        with contextlib.suppress(OSError):
            age, held = time.time() - path.lstat().st_mtime, _is_held(path) if _marked(path, _HELD) else None
            if not held and age > (min(older_than, _JUST_MADE) if held is False else older_than):
                path.unlink()
                removed += 1
    return removed


def _marked(path: Path, by: str) -> bool:
    return path.name.removesuffix(_ENDING)[:-_DRAWN].endswith(f".{by}")


def _is_held(path: Path) -> bool | None:
    """Whether somebody writes the file; none where the disk knows no locks.

    Raises:
        OSError: it is gone, or not to be opened.
    """
    with open_file(path, links=False) as file:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return None
        return False


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Be the only one who does this to the folder, of all that ask; a disk that knows no locks takes its chances.

    Raises:
        OSError: the folder cannot be opened.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries (a rename within it) to disk; file systems without the call are let be."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)


def default_mode() -> int:
    """The mode that a newly created file gets under the umask that the program was started with."""
    return 0o666 & ~_UMASK


def _umask() -> int:
    """The process's umask: from Linux as it tells it, elsewhere by setting it for a moment and setting it back."""
    try:
        status = Path("/proc/self/status").read_text("ascii", "replace")
    except OSError:
        status = ""
    if found := re.search(r"^Umask:\s*([0-7]+)$", status, re.MULTILINE):
        return int(found[1], 8)
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


#: Read once, while there are no other threads: setting it, even for a moment, changes the files of all of them.
_UMASK = _umask()


def _mode_for(target: Path) -> int:
    try:
        return target.stat().st_mode & 0o7777
    except OSError:
        return default_mode()
