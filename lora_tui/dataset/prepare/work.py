"""The work file of a preparation: what was asked for and what is done. It makes going on possible.

It lies in ``.lora-tui/prepare/`` of the destination, one JSON object a line, only ever added to. A line says what was
written for an image that is done, so that it is not done again, and that what a person changed since is left alone.
What a killed process wrote before there was a line is known by its bytes: equal images and options give equal ones.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from lora_tui.captions.journal.log import HOME
from lora_tui.dataset.companions import is_image_name
from lora_tui.dataset.prepare.options import Options
from lora_tui.dataset.prepare.plan import Item, Plan, rooted
from lora_tui.dataset.prepare.trouble import WRITER, cannot_write
from lora_tui.errors import UserError
from lora_tui.files import open_file, sweep_temporaries
from lora_tui.text import _, plain

FOLDER = "prepare"
FILE = "work.jsonl"
VERSION = 1
_HEAD_BYTES = 100_000
PATIENCE = 15.0
"""Seconds to wait for the processes of a preparation that was killed to finish what they have in hand."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Which files of an item are ours and may be replaced, and which were changed by somebody else and stay."""

    replace: tuple[str, ...]
    keep: tuple[str, ...]


class Work:
    """The work file of one destination, locked, as a context.

    Attributes:
        folder: where it and the reports lie.
        lock: the descriptor that holds the lock; processes that inherit it hold the lock, too.
    """

    def __init__(self, destination: Path, plan: Plan) -> None:
        """``destination`` is absolute."""
        self.destination = destination
        self.folder = destination / HOME / FOLDER
        self.path = self.folder / FILE
        self.lock = -1
        self._plan = plan
        self._done: dict[str, tuple[int, int]] = {}
        self._descriptor = -1
        self._size = 0

    def __enter__(self) -> Work:
        """Open it, or begin it in a folder that is empty or not there.

        Raises:
            UserError: the folder is in use (``prepare.busy``), holds other files (``prepare.not_empty``) or another
                preparation (``prepare.other``), or cannot be written (``prepare.write``).
        """
        try:
            self._open()
        except OSError as error:
            self.__exit__()
            raise cannot_write(self.destination, error) from error
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        for descriptor in (self._descriptor, self.lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._descriptor = self.lock = -1

    @property
    def head(self) -> dict[str, Any]:
        """What the first line says: whose work this is."""
        return {"version": VERSION, "source": str(self._plan.source), "options": self._plan.options.as_dict()}

    def is_done(self, item: Item) -> bool:
        """Whether an item was made from the image as it is now, and all its files are there or put away by somebody."""
        record = self.record(item.key)
        if record is None or record["source"] != _stamp(item):
            return False
        rows = rows_of(record)
        return {row["name"] for row in rows} == set(item.names) and all(
            row.get("away") or not is_lost(row, self.destination) for row in rows
        )

    def claim(self, item: Item) -> Claim:
        """What may be done with files that have the names of an item."""
        record = self.record(item.key)
        rows = {} if record is None else {row["name"]: row for row in rows_of(record)}
        replace: list[str] = []
        keep: list[str] = []
        for name in item.names:
            if name in rows:
                (replace if is_ours(rows[name], self.destination) else keep).append(name)
        return Claim(tuple(replace), tuple(keep))

    @property
    def keys(self) -> tuple[str, ...]:
        """The images that were made, those that the source has no more among them."""
        return tuple(self._done)

    def record(self, key: str) -> dict[str, Any] | None:
        """What is known of a done item; none when it is not done."""
        place = self._done.get(key)
        if place is None:
            return None
        found: dict[str, Any] = json.loads(os.pread(self._descriptor, place[1], place[0]))
        return found

    def finish(self, item: Item, reply: Mapping[str, Any]) -> None:
        """Note what was written for an item.

        Raises:
            OSError: the disk is full or cannot be written.
        """
        made = {"files": reply["files"], "copies": reply["copies"]}
        self.note({"done": item.key, "number": item.number, "source": _stamp(item), **made})

    def note(self, record: Mapping[str, Any]) -> None:
        """Note another record of a done item; one without files means that nothing is left of it.

        Raises:
            OSError: as :meth:`finish`.
        """
        place = self._add(record)
        if rows_of(record):
            self._done[record["done"]] = place
        else:
            self._done.pop(record["done"], None)

    def _open(self) -> None:
        fresh = not self.path.exists()
        if fresh:
            self._require_empty()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.lock = _locked(self.folder / "lock", self.destination)
        fresh = not self.path.exists() or self.path.stat().st_size == 0
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        if fresh:
            self._add({"head": self.head})
        else:
            self._read(self.head)
            for folder, _folders, _files in os.walk(self.destination):
                sweep_temporaries(Path(folder), older_than=-1, by=WRITER)

    def _require_empty(self) -> None:
        try:
            there = sorted(path.name for path in self.destination.iterdir())
        except FileNotFoundError:
            return
        except NotADirectoryError as error:
            raise UserError(
                _("The destination is a file."),
                place=plain(str(self.destination)),
                remedy=_("Name a folder."),
                code="prepare.not_empty",
            ) from error
        if there and there != [HOME]:  # what a start that failed has left, or a task that is about to do this
            raise UserError(
                _("The destination is not empty: it has {name}.").format(name=plain(there[-1], limit=80)),
                place=plain(str(self.destination)),
                remedy=_("Name a folder that is empty or not there yet; nothing is overwritten."),
                code="prepare.not_empty",
            )

    def _read(self, head: Mapping[str, Any]) -> None:
        """What the work file says; a torn last line is cut off."""
        for offset, line in self._lines():
            try:
                entry = json.loads(line)
                if "head" in entry:
                    self._require_same(entry["head"], head)
                elif "done" in entry:
                    _require_sound(entry)
                    if rows_of(entry):
                        self._done[entry["done"]] = offset, len(line)
                    else:
                        self._done.pop(entry["done"], None)
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                raise _damaged(self.path) from error
        if self._size == 0:
            self._add({"head": head})

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        with open_file(self.path) as file:
            for line in file:
                if not line.endswith(b"\n"):
                    os.ftruncate(self._descriptor, self._size)
                    return
                yield self._size, line
                self._size += len(line)

    def _require_same(self, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        options = {**Options().as_dict(), **before["options"]}
        differing = sorted(name for name, value in now["options"].items() if options.get(name) != value)
        if rooted(Path(before["source"])) != Path(now["source"]):
            differing.insert(0, "source")
        if before["version"] != VERSION:
            differing.insert(0, "version")
        if differing:
            names = ", ".join(differing)
            raise UserError(
                _("Another preparation lies here: it has another {names}.").format(names=plain(names, limit=200)),
                place=plain(str(self.destination)),
                remedy=_("Give the same options to go on with it, or name another folder."),
                code="prepare.other",
            )

    def _add(self, entry: Mapping[str, Any]) -> tuple[int, int]:
        """Write a line at the end; where it begins and its bytes. One that the disk refuses leaves no trace."""
        line = json.dumps(entry).encode("ascii") + b"\n"
        offset = self._size
        try:
            written = 0
            while written < len(line):
                written += os.pwrite(self._descriptor, line[written:], offset + written)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, offset)
            raise
        self._size = offset + len(line)
        return offset, len(line)


def is_begun(destination: Path, source: Path, options: Options) -> bool:
    """Whether a part of this very preparation lies at ``destination``, so that it would be gone on with.

    Reads only. Another program that is at it just now is not noticed.

    Raises:
        UserError: the folder holds other files (``prepare.not_empty``), another preparation (``prepare.other``), or
            cannot be read (``prepare.write``).
    """
    plan = Plan(rooted(source), options, ())
    work = Work(rooted(destination), plan)
    try:
        try:
            with open_file(work.path) as file:
                line = file.readline(_HEAD_BYTES)
        except (FileNotFoundError, NotADirectoryError):
            line = b""
        if not line.endswith(b"\n"):
            work._require_empty()
            return False
    except OSError as error:
        raise cannot_write(destination, error) from error
    try:
        work._require_same(json.loads(line)["head"], work.head)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _damaged(work.path) from error
    return True


def known_numbers(destination: Path, options: Options) -> dict[str, int]:
    """The numbers that images have in the names of a preparation that lies at ``destination``, by their keys.

    Also of images that the source has no more. Empty when names have no number, and where nothing can be read.
    """
    found: dict[str, int] = {}
    if "{number" not in options.name:
        return found
    with contextlib.suppress(OSError), open_file(rooted(destination) / HOME / FOLDER / FILE) as file:
        for line in file:
            with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
                entry = json.loads(line)
                found[str(entry["done"])] = int(entry["number"])
    return found


def _damaged(path: Path) -> UserError:
    return UserError(
        _("The work file of the preparation is damaged."),
        place=plain(str(path)),
        remedy=_("Prepare into another folder."),
        code="prepare.damaged",
    )


def _locked(path: Path, destination: Path) -> int:
    """The descriptor of the lock.

    Raises:
        UserError: another preparation holds it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    end = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except BlockingIOError:
            if time.monotonic() > end:
                os.close(descriptor)
                raise UserError(
                    _("Another program is preparing images into this folder."),
                    place=plain(str(destination)),
                    remedy=_("Wait until it is done, or stop it."),
                    code="prepare.busy",
                ) from None
            time.sleep(0.1)
        except OSError:  # a file system without locks
            return descriptor


def _stamp(item: Item) -> list[Any]:
    """What an item is made from, as JSON gives it back: when that differs, it is made anew."""
    facts, crop = item.image.facts, item.image.crop
    others = [path for path, _name in item.copies] + ([] if item.mask is None else [str(item.mask.path)])
    states = {path: _state(Path(path)) for path in others}
    corners = None if crop is None else astuple(crop)
    stamp = [facts.size, facts.mtime_ns, corners, [[path, states[path]] for path in sorted(states)]]
    found: list[Any] = json.loads(json.dumps(stamp))
    return found


def rows_of(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What is noted of each file of a record: images first, then what goes along with them."""
    return [*record["files"], *record["copies"]]


def _require_sound(record: Mapping[str, Any]) -> None:
    """Refuse a record that this program cannot have written, as a destination may come from elsewhere.

    Raises:
        ValueError: a name leads out of the destination, or no file can have it.
        KeyError, TypeError: something is missing.
    """
    record["source"], record["number"]  # they have to be there
    for row in rows_of(record):
        name = row["name"]
        if not isinstance(name, str) or not name or "\0" in name or name.startswith("/") or ".." in name.split("/"):
            raise ValueError(name)
        os.fsencode(name)
        row["bytes"] + row["mtime_ns"]


def is_lost(row: Mapping[str, Any], destination: Path) -> bool:
    """Whether a file that was written is not there, or is empty as a power cut leaves it.

    An empty caption is a wish of whoever emptied it; what a power cut empties has the time at which it was written.
    """
    state = _state(destination / row["name"])
    if state is None:
        return True
    if state[0] or not row["bytes"]:
        return False
    return is_image_name(row["name"].rpartition("/")[2]) or state[1] == row["mtime_ns"]


def is_ours(row: Mapping[str, Any], destination: Path) -> bool:
    """Whether a file may be written again: nobody has changed it or put it away since it was written."""
    if is_lost(row, destination):
        return not row.get("away")
    return not row.get("kept") and _state(destination / row["name"]) == (row["bytes"], row["mtime_ns"])


def _state(path: Path) -> tuple[int, int] | None:
    """Bytes and time of change of a file; none when it is not there."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
