"""Moving images with all that belongs to them, to another folder or into the trash, and moving them back.

An image and its companions go together or stay together, and what notes say of it goes along.

Nothing is deleted here but by :func:`empty_trash`. What a move is about to do stands in ``.lora-tui/moves/`` of the
dataset before the first file moves, so that one that was cut off can be taken back, too; the trash is
``.lora-tui/trash/``. No file is ever overwritten.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from lora_tui.captions.journal.log import HOME, home_of
from lora_tui.dataset.companions import belongings, is_image_name, place_for
from lora_tui.dataset.noted import Following, Past, forget_below
from lora_tui.errors import UserError
from lora_tui.files import sync_folder, write_atomic
from lora_tui.text import _, plain

_LARGEST = 1 << 28
_COUNT = "count"


@dataclass(frozen=True)
class Move:
    """What was moved together.

    Attributes:
        number: within its dataset, from 1.
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


def trash(folder: Path, images: Sequence[Path]) -> Move:
    """Put images and their companions into the trash of the dataset that ``folder`` belongs to.

    Raises:
        UserError: ``moves.write`` when nothing can be written there, ``moves.outside`` for an image of elsewhere.
    """
    home = home_of(folder)
    with _turn(home):
        number = _next(home)
        groups = _with_companions(home, [_inside(home, image) for image in images])
        pairs = [(name, f"{HOME}/trash/{number}/{name}") for name in _flat(groups)]
        return _carry_out(home, Move(number, "trash", time.time(), tuple(pairs), len(groups), heads=frozenset(groups)))


def set_aside(folder: Path, files: Sequence[Path]) -> Move:
    """Put these very files into the trash of the dataset that ``folder`` belongs to, whatever else belongs to them.

    Raises:
        UserError: as :func:`trash`.
    """
    home = home_of(folder)
    with _turn(home):
        number = _next(home)
        names = [_inside(home, file) for file in files]
        pairs = tuple((name, f"{HOME}/trash/{number}/{name}") for name in names)
        images = sum(is_image_name(PurePosixPath(name).name) for name in names)
        return _carry_out(home, Move(number, "trash", time.time(), pairs, images, heads=frozenset(names)))


def move(folder: Path, images: Sequence[Path], target: Path) -> Move:
    """Move images and their companions into ``target``, which is made if it is missing; masks into one within it.

    Images that lie there already stay as they are.

    Raises:
        UserError: ``moves.taken`` when a file of that name is there (nothing was moved then), ``moves.write``,
            ``moves.outside``; ``notes.…`` when what is noted of the images cannot go along (nothing was moved then).
    """
    home = home_of(folder)
    with _turn(home):
        root = os.path.realpath(target)
        real = os.path.realpath(home)
        where = PurePosixPath(os.path.relpath(root, real) if _is_below(root, real) else root)
        names = [_inside(home, image) for image in images]
        groups = _with_companions(home, [name for name in names if PurePosixPath(name).parent != where])
        places = {name: place_for(where, image, name) for image, own in groups.items() for name in (image, *own)}
        pairs = [(name, places[name].as_posix()) for name in _flat(groups)]
        _require_free(home, pairs)
        try:
            Path(root).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _cannot(error, root) from error
        planned = Move(_next(home), "move", time.time(), tuple(pairs), len(groups), heads=frozenset(groups))
        return _carry_out(home, planned)


def files_with(folder: Path, images: Sequence[Path]) -> list[str]:
    """The files that go when these images do, relative to the dataset's home: themselves and what belongs to them.

    Raises:
        UserError: ``moves.outside``, ``moves.write`` when a folder cannot be listed.
    """
    home = home_of(folder)
    return _flat(_with_companions(home, [_inside(home, image) for image in images]))


def take_back(folder: Path, number: int) -> Move:
    """Bring the files of a move back to where they were; what stands there now is never overwritten.

    Where the place of an image or of a companion is taken, the image and all its companions stay where they are.

    Returns:
        the move, with ``failed`` naming the files that could not go back.

    Raises:
        UserError: ``moves.unknown``, ``moves.write``; ``notes.…`` when what is noted of the images cannot go along
            (nothing was brought back then).
    """
    home = home_of(folder)
    with _turn(home):
        known = next((one for one in moves(folder) if one.number == number), None)
        if known is None:
            raise UserError(
                _("There is no move {number}.").format(number=number), place=plain(str(home)), code="moves.unknown"
            )
        failed = _rename_all(home, [[(new, old) for old, new in group] for group in known.groups()])
        done = replace(known, back=not failed, failed=tuple(failed))
        _write(home, done)
        if known.kind == "trash":
            _remove_empty(home / HOME / "trash" / str(number))
        return done


