"""Taking turns at the files of a run folder, between processes of several machines that share its disk.

Locks of the system do not reach from one machine to the other on every shared disk, and what is appended may be torn
there. A rename is done by the disk alone. So whose turn it is, is a folder with one file in it, a ticket: it is made
under a name of its own and renamed, which succeeds where there is nothing or an empty folder, and fails where a ticket
lies. Without its ticket a turn is over: it is taken away by whoever had it, or, when it is :data:`STALE` seconds old,
by somebody who waits. Tickets have names that never come again, so nobody takes away another one than they saw.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from lora_tui.jobs.process import host

NAME = ".slurm.turn"
STALE = 15.0
"""Seconds after which whoever has the turn counts as killed: it takes milliseconds."""
LOOK = 0.02
"""Seconds between looks, at most; they are of unequal length, so that those who wait do not get in step."""


@contextlib.contextmanager
def turn(folder: Path) -> Iterator[Callable[[], bool]]:
    """Wait for the turn and have it; given is whether it is still had, to be asked before what was done is made known.

    Raises:
        OSError: the folder cannot be written.
    """
    name = f"{host()[:40]}-{os.getpid()}-{os.urandom(6).hex()}"
    place, own = folder / NAME, folder / f"{NAME}.{name}"
    try:
        while not _taken(own, place, name):
            now = (own / name).stat().st_mtime  # by the clock of the disk, as all tickets are
            for other in (place, *folder.glob(f"{NAME}.*")):
                _end_stale(other, now)
            time.sleep(LOOK * random.random())
        yield lambda: _touched(place / name)
    finally:
        for one in (own, place):
            with contextlib.suppress(OSError):
                (one / name).unlink()
            with contextlib.suppress(OSError):
                one.rmdir()  # not where it is another's by now


def _taken(own: Path, place: Path, name: str) -> bool:
    own.mkdir(exist_ok=True)  # it is gone where this process was stopped for long
    (own / name).touch()
    try:
        own.rename(place)
    except OSError as error:
        if _touched(place / name):  # the disk has done it, and its answer was lost
            return True
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return False
    return True


def _touched(ticket: Path) -> bool:
    """Whether it is there; told by the disk, not by what this machine remembers of it."""
    try:
        os.utime(ticket)
    except OSError:
        return False
    return True


def _end_stale(folder: Path, now: float) -> None:
    """Take a ticket away that is too old, and the folder where it is empty."""
    with contextlib.suppress(OSError):
        for ticket in folder.iterdir():
            if now - ticket.stat().st_mtime > STALE:
                ticket.unlink()
        if now - folder.stat().st_mtime > STALE or folder.name == NAME:
            folder.rmdir()
