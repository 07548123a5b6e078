"""What decoding has said of image files, kept between runs of the program: one SQLite file in the cache folder.

A scan asks here, so that the plan before a run knows of the damage that an earlier look at the pixels found. A verdict
holds for one path, size and time of change, and for one version of Pillow. The store is a convenience: where it cannot
be opened, a damaged image is found again when it is decoded.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

from lora_tui.dataset.eyes import Eyes, eyes_now
from lora_tui.dataset.facts import ImageFacts
from lora_tui.errors import UserError
from lora_tui.text import _, plain

#: Rows kept; the ones stored longest ago are removed first.
MAX_ROWS = 10_000

_FILE = "verdicts-1.sqlite"
_TABLE = (
    "create table if not exists verdicts ("
    "path blob primary key, size integer not null, mtime_ns integer not null, reader text not null, "
    "stored integer not null, reason text not null"
    ") without rowid"
)
_Key = tuple[bytes, int, int]


class PassingError(Exception):
    """The cause of an error of an image that may be gone at the next look, as another process has told it."""


class Verdicts:
    """The verdicts that are stored now, read once; new ones are written at once."""

    def __init__(self) -> None:
        self._eyes = eyes_now()
        self._known: dict[_Key, str] | None = None

    def damage(self, path: Path, facts: ImageFacts) -> UserError | None:
        """The error that decoding the file gives, when that is known or the file's end makes it doubtful.

        A doubtful file is decoded now, once for its present size and time of change.
        """
        if self._known is None:
            self._known = _read()
        if facts.complete and not self._known:
            return None
        key = _key(path, facts)
        reason = self._known.get(key)
        if reason is None and not facts.complete:
            reason = self._known[key] = _decode(path, facts, self._eyes)
        return damaged(path, reason) if reason else None


def remember_damage(path: Path, facts: ImageFacts, error: UserError) -> None:
    """Keep that decoding the file failed with ``error``; what a disk or a missing library did is not kept.

    Nor is what befell another file than that of ``facts``: one that was changed since, or is being written.
    """
    if lasting(error) and _is_still(path, facts):
        cause = error.__cause__
        _store(path, facts, plain(str(cause), limit=120) or type(cause).__name__)


def lasting(error: UserError) -> bool:
    """Whether decoding will always fail with this error, as long as the file is the same."""
    cause = error.__cause__
    passing = isinstance(cause, ImportError | PassingError) or (isinstance(cause, OSError) and cause.errno is not None)
    return error.code == "image.damaged" and cause is not None and not passing


def damaged(path: Path, reason: str) -> UserError:
    """The error of an image that cannot be decoded; ``reason`` is the decoder's, untranslated."""
    return UserError(
        _("The image is damaged or cut short: {reason}.").format(reason=plain(reason, limit=120)),
        place=plain(str(path)),
        remedy=_("Copy it again, open and save it in another program, or remove it."),
        code="image.damaged",
    )


def crashed(path: Path, status: int) -> UserError:
    """The error of an image over which the process that looked at it died with ``status``."""
    return UserError(
        _("The process that decoded the image died (status {status}).").format(status=status),
        place=plain(str(path)),
        remedy=_("Open and save the image in another program, or remove it; or free some memory."),
        code="image.crashed",
    )


def _is_still(path: Path, facts: ImageFacts) -> bool:
    try:
        status = path.stat()
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns) == (facts.size, facts.mtime_ns)


def _decode(path: Path, facts: ImageFacts, eyes: Eyes) -> str:
    """Why the file cannot be decoded, empty when it can; what may pass is not kept, and is found again in the run."""
    try:
        eyes.verify(path)
    except UserError as error:
        remember_damage(path, facts, error)
        return str(error.__cause__ or error.message) if error.code == "image.damaged" else ""
    _store(path, facts, "")
    return ""


def _read() -> dict[_Key, str]:
    file = _place()
    if file is None or not file.exists():
        return {}
    with suppress(OSError, sqlite3.Error), closing(sqlite3.connect(file, timeout=5.0)) as database:
        rows = database.execute("select path, size, mtime_ns, reason from verdicts where reader = ?", (_reader(),))
        return {(bytes(path), size, mtime_ns): reason for path, size, mtime_ns, reason in rows}
    return {}


def _store(path: Path, facts: ImageFacts, reason: str) -> None:
    file = _place()
    if file is None:
        return
    row = (*_key(path, facts), _reader(), time.time_ns(), reason)
    for _attempt in range(2):
        try:
            with closing(sqlite3.connect(file, timeout=5.0)) as database, database:
                database.execute(_TABLE)
                database.execute("insert or replace into verdicts values (?, ?, ?, ?, ?, ?)", row)
                database.execute(
                    "delete from verdicts where stored < (select stored from verdicts "
                    "order by stored desc limit 1 offset ?)",
                    (MAX_ROWS,),
                )
            return
        except sqlite3.OperationalError:  # busy, read-only or full
            return
        except sqlite3.DatabaseError:  # damaged: everything in it can be found out again
            with suppress(OSError):
                file.unlink(missing_ok=True)


def _place() -> Path | None:
    from lora_tui.settings import cache_dir

    try:
        return cache_dir() / _FILE
    except UserError:  # no cache folder can be made
        return None


def _reader() -> str:
    from PIL import __version__

    return __version__


def _key(path: Path, facts: ImageFacts) -> _Key:
    return os.fsencode(os.path.abspath(path)), facts.size, facts.mtime_ns  # noqa: PTH100 - links stay
