"""Fingerprints of images kept between runs of the program: one SQLite file in the cache folder.

An entry is valid for one path, size and time of change, and for the part of the image that is used. The store is a
convenience: when it cannot be opened or is damaged, everything works without it, only slower.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from types import TracebackType

from lora_tui.dataset.scan import DatasetImage
from lora_tui.errors import UserError

#: Rows kept; about 400 bytes each. The ones stored longest ago are removed first.
MAX_ROWS = 200_000

_VERSION = 3
_TABLE = (
    "create table if not exists fingerprints ("
    "path blob primary key, size integer not null, mtime_ns integer not null, "
    "stored integer not null, cells blob not null"
    ") without rowid"
)


class FingerprintStore:
    """The stored fingerprints, as a context; several processes may use it at once."""

    def __init__(self) -> None:
        self._database: sqlite3.Connection | None = None

    def __enter__(self) -> FingerprintStore:
        from lora_tui.settings import cache_dir

        with suppress(UserError, OSError, sqlite3.Error):
            file = cache_dir() / f"fingerprints-{_VERSION}.sqlite"
            for ending in ("", "-wal", "-shm"):  # of another kind, from before
                (cache_dir() / f"fingerprints-{_VERSION - 1}.sqlite{ending}").unlink(missing_ok=True)
            try:
                self._open(file)
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError:  # damaged: everything in it can be computed again
                self._close()
                file.unlink(missing_ok=True)
                self._open(file)
        return self

    def _open(self, file: Path) -> None:
        self._database = sqlite3.connect(file, timeout=5.0)
        self._database.execute("pragma journal_mode = wal")
        self._database.execute("pragma synchronous = normal")
        self._database.execute(_TABLE)

    def _close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._database is not None:
            with suppress(sqlite3.Error):
                self._prune(self._database)
        self._close()

    def get_many(self, images: Sequence[DatasetImage]) -> list[bytes | None]:
        """The stored cells of each image, none where there are none for its present size and time."""
        found: list[bytes | None] = [None] * len(images)
        if self._database is None:
            return found
        with suppress(sqlite3.Error):
            for index, image in enumerate(images):
                row = self._database.execute(
                    "select cells from fingerprints where path = ? and size = ? and mtime_ns = ?", _key(image)
                ).fetchone()
                found[index] = None if row is None else bytes(row[0])
        return found

    def put_many(self, entries: Iterable[tuple[DatasetImage, bytes]]) -> None:
        """Keep the cells of images, replacing what was kept for the same paths."""
        now = time.time_ns()
        rows = [(*_key(image), now, cells) for image, cells in entries]
        if self._database is None or not rows:
            return
        with suppress(sqlite3.Error), self._database:
            self._database.executemany(
                "insert or replace into fingerprints (path, size, mtime_ns, stored, cells) values (?, ?, ?, ?, ?)", rows
            )

    def _prune(self, database: sqlite3.Connection) -> None:
        rows = database.execute("select count(*) from fingerprints").fetchone()[0]
        if rows > MAX_ROWS:
            with database:
                database.execute(
                    "delete from fingerprints where path in (select path from fingerprints order by stored limit ?)",
                    (rows - MAX_ROWS,),
                )


def _key(image: DatasetImage) -> tuple[bytes, int, int]:
    folder, name = os.path.split(image.path)
    path = _folder(folder) + os.fsencode(name)
    if (part := image.crop) is not None:  # that is another picture
        path += b"\0%d,%d,%d,%d" % (part.left, part.top, part.right, part.bottom)
    return path, image.facts.size, image.facts.mtime_ns


@lru_cache(maxsize=256)
def _folder(folder: str) -> bytes:
    """A folder from the root on, links as they are, with a slash at its end."""
    return os.fsencode(os.path.join(os.path.abspath(folder), ""))  # noqa: PTH100, PTH118 - texts, for speed
