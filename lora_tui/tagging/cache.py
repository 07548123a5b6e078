"""Answers of models kept between runs, by the content of the image and the identity of the model: never stale.

One SQLite file in the cache folder, because an answer takes a few kilobytes and a dataset has a hundred thousand. Each
model's tags are kept along, so that filters can ask for scores while the model is not there. The store is a
convenience: where it cannot be opened or the disk is full, a run goes on without it and says so.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import sqlite3
import stat
import time
import zlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from lora_tui.errors import UserError
from lora_tui.tagging.rows import Row
from lora_tui.tagging.vocabulary import Vocabulary
from lora_tui.text import _, plain

if TYPE_CHECKING:
    from lora_tui.dataset.buckets import Box

MOST_BYTES = 4_000_000_000
"""Of the file; the answers that were stored longest ago are removed first, a tenth at a time."""

T = TypeVar("T")
Answer = Row | str
Stamp = tuple[bytes, int, int]
"""What tells a file as it is now from what it was: path, bytes, time of change (nanoseconds)."""
_VERSION = 1
_AT_ONCE, _SECONDS = 128, 2.0
"""Answers and digests that are written together, and how long they wait for others."""
_TABLES = (
    "create table if not exists models (id integer primary key, identity text unique not null, name text not null, "
    "tags blob, used integer not null)",
    "create table if not exists answers (model integer not null, image blob not null, asked blob not null, "
    "stored integer not null, answer blob not null, primary key (model, image, asked)) without rowid",
    "create table if not exists files (path blob primary key, size integer not null, mtime_ns integer not null, "
    "digest blob not null) without rowid",
)


@dataclass(frozen=True)
class KeptModel:
    """A model that the store has answers of.

    Attributes:
        number: in the store.
        name: as a person knows it.
        vocabulary: its tags; none for models that write sentences.
    """

    number: int
    name: str
    vocabulary: Vocabulary | None


class AnswerCache:
    """The store, as a context; several processes may use it at once, one thread each.

    Attributes:
        problem: why nothing is kept, for a person; empty while all is well.
    """

    def __init__(self, file: Path | None = None) -> None:
        self.problem = ""
        self._place = self._file = file
        self._opened = 0  # the inode of the file
        self._noted: dict[int, tuple[Any, ...]] = {}  # what was noted of models, by their numbers
        self._database: sqlite3.Connection | None = None
        self._written = 0.0
        self._answers: dict[tuple[int, bytes, bytes], bytes] = {}  # what is not on disk yet
        self._digests: dict[Stamp, bytes] = {}

    def __enter__(self) -> AnswerCache:
        from lora_tui.settings import cache_dir

        try:
            file = self._place or cache_dir() / f"answers-{_VERSION}.sqlite"
            self._file = file
            try:
                self._open(file)
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError:
                self._make_anew()
        except (UserError, OSError, sqlite3.Error) as error:
            self._failed(error)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.flush()
        with suppress(sqlite3.Error):
            self._prune()
        self._close()

    def model(self, identity: str, name: str, vocabulary: Vocabulary | None) -> int:
        """The number of a model in the store, noted as used now; 0 when nothing can be kept."""
        if self._database is None:
            return 0
        tags = None
        if vocabulary is not None:
            tags = zlib.compress(json.dumps([vocabulary.names, vocabulary.categories]).encode())
        # A number that only this model can have, in whatever file: it stays right when the file is made anew.
        number = int.from_bytes(hashlib.blake2b(identity.encode(), digest_size=7).digest(), "big")
        noted = number, identity, name, tags, time.time_ns()

        def note(database: sqlite3.Connection) -> int:
            with database:
                database.execute(
                    "insert into models (id, identity, name, tags, used) values (?, ?, ?, ?, ?) "
                    "on conflict (identity) do update set name = excluded.name, used = excluded.used",
                    noted,
                )
            row = database.execute("select id from models where identity = ?", (identity,)).fetchone()
            return int(row[0])

        found = self._done(note) or 0
        if found:
            self._noted[found] = noted[1:]
        return found

    def models(self) -> list[KeptModel]:
        """All models that know tags, the one used last first."""
        if self._database is None:
            return []
        found = []
        with suppress(sqlite3.Error, ValueError, zlib.error):
            for number, name, tags in self._database.execute(
                "select id, name, tags from models where tags is not null order by used desc"
            ):
                names, categories = json.loads(zlib.decompress(tags))
                found.append(KeptModel(number, name, Vocabulary(tuple(names), tuple(categories))))
        return found

    def newest(self) -> tuple[int, int]:
        """What changes when another model that knows tags is noted, or one is used again."""
        if self._database is None:
            return 0, 0
        with suppress(sqlite3.Error):
            row = self._database.execute("select max(id), max(used) from models where tags is not null").fetchone()
            return row[0] or 0, row[1] or 0
        return 0, 0

    def get(self, model: int, image: bytes, asked: bytes = b"") -> Answer | None:
        """What a model answered; none when it never did.

        Args:
            image: the key of what the model saw, see :func:`key_of`.
            asked: digest of what it was asked, for models that read a prompt.
        """
        if self._database is None or not model:
            return None
        key = model, image, asked
        data = self._answers.get(key)
        if data is None:
            row = self._row("select answer from answers where model = ? and image = ? and asked = ?", key)
            data = None if row is None else row[0]
        with suppress(ValueError):
            if data is not None:
                return Row.unpacked(data[1:]) if data[:1] == b"r" else str(data[1:], "utf-8")
        return None

    def put(self, model: int, image: bytes, answer: Answer, asked: bytes = b"") -> None:
        """Keep an answer; it is on disk within seconds while answers come."""
        if self._database is not None and model:
            data = b"r" + answer.packed() if isinstance(answer, Row) else b"t" + answer.encode("utf-8", "replace")
            self._answers[model, image, asked] = data
            self._flush_now_and_then()

    def digest(self, path: Path) -> bytes | None:
        """The digest of a file as it is now, when it is known; none when it must be read, or is not there."""
        found = self.known(path)
        return None if found is None else found[1]

    def known(self, path: Path) -> tuple[Stamp, bytes] | None:
        """How a file looks now, and its digest; none as for :meth:`digest`."""
        if self._database is None:
            return None
        try:
            stamp = stamp_of(path)
        except OSError:
            return None
        if stamp in self._digests:
            return stamp, self._digests[stamp]
        row = self._row("select digest from files where path = ? and size = ? and mtime_ns = ?", stamp)
        return None if row is None else (stamp, bytes(row[0]))

    def note_digest(self, stamp: Stamp, digest: bytes) -> None:
        """Keep the digest of a file that looked so, see :func:`read_digest`."""
        if self._database is not None:
            self._digests[stamp] = digest
            self._flush_now_and_then()

    def digest_of(self, path: Path) -> bytes:
        """The digest of a file, read when it is not known.

        Raises:
            OSError: the file cannot be read.
        """
        known = self.digest(path)
        if known is None:
            stamp, known = read_digest(path)
            self.note_digest(stamp, known)
        return known

    def flush(self) -> None:
        """Bring what was put to disk, in one short transaction, so that nobody waits for this process."""
        self._written = time.monotonic()
        answers, self._answers = self._answers, {}
        digests, self._digests = self._digests, {}
        if self._database is None or not (answers or digests):
            return
        now = time.time_ns()

        def write(database: sqlite3.Connection) -> None:
            with database:
                database.executemany(
                    "insert or replace into answers values (?, ?, ?, ?, ?)",
                    [(*key, now, data) for key, data in answers.items()],
                )
                database.executemany(
                    "insert or replace into files values (?, ?, ?, ?)",
                    [(*stamp, digest) for stamp, digest in digests.items()],
                )

        self._done(write)

    def _flush_now_and_then(self) -> None:
        if len(self._answers) + len(self._digests) >= _AT_ONCE or time.monotonic() - self._written > _SECONDS:
            self.flush()

    def _open(self, file: Path) -> None:
        # Filters of the app ask from a thread of their own, one at a time.
        self._database = sqlite3.connect(file, timeout=10.0, check_same_thread=False)
        self._database.execute("pragma journal_mode = wal")
        self._database.execute("pragma synchronous = normal")
        for table in _TABLES:
            self._database.execute(table)
        self._opened = file.stat().st_ino

    def _done(self, act: Callable[[sqlite3.Connection], T]) -> T | None:
        """Do something to the store; where a page of it is damaged, to a new one. None when nothing can be kept."""
        try:
            if self._database is None:
                return None
            try:
                return act(self._database)
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise
                self._make_anew()
                return act(self._database)
        except (OSError, sqlite3.Error) as error:
            self._failed(error)
            return None

    def _row(self, query: str, values: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """The first row that a query finds; what only this moment cannot be read counts as not there."""

        def ask(database: sqlite3.Connection) -> tuple[Any, ...] | None:
            try:
                found: tuple[Any, ...] | None = database.execute(query, values).fetchone()
                return found
            except sqlite3.Error as error:
                if _is_damage(error):
                    raise
                return None

        return self._done(ask)

    def _make_anew(self) -> None:
        """Begin a new file in place of the damaged one: everything in it can be asked again.

        Models keep the numbers by which this process knows them. A file that another process has put there is taken.
        """
        assert self._file is not None
        self._close()
        with suppress(FileNotFoundError):
            if self._opened in (0, self._file.stat().st_ino):
                for ending in ("", "-wal", "-shm"):
                    Path(f"{self._file}{ending}").unlink(missing_ok=True)
        self._open(self._file)
        assert self._database is not None
        with self._database:
            self._database.executemany(
                "insert or ignore into models (id, identity, name, tags, used) values (?, ?, ?, ?, ?)",
                [(number, *noted) for number, noted in self._noted.items()],
            )

    def _close(self) -> None:
        if self._database is not None:
            with suppress(sqlite3.Error):
                self._database.close()
            self._database = None

    def _failed(self, error: Exception) -> None:
        """Go on without the store."""
        self.problem = self.problem or plain(str(error), limit=200)
        self._close()

    def _prune(self) -> None:
        database = self._database
        if database is None:
            return
        pages, free, size = (
            database.execute(f"pragma {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
        if (pages - free) * size > MOST_BYTES:
            with database:
                rows = database.execute("select count(*) from answers").fetchone()[0]
                database.execute(
                    "delete from answers where (model, image, asked) in "
                    "(select model, image, asked from answers order by stored limit ?)",
                    (rows // 10 + 1,),
                )


def _is_damage(error: sqlite3.Error) -> bool:
    """Whether the file itself is at fault, and not the disk, its room or somebody who holds it."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def keeping_failed(reason: str) -> str:
    """The warning of a run whose answers are not kept."""
    return _("The answers of the models are not kept ({reason}); other thresholds will need the models again.").format(
        reason=reason
    )


