"""Taking turns at a file of a run folder, between processes of several machines that share its disk.

Locks of the system do not reach from one machine to the other on every shared disk, and what is appended may be torn
there. A rename is done by the disk alone. So whose turn it is, is a folder with one file in it, a ticket: it is made
under a name of its own and renamed, which succeeds where there is nothing or an empty folder, and fails where a ticket
lies. Without its ticket a turn is over: it is taken away by whoever had it, or, when it is :data:`STALE` seconds old,
by somebody who waits. Tickets have names that never come again, so nobody takes away another one than they saw.

What is written is written into the ticket, which is renamed to the file. So whoever was stopped for so long that
somebody else had the turn, does not write over what was changed meanwhile: their ticket is gone.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

from lora_tui.files import sync_folder
from lora_tui.jobs.process import host

NAME = ".slurm.turn"
STALE = 15.0
"""Seconds after which whoever has the turn counts as killed: it takes milliseconds."""
LOOK = 0.02
"""Seconds between looks, at most; they are of unequal length, so that those who wait do not get in step."""


class Turn:
    """A turn at the files of a folder."""

    def __init__(self, ticket: Path) -> None:
        self._ticket = ticket

    def replace(self, path: Path, data: bytes) -> bool:
        """Make ``data`` the content of ``path``, and end the turn; false where it was taken away, and nothing is done.

        Raises:
            OSError: the disk is full or cannot be written.
        """
        try:
            with self._ticket.open("r+b") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            self._ticket.replace(path)
        except FileNotFoundError:
            return False
        sync_folder(path.parent)
        return True


@contextlib.contextmanager
def turn(folder: Path) -> Iterator[Turn]:
    """Wait for the turn and have it.

    Raises:
        OSError: the folder cannot be written.
    """
    name = f"{host()[:40]}-{os.getpid()}-{os.urandom(6).hex()}"
    place, own = folder / NAME, folder / f"{NAME}.{name}"
    try:
        while not _taken(own, place, name):
            with contextlib.suppress(FileNotFoundError):  # taken away while this process was stopped
                now = (own / name).stat().st_mtime  # by the clock of the disk, as all tickets are
                for other in (place, *folder.glob(f"{NAME}.*")):
                    _end_stale(other, now)
            time.sleep(LOOK * random.random())
        yield Turn(place / name)
    finally:
        for one in (own, place):
            with contextlib.suppress(OSError):
                (one / name).unlink()
            with contextlib.suppress(OSError):
                one.rmdir()  # not where it is another's by now


def _taken(own: Path, place: Path, name: str) -> bool:
    try:
        own.mkdir(exist_ok=True)
        (own / name).touch()
        own.rename(place)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.utime(place / name)
            return True  # the disk has done it, and its answer was lost
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        if error.errno == errno.ENOENT and place.parent.is_dir():
            return False  # it was taken away while this process was stopped for long
        raise
    return True


def _end_stale(folder: Path, now: float) -> None:
    """Take a ticket away that is too old, and the folder where it is empty."""
    with contextlib.suppress(OSError):
        for ticket in folder.iterdir():
            if now - ticket.stat().st_mtime > STALE:
                ticket.unlink()
        if now - folder.stat().st_mtime > STALE or folder.name == NAME:
            folder.rmdir()