def moves(folder: Path) -> list[Move]:
    """The moves of a dataset, newest first; a record that is damaged is left out."""
    found = []
    for path in _records(home_of(folder)):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
            found.append(_read(path))
    return sorted(found, key=lambda one: one.number, reverse=True)


def in_trash(folder: Path) -> list[Move]:
    """What lies in the trash, newest first."""
    home = home_of(folder)
    return [one for one in moves(folder) if one.kind == "trash" and (home / HOME / "trash" / str(one.number)).is_dir()]


def empty_trash(folder: Path) -> int:
    """Delete for good what lies in the trash; return the bytes that are free now.

    Raises:
        UserError: ``moves.write``; as :func:`~lora_tui.dataset.notes.change_notes`.
    """
    home = home_of(folder)
    freed = 0
    with _turn(home):
        _keep_count(home)
        for one in in_trash(folder):
            root = home / HOME / "trash" / str(one.number)
            freed += sum(path.lstat().st_size for path in root.rglob("*") if not path.is_dir())
            try:
                shutil.rmtree(root)
            except OSError as error:
                raise _cannot(error, root) from error
            _record(home, one.number).unlink(missing_ok=True)
            forget_below(home, f"{HOME}/trash/{one.number}/")
    return freed


# -- names


def _inside(home: Path, image: Path) -> str:
    """An image's name relative to the dataset's home; its folder may be reached through links."""
    folder = os.path.realpath(image.parent)
    root = os.path.realpath(home)
    if not _is_below(folder, root):
        raise UserError(_("The image does not lie in this dataset."), place=plain(str(image)), code="moves.outside")
    return PurePosixPath(os.path.relpath(os.path.join(folder, image.name), root)).as_posix()  # noqa: PTH118


def _is_below(path: str, root: str) -> bool:
    return os.path.commonpath([path, root]) == root


def _with_companions(home: Path, images: Iterable[str]) -> dict[str, list[str]]:
    """What belongs to each image; what several share goes when the last image that needs it does."""
    try:
        return belongings(home, images)
    except OSError as error:
        raise _cannot(error, home) from error


def _flat(groups: Mapping[str, Sequence[str]]) -> list[str]:
    """The images, each followed by what belongs to it; no file twice."""
    return list(dict.fromkeys(name for image, own in groups.items() for name in (image, *own)))


def _require_free(home: Path, pairs: Sequence[tuple[str, str]]) -> None:
    names: set[str] = set()
    for old, new in pairs:
        if new in names or os.path.lexists(home / new):
            raise UserError(
                _("A file of this name is there already; nothing was moved."),
                place=plain(str(home / new)),
                remedy=_("Rename {name} first.").format(name=plain(old)),
                code="moves.taken",
            )
        names.add(new)


# -- doing


def _carry_out(home: Path, planned: Move) -> Move:
    _write(home, planned)
    try:
        failed = _rename_all(home, planned.groups())
    except UserError:
        _record(home, planned.number).unlink(missing_ok=True)
        raise
    if not failed:
        return planned
    kept = {old for old, _reason in failed}
    pairs = tuple(pair for pair in planned.pairs if pair[0] not in kept)
    done = replace(planned, pairs=pairs, failed=tuple(failed))
    _write(home, done)
    return done


def _rename_all(home: Path, groups: Sequence[Sequence[tuple[str, str]]]) -> list[tuple[str, str]]:
    """Rename files, those of a group together or not at all, with what is noted of them.

    Returns:
        the files that could not be, with the reason. One that is there already is no such.

    Raises:
        UserError: notes or the captions' journal cannot be read or written; no file was moved then.
    """
    pairs = [(home / old, home / new) for group in groups for old, new in group]
    following, past = Following(pairs), Past(pairs)
    failed: list[tuple[str, str]] = []
    with past.held():
        following.arrive()
        for group in groups:
            failed += _rename_group(home, group)
        stayed = {home / old for old, _reason in failed}
        try:
            past.follow(stayed)
            following.leave(stayed)
        except UserError:
            for group in groups:
                _rename_group(home, [(new, old) for old, new in group])
            past.stay()
            with contextlib.suppress(UserError):
                following.leave({old for old, _new in pairs})
            raise
    folders = {(home / new).parent for group in groups for _old, new in group}
    for folder in folders:
        with contextlib.suppress(OSError):
            sync_folder(folder)
    return failed


