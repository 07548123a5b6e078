"""Taking turns at a file of a run folder, between processes of several machines that share its disk.

Locks of the system do not reach from one machine to the other on every shared disk, and what is appended may be torn
there. A rename is done by the disk alone. So whose turn it is, is a folder with one file in it, a ticket: it is made
under a name of its own and renamed, which succeeds where there is nothing or an empty folder, and fails where a ticket
lies. Without its ticket a turn is over: it is taken away by whoever had it, or, when it is :data:`STALE` seconds old,
by somebody who waits. Tickets have names that never come again, so nobody takes away another one than they saw.

What is written is written into the ticket, which is renamed to the file. So whoever was stopped for so long that
somebody else had the turn, does not write over what was changed meanwhile: their ticket is gone.

Nobody waits for ever: a ticket that is over and cannot be taken away, for it is another user's or the folder may only
be read, is told as an error that says which file it is and what to do.
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
from lora_tui.text.plain import plain
from lora_tui.text.translate import _

NAME = ".slurm.turn"
STALE = 15.0
"""Seconds after which whoever has the turn counts as killed: it takes milliseconds."""
LOOK = 0.02
"""Seconds between looks, at most; they are of unequal length, so that those who wait do not get in step."""
PATIENCE = 5.0
"""Seconds for which a ticket that is over is tried to be taken away where the disk gives no clear answer."""

_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.EISDIR})
"""Answers that another try does not change."""


class StuckTurn(OSError):
    """A turn is over and cannot be ended by this process; ``strerror`` is a sentence with the file and the remedy."""


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
        StuckTurn: whoever had it is gone, and their ticket cannot be taken away.
        OSError: the folder cannot be written.
    """
    name = f"{host()[:40]}-{os.getpid()}-{os.urandom(6).hex()}"
    place, own = folder / NAME, folder / f"{NAME}.{name}"
    watch = _Watch(place)
    try:
        while not _taken(own, place, name):
            with contextlib.suppress(FileNotFoundError):  # taken away while this process was stopped
                now = (own / name).stat().st_mtime  # by the clock of the disk, as all tickets are
                watch.look(now)
                for other in folder.glob(f"{NAME}.*"):
                    _end_stale(other, now)
            time.sleep(LOOK * random.random())
        yield Turn(place / name)
    finally:
        for one in (own, place):
            with contextlib.suppress(OSError):
                (one / name).unlink()
            with contextlib.suppress(OSError):
                one.rmdir()  # not where it is another's by now


class _Watch:
    """What somebody who waits has seen of the turn of another."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._ticket = place
        self._since = self._refused = 0.0

    def look(self, now: float) -> None:
        """Take the ticket away where its turn is over: by the clock of the disk, or seen for so long here.

        Raises:
            StuckTurn: it cannot be taken away.
        """
        try:
            ticket = next(self._place.iterdir(), None)
            if ticket is None:
                self._place.rmdir()  # one without a ticket is in nobody's way
                return
            made = ticket.lstat().st_mtime
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                return  # taken meanwhile
            self._seen(self._place)
            self._refuse(error)
            return
        self._seen(ticket)
        if now - made <= STALE and time.monotonic() - self._since <= STALE:
            return
        try:
            ticket.unlink()
        except FileNotFoundError:
            return
        except OSError as error:
            self._refuse(error, sure=error.errno in _FORBIDDEN)

    def _seen(self, ticket: Path) -> None:
        if ticket != self._ticket or not self._since:
            self._ticket, self._since, self._refused = ticket, time.monotonic(), 0.0

    def _refuse(self, error: OSError, *, sure: bool = False) -> None:
        self._refused = self._refused or time.monotonic()
        if sure or time.monotonic() - self._refused > PATIENCE:
            name = plain(str(self._ticket.relative_to(self._place.parent)))
            text = _("{file} of an ended process cannot be removed ({reason}); delete it, or have its owner do so")
            text = text.format(file=name, reason=os.strerror(error.errno or errno.EIO))
            raise StuckTurn(error.errno or errno.EIO, text, str(self._ticket)) from error


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
    """Take away what somebody left who waited and is gone, where that can be done."""
    with contextlib.suppress(OSError):
        for ticket in folder.iterdir():
            if now - ticket.stat().st_mtime > STALE:
                ticket.unlink()
        if now - folder.stat().st_mtime > STALE:
            folder.rmdir()
