"""The records of moves, as they stand in ``.lora-tui/moves/`` of a dataset, and what may be done by them.

A dataset may come from anywhere, its records with it. So they are obeyed within the dataset alone, never through links
that lead out of it; files that went elsewhere come back only by a record that bears our mark. What lies in the trash
without a record that can be read stands for itself: its names say where it was.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from lora_tui.captions.journal.log import HOME
from lora_tui.dataset.companions import is_image_name
from lora_tui.errors import UserError
from lora_tui.files import kind_of, open_file, write_atomic, write_new
from lora_tui.settings import state_dir
from lora_tui.text import _, plain

_LARGEST = 1 << 28
_LATEST = 32503680000.0
_COUNT = "count"
_KEY = "moves.key"
_DAMAGE = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError)
"""What comes of reading a record that is damaged, or no file."""


@dataclass(frozen=True)
class Move:
    """What was moved together.

    Attributes:
        number: within its dataset, from 1; 0 when nothing was moved, and nothing can be taken back.
        kind: ``trash`` or ``move``.
        created: unix seconds.
        pairs: where each file was and where it went, relative to the dataset's home with ``/``; the last may be
            absolute when it left the dataset.
        images: how many of them are images.
        heads: which of them are, as they were called; each is followed by what belongs to it.
        back: it was taken back.
        failed: files that stayed where they were, with the reason.
    """

    number: int
    kind: str
    created: float
    pairs: tuple[tuple[str, str], ...]
    images: int
    back: bool = False
    failed: tuple[tuple[str, str], ...] = ()
    heads: frozenset[str] = frozenset()

    def groups(self) -> list[list[tuple[str, str]]]:
        """The pairs, those of an image and its companions together."""
        found: list[list[tuple[str, str]]] = []
        for pair in self.pairs:
            if pair[0] in self.heads or not found:
                found.append([])
            found[-1].append(pair)
        return found


def moves_of(home: Path) -> list[Move]:
    """The moves of a dataset, newest first; one that cannot be read is made out from what lies in the trash, if any."""
    found: dict[int, Move] = {}
    for path in _records(home):
        with contextlib.suppress(*_DAMAGE):
            found[int(path.stem)] = _read(path)
    for number in _in_trash(home) - found.keys():
        if (one := _made_out(home, number)).pairs:
            found[number] = one
    return sorted(found.values(), key=lambda one: one.number, reverse=True)


def unreadable(home: Path) -> list[Path]:
    """The records that cannot be read, by number."""
    found = []
    for path in sorted(_records(home), key=lambda path: int(path.stem)):
        try:
            _read(path)
        except _DAMAGE:
            found.append(path)
    return found


def record_of(home: Path, number: int) -> Path:
    """Where the record of a move lies."""
    return home / HOME / "moves" / f"{number}.json"


def next_number(home: Path) -> int:
    """A number that no move of this dataset ever had."""
    return _highest(home) + 1


def keep_count(home: Path) -> None:
    """Keep the highest number where it outlives its record: another move with it would be taken for the old one.

    Raises:
        OSError: it cannot be written.
    """
    write_atomic(home / HOME / "moves" / _COUNT, str(_highest(home)).encode())


def write(home: Path, one: Move) -> None:
    """Write a record in place of an older one of its number.

    Raises:
        OSError: it cannot be written.
    """
    value = {
        "number": one.number,
        "kind": one.kind,
        "created": one.created,
        "pairs": one.pairs,
        "images": one.images,
        "back": one.back,
        "heads": sorted(one.heads),
    }
    if _leaves(one.pairs):
        value["mark"] = _mark(one.pairs, _key(make=True))
    path = record_of(home, one.number)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps(value).encode())


def require_ours(home: Path, one: Move) -> None:
    """Refuse to touch what a record names beyond the dataset, unless this program wrote it for this person.

    Raises:
        UserError: ``moves.foreign``.
    """
    root = os.path.realpath(home)
    for name in (name for pair in one.pairs for name in pair if not name.startswith("/")):
        folder = os.path.realpath((home / name).parent)
        if not is_below(folder, root):
            raise UserError(
                _("A link leads out of the dataset here; nothing was moved."),
                place=plain(str((home / name).parent)),
                remedy=_("Replace the link by a folder, or move the files by hand."),
                code="moves.foreign",
            )
    if _leaves(one.pairs):
        key = _key()
        try:
            with open_file(record_of(home, one.number)) as file:
                mark = str(json.loads(file.read(_LARGEST)).get("mark"))
        except _DAMAGE:
            mark = ""
        if not key or not hmac.compare_digest(mark.encode("utf-8", "replace"), _mark(one.pairs, key).encode()):
            raise UserError(
                _("The record of move {number} names files outside this dataset, and was not written here.").format(
                    number=one.number
                ),
                place=plain(next(new for _old, new in one.pairs if new.startswith("/"))),
                remedy=_("Move the files by hand if they belong here."),
                code="moves.foreign",
            )


def require_own_folders(home: Path) -> None:
    """Refuse records or a trash that a link has lead elsewhere.

    Raises:
        UserError: ``moves.foreign``.
    """
    root = os.path.realpath(home)
    for name in (HOME, f"{HOME}/moves", f"{HOME}/trash"):
        if os.path.realpath(home / name) != f"{root.rstrip('/')}/{name}":
            raise UserError(
                _("This is a link that leads elsewhere; no files are moved by it."),
                place=plain(str(home / name)),
                remedy=_("Replace the link by a folder."),
                code="moves.foreign",
            )


@contextlib.contextmanager
def turn(home: Path) -> Iterator[None]:
    """One after the other: two terminals never move files of one dataset at the same time.

    Raises:
        UserError: as :func:`require_own_folders`.
        OSError: nothing can be written there.
    """
    require_own_folders(home)
    path = home / HOME / "moves" / ".lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o666)
    try:
        if kind := kind_of(os.fstat(descriptor).st_mode):  # a pipe would be waited for
            raise OSError(0, _("it is {kind}, not a file").format(kind=kind), str(path))
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def is_below(path: str, root: str) -> bool:
    """Whether a real path is ``root`` or lies below it."""
    return os.path.commonpath([path, root]) == root


# -- reading


def _records(home: Path) -> list[Path]:
    try:
        found = list((home / HOME / "moves").iterdir())
    except OSError:
        return []
    return [path for path in found if _is_number(path.stem) and path.suffix == ".json"]


def _in_trash(home: Path) -> set[int]:
    try:
        with os.scandir(home / HOME / "trash") as entries:
            return {int(one.name) for one in entries if _is_number(one.name) and one.is_dir(follow_symlinks=False)}
    except OSError:
        return set()


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdecimal() and len(name) <= 15 and not name.startswith("0")


def _highest(home: Path) -> int:
    """The highest number that a move of this dataset ever had."""
    numbers = [int(path.stem) for path in _records(home)]
    numbers += _in_trash(home)
    with contextlib.suppress(OSError, ValueError), open_file(home / HOME / "moves" / _COUNT) as file:
        numbers.append(int(file.read(15)))
    return max(numbers, default=0)


def _read(path: Path) -> Move:
    with open_file(path) as file:
        value: dict[str, Any] = json.loads(file.read(_LARGEST))
    number, kind, created = int(path.stem), value["kind"], float(value["created"])
    pairs = tuple((_name(old), _name(new)) for old, new in value["pairs"])
    if kind not in ("trash", "move") or not 0 <= created < _LATEST:
        raise ValueError(kind)
    for old, new in pairs:
        if old.startswith("/") or PurePosixPath(old).name != PurePosixPath(new).name:
            raise ValueError(old)
        if kind == "trash" and new != f"{HOME}/trash/{number}/{old}":
            raise ValueError(new)
    heads = value.get("heads")  # older records have none, nor masks that lie in folders of their own
    images = (old for old, _new in pairs if is_image_name(PurePosixPath(old).name)) if heads is None else heads
    there = frozenset(str(name) for name in images)
    return Move(number, kind, created, pairs, int(value["images"]), bool(value["back"]), heads=there)


def _name(value: Any) -> str:
    """The name of a file as a record has it.

    Raises:
        ValueError: no file can be called so, or it leads upwards.
    """
    if not isinstance(value, str) or not value or "\0" in value or ".." in PurePosixPath(value).parts:
        raise ValueError(value)
    os.fsencode(value)  # halves of characters that stand for no byte are a ValueError, too
    return value


def _made_out(home: Path, number: int) -> Move:
    """A move into the trash whose record cannot be read: each file's name there says where it was."""
    root = home / HOME / "trash" / str(number)
    names = []
    for folder, _folders, files in os.walk(root):
        names += [(Path(folder) / name).relative_to(root).as_posix() for name in files]
    names.sort(key=lambda name: (not is_image_name(PurePosixPath(name).name), name))
    heads = [name for name in names if is_image_name(PurePosixPath(name).name)]
    return Move(
        number,
        "trash",
        max(0.0, root.stat().st_mtime),
        tuple((name, f"{HOME}/trash/{number}/{name}") for name in _by_image(heads, names)),
        len(heads),
        heads=frozenset(heads or names[:1]),
    )


def _by_image(heads: list[str], names: list[str]) -> list[str]:
    """The files, each image followed by those that are called like it, what is left at the end."""
    there = set(heads)
    rest = dict.fromkeys(name for name in names if name not in there)
    found = []
    for head in heads:
        stem = head.rpartition(".")[0]
        own = [name for name in rest if name.startswith(stem) and not name[len(stem) :][:1].isalnum()]
        found += [head, *own]
        for name in own:
            del rest[name]
    return found + list(rest)


# -- our mark


def _leaves(pairs: tuple[tuple[str, str], ...]) -> bool:
    return any(new.startswith("/") for _old, new in pairs)


def _mark(pairs: tuple[tuple[str, str], ...], key: bytes) -> str:
    return hmac.new(key, json.dumps(sorted(pairs)).encode(), hashlib.sha256).hexdigest() if key else ""


def _key(*, make: bool = False) -> bytes:
    """A secret of this person's state folder, so that nobody else's record passes for ours; empty when it has none."""
    try:
        path = state_dir() / _KEY
        if make and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                write_new(path, secrets.token_bytes(32))
                path.chmod(0o600)
        with open_file(path) as file:
            key = file.read(64)
    except (OSError, UserError):
        return b""
    return key if len(key) >= 32 else b""