def _rename_group(home: Path, group: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Rename an image and its companions, all or none; a companion that is gone is named and keeps none back."""
    failed: list[tuple[str, str]] = []
    done: list[tuple[Path, Path]] = []
    for old, new in group:
        source, target = home / old, home / new
        if not os.path.lexists(source) and os.path.lexists(target):
            continue  # an earlier attempt did it
        if not os.path.lexists(source) and old != group[0][0]:
            failed.append((old, os.strerror(errno.ENOENT)))
            continue
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            _rename(source, target)
            done.append((source, target))
        except OSError as error:
            for before, after in reversed(done):
                with contextlib.suppress(OSError):
                    _rename(after, before)
            taken = isinstance(error, FileExistsError)
            reason = _("a file of this name is there now") if taken else error.strerror or str(error)
            name = plain(PurePosixPath(old).name)
            return [(one, reason if one == old else _("it stays with {name}").format(name=name)) for one, _to in group]
    return failed


def _rename(source: Path, target: Path) -> None:
    """Rename without overwriting; a file for another disk is copied whole before it goes here."""
    if os.path.lexists(target):
        raise FileExistsError(target)
    try:
        source.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:  # another disk
            raise
        part = target.with_name(f".{target.name[:100]}.part")
        try:
            shutil.copy2(source, part, follow_symlinks=False)
            with part.open("rb") as file:
                os.fsync(file.fileno())
            part.rename(target)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        source.unlink()


def _remove_empty(root: Path) -> None:
    """Remove a folder of the trash from which everything is gone."""
    for folder in sorted((path for path in root.rglob("*") if path.is_dir()), reverse=True):
        with contextlib.suppress(OSError):
            folder.rmdir()
    with contextlib.suppress(OSError):
        root.rmdir()


# -- the records


def _record(home: Path, number: int) -> Path:
    return home / HOME / "moves" / f"{number}.json"


def _records(home: Path) -> list[Path]:
    try:
        return [path for path in (home / HOME / "moves").iterdir() if path.stem.isdecimal() and path.suffix == ".json"]
    except OSError:
        return []


def _next(home: Path) -> int:
    return _highest(home) + 1


def _highest(home: Path) -> int:
    """The highest number that a move of this dataset ever had."""
    numbers = [int(path.stem) for path in _records(home)]
    with contextlib.suppress(OSError):
        numbers += [int(path.name) for path in (home / HOME / "trash").iterdir() if path.name.isdecimal()]
    with contextlib.suppress(OSError, ValueError):
        numbers.append(int((home / HOME / "moves" / _COUNT).read_text("ascii")[:20]))
    return max(numbers, default=0)


def _keep_count(home: Path) -> None:
    """Keep the highest number where it outlives its record: another move with it would be taken for the old one."""
    path = home / HOME / "moves" / _COUNT
    try:
        write_atomic(path, str(_highest(home)).encode())
    except OSError as error:
        raise _cannot(error, path) from error


def _write(home: Path, one: Move) -> None:
    value = {
        "number": one.number,
        "kind": one.kind,
        "created": one.created,
        "pairs": one.pairs,
        "images": one.images,
        "back": one.back,
        "heads": sorted(one.heads),
    }
    path = _record(home, one.number)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, json.dumps(value).encode())
    except OSError as error:
        raise _cannot(error, path) from error


def _read(path: Path) -> Move:
    with path.open("rb") as file:
        value: dict[str, Any] = json.loads(file.read(_LARGEST))
    pairs = tuple((str(old), str(new)) for old, new in value["pairs"])
    for old, new in pairs:
        for name in (old, new):
            if ".." in PurePosixPath(name).parts:
                raise ValueError(name)
        if PurePosixPath(old).is_absolute():
            raise ValueError(old)
    heads = value.get("heads")  # older records have none, nor masks that lie in folders of their own
    images = (old for old, _new in pairs if is_image_name(PurePosixPath(old).name)) if heads is None else heads
    return Move(
        int(path.stem),
        str(value["kind"]),
        float(value["created"]),
        pairs,
        int(value["images"]),
        bool(value["back"]),
        heads=frozenset(str(name) for name in images),
    )


@contextlib.contextmanager
def _turn(home: Path) -> Iterator[None]:
    """One after the other: two terminals never move files of one dataset at the same time."""
    path = home / HOME / "moves" / ".lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.open("a")
    except OSError as error:
        raise _cannot(error, path) from error
    with lock:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _cannot(error: OSError, place: Path | str) -> UserError:
    return UserError(
        _("Files cannot be moved here: {reason}.").format(reason=plain(error.strerror or str(error))),
        place=plain(str(error.filename or place)),
        remedy=_("Make the folder writable and leave room on the disk."),
        code="moves.write",
    )