def read_digest(path: Path) -> tuple[Stamp, bytes]:
    """What identifies a file now (path, size, time of change), and BLAKE2b (20 bytes) of its content.

    Raises:
        OSError: the file cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe would be waited for
    with os.fdopen(descriptor, "rb") as file:
        state = os.fstat(file.fileno())
        if not stat.S_ISREG(state.st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=20)).digest()
    return (_name(path), state.st_size, state.st_mtime_ns), digest


def digest_of_parts(parts: Iterable[str | bytes]) -> bytes:
    """BLAKE2b (20 bytes) of some texts and digests, each with its length."""
    whole = hashlib.blake2b(digest_size=20)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        whole.update(len(data).to_bytes(8, "little") + data)
    return whole.digest()


def key_of(digest: bytes, part: Box | None) -> bytes:
    """What an image is kept by: the digest of its file, and the part of it that was looked at."""
    return digest if part is None else digest_of_parts((digest, f"{part.left},{part.top},{part.right},{part.bottom}"))


def stamp_of(path: Path) -> Stamp:
    """How a file looks now.

    Raises:
        OSError: it is not there.
    """
    state = path.stat()
    return _name(path), state.st_size, state.st_mtime_ns


def _name(path: Path) -> bytes:
    folder, name = os.path.split(path)
    return os.fsencode(f"{_real(folder)}/{name}")


@lru_cache(maxsize=4096)
def _real(folder: str) -> str:
    """A folder without links, found out once: a dataset has many images in few folders."""
    return os.path.realpath(folder)
