"""Putting contents in their files, each whole or not at all, once the journal holds them.

Nothing is flushed file by file: the journal was, and one ``syncfs`` at the end does the rest.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from lora_tui.files import default_mode, kind_of, write_atomic
from lora_tui.text import _

_ENDING = ".lora-tui.tmp"


def read(home: Path, name: str) -> bytes | None:
    """What a file holds, none when there is none.

    Raises:
        OSError: it is there and cannot be read.
    """
    try:
        return Path(home, name).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


def place(home: Path, contents: Mapping[str, bytes | None], number: int) -> dict[str, OSError]:
    """Write or remove files; one that fails does not keep the others from being done.

    Args:
        contents: by name relative to ``home``; none removes the file.
        number: of the transaction, which names the temporary files, so that recovery finds those of a killed process.

    Returns:
        The error of each file that was left as it was.
    """
    failed: dict[str, OSError] = {}
    mode = default_mode()
    for name, content in contents.items():
        try:
            _place(os.path.join(home, name), content, number, mode)  # noqa: PTH118 - tens of thousands of them
        except OSError as error:
            failed[name] = error
    sync(home)
    return failed


def sweep(home: Path, names: Iterable[str], numbers: Iterable[int]) -> None:
    """Remove the temporary files that a killed process left of these transactions."""
    codes = [_code(number) for number in numbers]
    for name in names:
        for code in codes:
            with contextlib.suppress(OSError):
                os.unlink(_temporary(os.path.join(home, name), code))  # noqa: PTH108, PTH118


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


def _place(path: str, content: bytes | None, number: int, mode: int) -> None:
    try:
        state = os.lstat(path)
    except FileNotFoundError:
        state = None
    if state is not None and stat.S_ISLNK(state.st_mode):
        _through_link(Path(path), content)
        return
    if state is not None:
        if kind := kind_of(state.st_mode):
            raise OSError(0, _("it is {kind}, not a file").format(kind=kind))
        if not state.st_mode & 0o222:
            raise PermissionError(13, _("it is read-only"))
    if content is None:
        if state is not None:
            os.unlink(path)  # noqa: PTH108
        return
    temporary = _temporary(path, _code(number))
    wanted = mode if state is None else state.st_mode & 0o7777
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(temporary, flags, 0o666)
    try:
        try:
            written = os.write(descriptor, content)
            if written != len(content):
                raise OSError(28, _("the disk is full"))
            if wanted != mode:
                os.fchmod(descriptor, wanted)
        finally:
            os.close(descriptor)
        os.replace(temporary, path)  # noqa: PTH105
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
        raise


def _through_link(path: Path, content: bytes | None) -> None:
    """A linked caption: the link stays and its file changes; without content the link goes, its file does not."""
    if content is None:
        path.unlink()
    else:
        write_atomic(path, content)


def _temporary(path: str, code: str) -> str:
    folder, name = os.path.split(path)
    return os.path.join(folder, f".{name[:40]}.{code}{_ENDING}")  # noqa: PTH118


def _code(number: int) -> str:
    """A number as the eight letters that :func:`lora_tui.files.sweep_temporaries` looks for."""
    return f"t{number % 10**7:07d}"
