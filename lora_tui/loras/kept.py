"""What the headers of LoRA files said, kept between runs of the program, so that a list of thousands is there at once.

One SQLite file in the cache folder. An entry holds for one path, size, time of change and inode, and for the version of
the program that read it. A convenience: when it cannot be opened or is damaged, every header is read again.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from lora_tui import __version__
from lora_tui.errors import UserError
from lora_tui.loras.files import LoraFile
from lora_tui.settings import cache_dir

MAX_ROWS = 60_000
"""Entries kept, about 1 kB each; those that were stored longest ago are removed first."""
SETTLED_SECONDS = 2.0
"""How old a file's last change must be: file systems with coarse clocks tell two seconds apart."""
AT_ONCE = 256
"""Entries that are written together."""
LAYOUT = 1
"""Version of what is kept; with the program's own it decides whether an entry is good."""
NAME = "loras-1.sqlite"
Stamp = tuple[int, int, int]
"""Size, time of change in nanoseconds, and inode."""
_TABLE = (
    "create table if not exists files (path blob primary key, size integer not null, mtime_ns integer not null, "
    "inode integer not null, read_by text not null, stored integer not null, row text not null) without rowid"
)
_BY = f"{__version__}/{LAYOUT}"


def stamp_of(about: os.stat_result) -> Stamp:
    """What tells a file as it is now from what it was."""
    return about.st_size, about.st_mtime_ns, about.st_ino


class KeptRows:
    """The store while it is open, see :func:`kept_rows`; for one user at a time, from whatever thread."""

    def __init__(self, database: sqlite3.Connection | None) -> None:
        self._database = database
        self._new: list[tuple[Any, ...]] = []

    def get(self, path: Path, stamp: Stamp) -> tuple[LoraFile | None] | None:
        """What was read of the file, in a tuple of one; none where that is not known of it as it is now."""
        if self._database is None:
            return None
        with suppress(sqlite3.Error, ValueError, TypeError, KeyError, AttributeError):
            asked = (_key(path), *_signed(stamp), _BY)
            found = self._database.execute(
                "select row from files where path = ? and size = ? and mtime_ns = ? and inode = ? and read_by = ?",
                asked,
            ).fetchone()
            if found is not None:
                return (_row(path, stamp, json.loads(found[0])),)
        return None

    def put(self, path: Path, stamp: Stamp, row: LoraFile | None) -> None:
        """Keep what was read; none is a file that holds no LoRA. What is broken, or not settled yet, is not kept."""
        settled = time.time() - stamp[1] / 1e9 > SETTLED_SECONDS
        if self._database is None or not settled or (row is not None and row.problem is not None):
            return
        self._new.append((_key(path), *_signed(stamp), _BY, time.time_ns(), json.dumps(_told(row))))
        if len(self._new) >= AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Write what was put."""
        new, self._new = self._new, []
        if self._database is not None and new:
            with suppress(sqlite3.Error), self._database:
                self._database.executemany("insert or replace into files values (?, ?, ?, ?, ?, ?, ?)", new)

    def prune(self) -> None:
        """Remove the oldest entries above :data:`MAX_ROWS`."""
        if self._database is None:
            return
        with suppress(sqlite3.Error), self._database:
            count = self._database.execute("select count(*) from files").fetchone()[0]
            if count > MAX_ROWS:
                self._database.execute(
                    "delete from files where path in (select path from files order by stored limit ?)",
                    (count - MAX_ROWS,),
                )


@contextmanager
def kept_rows() -> Iterator[KeptRows]:
    """The store; one that knows and keeps nothing where it cannot be opened."""
    database = None
    with suppress(UserError, OSError, sqlite3.Error):
        file = cache_dir() / NAME
        try:
            database = _opened(file)
        except sqlite3.OperationalError:  # busy, read-only or full
            raise
        except sqlite3.DatabaseError:  # damaged: everything in it can be read again
            file.unlink(missing_ok=True)
            database = _opened(file)
    kept = KeptRows(database)
    try:
        yield kept
    finally:
        kept.flush()
        kept.prune()
        if database is not None:
            database.close()


def _opened(file: Path) -> sqlite3.Connection:
    database = sqlite3.connect(file, timeout=1.0, check_same_thread=False)
    try:
        database.execute("pragma journal_mode = wal")
        database.execute("pragma synchronous = normal")
        database.execute(_TABLE)
    except BaseException:
        database.close()
        raise
    return database


def _key(path: Path) -> bytes:
    return os.fsencode(path.absolute())


def _signed(stamp: Stamp) -> Stamp:
    """Within what SQLite holds: some file systems have inodes beyond it."""
    size, changed, inode = stamp
    return size, changed, inode - (1 << 64) if inode >= 1 << 63 else inode


def _told(row: LoraFile | None) -> dict[str, Any] | None:
    """A row without its path, size and time, which the file itself tells, as JSON can hold it."""
    if row is None:
        return None
    return {name: value for name, value in vars(row).items() if name not in ("path", "size", "modified", "problem")}


def _row(path: Path, stamp: Stamp, told: dict[str, Any] | None) -> LoraFile | None:
    if told is None:
        return None
    plain: dict[str, Any] = {n: tuple(value) if isinstance(value, list) else value for n, value in told.items()}
    return replace(LoraFile(path, stamp[0], stamp[1] / 1e9), **plain)
