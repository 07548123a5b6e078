"""Putting contents in their files, each whole or not at all, once the journal holds them.

Nothing is flushed file by file: the journal was, and one ``syncfs`` at the end does the rest. Files are named from
the descriptor of their folder, and the stamp of a new one is taken while it is open.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import stat
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lora_tui.captions.folders import look_of, read_bytes
from lora_tui.files import default_mode, kind_of, write_atomic
from lora_tui.text import _

_ENDING = ".lora-tui.tmp"
_ANYTHING = (-1, -1, -1)
"""Nothing is known of what a file looked like."""

Stamp = tuple[int, int, int]
"""A file's time of change in nanoseconds, its size, and its :func:`~lora_tui.captions.folders.look_of`; the last is 0
where another program may have written it unseen."""

Seen = Stamp | None
"""What a file looked like when its content was compared; none when there was none."""


def seen(state: os.stat_result) -> Stamp:
    """What a file looks like."""
    return state.st_mtime_ns, state.st_size, look_of(state)


class ChangedError(OSError):
    """Another program has written the file since its content was compared."""


def read(home: Path, name: str) -> bytes | None:
    """What a file holds, none when there is none.

    Raises:
        OSError: it is there and cannot be read.
    """
    try:
        return read_bytes(f"{home}/{name}")[0]
    except (FileNotFoundError, NotADirectoryError):
        return None


@dataclass(frozen=True, slots=True)
class Placed:
    """How putting contents in files went.

    Attributes:
        stamps: what each file looks like that was written; zeros for one that was removed, nothing for one that a
            link leads to.
        parted: files that had other names, which still have the old content.
        disowned: files that belonged to somebody else, and are ours now.
        failed: the error of each file that was left as it was; :class:`ChangedError` where it is another's now.
    """

    stamps: dict[str, Stamp] = field(default_factory=dict)
    failed: dict[str, OSError] = field(default_factory=dict)
    parted: list[str] = field(default_factory=list)
    disowned: list[str] = field(default_factory=list)


def place(
    home: Path,
    contents: Mapping[str, bytes | None],
    number: int,
    expected: Mapping[str, Seen] | None = None,
    links: Mapping[str, str] | None = None,
) -> Placed:
    """Write or remove files; one that fails does not keep the others from being done.

    Args:
        contents: by name relative to ``home``; none removes the file.
        number: of the transaction, which names the temporary files, so that recovery finds those of a killed process.
        expected: what the files looked like when they were compared; one that looks otherwise is left alone.
        links: where a link led that was there instead of a file that is missing now. It comes back if the file at its
            end holds the content already; nothing is ever written through it.
    """
    placed = Placed()
    mode, code = default_mode(), _code(number)
    with _Folders(home) as folders:
        for name, content in contents.items():
            folder, _slash, file = name.rpartition("/")
            try:
                before = _ANYTHING if expected is None else expected[name]
                link = links.get(name) if links else None
                if link and content is not None and _is_linked(folders.descriptor(folder), file, link, content, code):
                    continue
                stamp, parted, disowned = _place(folders.descriptor(folder), file, content, code, mode, before)
                if stamp is None:
                    _through_link(home / name, content, before)
                else:
                    placed.stamps[name] = stamp
                    placed.parted.extend([name] * parted)
                    placed.disowned.extend([name] * disowned)
            except OSError as error:
                placed.failed[name] = error
    sync(home)
    return placed


class _Folders:
    """Descriptors of folders below ``home``, one open at a time: the files of a transaction come folder by folder."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._name: str | None = None
        self._descriptor = -1

    def __enter__(self) -> _Folders:
        return self

    def __exit__(self, *_error: object) -> None:
        self._close()

    def descriptor(self, name: str) -> int:
        """That of the folder ``name``; to be used until the next is asked for."""
        if name != self._name:
            self._close()
            self._descriptor = os.open(self._home / name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self._name = name
        return self._descriptor

    def _close(self) -> None:
        if self._name is not None:
            os.close(self._descriptor)
            self._name = None


def sweep(home: Path, names: Iterable[str], numbers: Iterable[int]) -> None:
    """Remove the temporary files that a killed process left of these transactions."""
    codes = [_code(number) for number in numbers]
    for name in names:
        for code in codes:
            with contextlib.suppress(OSError):
                folder, _slash, file = name.rpartition("/")
                (home / folder / _temporary(file, code)).unlink()


def sync(folder: Path) -> None:
    """Have the disk take everything that was written to its file system."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not hasattr(_libc, "syncfs") or _libc.syncfs(descriptor) != 0:
            os.sync()
    finally:
        os.close(descriptor)


_libc = ctypes.CDLL(None)


def _state(name: str, folder: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _check(state: os.stat_result | None, before: Seen) -> None:
    """Raises ChangedError: the file does not look as it did."""
    if before != _ANYTHING and (None if state is None else seen(state)) != before:
        raise ChangedError


def _place(
    folder: int, name: str, content: bytes | None, code: str, mode: int, before: Seen
) -> tuple[Stamp | None, bool, bool]:
    """Write or remove one file of an open folder.

    Returns:
        Its new stamp, or none when it is a link and was left alone; whether other names of it keep the old content;
        whether it belonged to somebody else.
    """
    state = _state(name, folder)
    if state is None or not stat.S_ISLNK(state.st_mode):
        _check(state, before)
    if state is not None:
        if stat.S_ISLNK(state.st_mode):
            return None, False, False
        if kind := kind_of(state.st_mode):
            raise OSError(0, _("it is {kind}, not a file").format(kind=kind))
        if not state.st_mode & 0o222:
            raise PermissionError(13, _("it is read-only"))
    if content is None:
        if state is not None:
            os.unlink(name, dir_fd=folder)
        return (0, 0, 0), False, False
    temporary = _temporary(name, code)
    wanted = mode if state is None else state.st_mode & 0o7777
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(temporary, flags, 0o666, dir_fd=folder)
    try:
        try:
            written = os.write(descriptor, content)
            if written != len(content):
                raise OSError(28, _("the disk is full"))
            is_ours = _is_given(descriptor, state)
            if wanted != mode:
                os.fchmod(descriptor, wanted)
            moment = time.time_ns()  # finer than the clock of the disk: who writes within its tick sets another time
            os.utime(descriptor, ns=(moment, moment))
            new = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        _check(_state(name, folder), before)  # as late as can be
        os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=folder)
        raise
    now = _state(name, folder)  # the new name is a change of status
    is_known = now is not None and (now.st_ino, now.st_mtime_ns) == (new.st_ino, new.st_mtime_ns)
    stamp = new.st_mtime_ns, new.st_size, look_of(now) if now is not None and is_known else 0
    return stamp, state is not None and state.st_nlink > 1, not is_ours


def _is_given(descriptor: int, old: os.stat_result | None) -> bool:
    """Give a new file to whom the old one belongs; whether it does now."""
    if old is None:
        return True
    new = os.fstat(descriptor)
    if new.st_gid != old.st_gid:
        with contextlib.suppress(OSError):
            os.fchown(descriptor, -1, old.st_gid)
    if new.st_uid != old.st_uid:
        try:
            os.fchown(descriptor, old.st_uid, -1)
        except OSError:
            return False
    return True


def _through_link(path: Path, content: bytes | None, before: Seen) -> None:
    """A linked caption: the link stays and its file changes; without content the link goes, its file does not."""
    try:
        state = path.stat()
    except FileNotFoundError:
        state = None
    try:
        _check(state, before)
    except ChangedError:
        if state is None or content is None or path.read_bytes() != content:
            raise
        return  # another link of the same transaction leads to the same file
    if content is None:
        path.unlink()
    elif state is None:
        raise OSError(0, _("it is a link to a file that is not there"))
    else:
        write_atomic(path, content)


def _is_linked(folder: int, name: str, target: str, content: bytes, code: str) -> bool:
    """Put a link where nothing is, if the file that it leads to holds the content; whether that was done."""
    temporary = _temporary(name, code)
    if _state(name, folder) is not None:
        return False
    try:
        os.symlink(target, temporary, dir_fd=folder)
    except OSError:
        return False
    try:
        descriptor = os.open(temporary, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=folder)
        try:
            is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
            holds = is_file and os.read(descriptor, len(content) + 1) == content
        finally:
            os.close(descriptor)
        if holds:
            os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        return holds
    except OSError:
        return False
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=folder)


def _temporary(name: str, code: str) -> str:
    return f".{name[:40]}.{code}{_ENDING}"


def _code(number: int) -> str:
    """A number as the eight letters that :func:`lora_tui.files.sweep_temporaries` looks for."""
    return f"t{number % 10**7:07d}"
