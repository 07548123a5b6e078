"""Moving images with all that belongs to them, to another folder or into the trash, and moving them back.

An image and its companions go together or stay together, and what notes say of it goes along.

Nothing is deleted here but by :func:`empty_trash`. What a move is about to do stands in ``.lora-tui/moves/`` of the
dataset before the first file moves, so that one that was cut off can be taken back, too; the trash is
``.lora-tui/trash/``. No file is ever overwritten.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from lora_tui.captions.journal.log import HOME, home_of
from lora_tui.dataset import move_records as records
from lora_tui.dataset.companions import belongings, is_image_name, place_for
from lora_tui.dataset.move_records import Move, is_below
from lora_tui.dataset.noted import Following, Past, forget_below
from lora_tui.dataset.renaming import is_copy, rename
from lora_tui.errors import UserError
from lora_tui.files import sweep_temporaries, sync_folder
from lora_tui.text import _, plain

__all__ = ["Move", "brought_back", "empty_trash", "files_with", "in_trash", "move", "moves", "set_aside", "take_back"]
__all__ += ["trash", "unreadable"]


def trash(folder: Path, images: Sequence[Path]) -> Move:
    """Put images and their companions into the trash of the dataset that ``folder`` belongs to.

    Raises:
        UserError: ``moves.write`` when nothing can be written there, ``moves.outside`` for an image of elsewhere.
    """
    home = home_of(folder)
    with _turn(home):
        number = records.next_number(home)
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
        number = records.next_number(home)
        names = [_inside(home, file) for file in files]
        pairs = tuple((name, f"{HOME}/trash/{number}/{name}") for name in names)
        images = sum(is_image_name(PurePosixPath(name).name) for name in names)
        return _carry_out(home, Move(number, "trash", time.time(), pairs, images, heads=frozenset(names)))


def move(folder: Path, images: Sequence[Path], target: Path) -> Move:
    """Move images and their companions into ``target``, which is made if it is missing; masks into one within it.

    Images that lie there already stay as they are. A link by a relative path leads there where it led before.

    Raises:
        UserError: ``moves.taken`` when a file of that name is there (nothing was moved then), ``moves.hidden`` for a
            folder of which datasets know nothing, ``moves.write``, ``moves.outside``;
            ``notes.…`` when what is noted of the images cannot go along (nothing was moved then).
    """
    home = home_of(folder)
    with _turn(home):
        root = os.path.realpath(target)
        real = os.path.realpath(home)
        where = PurePosixPath(os.path.relpath(root, real) if is_below(root, real) else root)
        _require_seen(where)
        names = [_inside(home, image) for image in images]
        groups = _with_companions(home, [name for name in names if PurePosixPath(name).parent != where])
        places = {name: place_for(where, image, name) for image, own in groups.items() for name in (image, *own)}
        pairs = [(name, places[name].as_posix()) for name in _flat(groups)]
        if not pairs:
            return Move(0, "move", time.time(), (), 0)
        _require_free(home, pairs)
        try:
            Path(root).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _cannot(error, root) from error
        planned = Move(
            records.next_number(home), "move", time.time(), tuple(pairs), len(groups), heads=frozenset(groups)
        )
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

    Where the place of an image or of a companion is taken, the image and all its companions stay where they are; where
    that is the same file byte for byte, as after a move that was killed, the second copy is removed.

    Returns:
        the move, with ``failed`` naming the files that could not go back.

    Raises:
        UserError: ``moves.unknown``, ``moves.record`` when it cannot be read, ``moves.foreign`` when it leads out of
            the dataset and is not ours, ``moves.write``; ``notes.…`` when what is noted of the images cannot go along
            (nothing was brought back then).
    """
    home = home_of(folder)
    with _turn(home):
        known = next((one for one in moves(folder) if one.number == number), None)
        if known is None and records.record_of(home, number) in records.unreadable(home):
            raise UserError(
                _("The record of move {number} cannot be read.").format(number=number),
                place=plain(str(records.record_of(home, number))),
                remedy=_("Move the files back by hand."),
                code="moves.record",
            )
        if known is None:
            raise UserError(
                _("There is no move {number}.").format(number=number), place=plain(str(home)), code="moves.unknown"
            )
        records.require_ours(home, known)
        groups = [[(new, old) for old, new in group] for group in known.groups()]
        failed = _rename_all(home, groups, leading=known.kind == "move")
        done = replace(known, back=not failed, failed=tuple(failed))
        _write(home, done)
        if known.kind == "trash":
            _remove_empty(home / HOME / "trash" / str(number))
        return done


def brought_back(done: Move) -> int:
    """How many images are where they were, of a move that :func:`take_back` has tried to take back."""
    stuck = {name for name, _reason in done.failed}
    return sum(old in done.heads and new not in stuck for old, new in done.pairs if is_image_name(Path(old).name))


def moves(folder: Path) -> list[Move]:
    """The moves of a dataset, newest first; one that cannot be read is made out from what lies in the trash, if any."""
    return records.moves_of(home_of(folder))


def unreadable(folder: Path) -> list[Path]:
    """The records of moves that cannot be read, the oldest first."""
    return records.unreadable(home_of(folder))


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
        try:
            records.keep_count(home)
        except OSError as error:
            raise _cannot(error, home / HOME) from error
        for one in in_trash(folder):
            root = home / HOME / "trash" / str(one.number)
            freed += sum(path.lstat().st_size for path in root.rglob("*") if not path.is_dir())
            try:
                shutil.rmtree(root)
            except OSError as error:
                raise _cannot(error, root) from error
            records.record_of(home, one.number).unlink(missing_ok=True)
            forget_below(home, f"{HOME}/trash/{one.number}/")
    return freed


# -- names


def _inside(home: Path, image: Path) -> str:
    """An image's name relative to the dataset's home; its folder may be reached through links."""
    folder = os.path.realpath(image.parent)
    root = os.path.realpath(home)
    if not is_below(folder, root):
        raise UserError(_("The image does not lie in this dataset."), place=plain(str(image)), code="moves.outside")
    return PurePosixPath(os.path.relpath(os.path.join(folder, image.name), root)).as_posix()  # noqa: PTH118


def _with_companions(home: Path, images: Iterable[str]) -> dict[str, list[str]]:
    """What belongs to each image; what several share goes when the last image that needs it does."""
    try:
        return belongings(home, images)
    except OSError as error:
        raise _cannot(error, home) from error


def _flat(groups: Mapping[str, Sequence[str]]) -> list[str]:
    """The images, each followed by what belongs to it; no file twice."""
    return list(dict.fromkeys(name for image, own in groups.items() for name in (image, *own)))


def _require_seen(where: PurePosixPath) -> None:
    """Refuse folders that no dataset reads: hidden ones of this one, and our own anywhere."""
    hidden = HOME in where.parts or (not where.is_absolute() and any(part.startswith(".") for part in where.parts))
    if hidden:
        raise UserError(
            _("Images in a hidden folder are not part of a dataset; nothing was moved."),
            place=plain(str(where)),
            remedy=_("Name another folder, or put them into the trash."),
            code="moves.hidden",
        )


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
        failed = _rename_all(home, planned.groups(), leading=planned.kind == "move")
    except UserError:
        records.record_of(home, planned.number).unlink(missing_ok=True)
        raise
    if not failed:
        return planned
    kept = {old for old, _reason in failed}
    pairs = tuple(pair for pair in planned.pairs if pair[0] not in kept)
    images = sum(is_image_name(PurePosixPath(old).name) for old, _new in pairs)
    done = replace(planned, pairs=pairs, images=images, failed=tuple(failed))
    if planned.kind == "trash":
        _remove_empty(home / HOME / "trash" / str(planned.number))
    if not pairs:
        records.record_of(home, planned.number).unlink(missing_ok=True)
        return replace(done, number=0)
    _write(home, done)
    return done


def _rename_all(home: Path, groups: Sequence[Sequence[tuple[str, str]]], *, leading: bool) -> list[tuple[str, str]]:
    """Rename files, those of a group together or not at all, with what is noted of them.

    Args:
        leading: links by relative paths are to lead where they do.

    Returns:
        the files that could not be, with the reason. One that is there already is no such.

    Raises:
        UserError: notes or the captions' journal cannot be read or written; no file was moved then.
    """
    pairs = [(home / old, home / new) for group in groups for old, new in group]
    following, past = Following(pairs), Past(pairs)
    places = _places(pairs) if leading else None
    failed: list[tuple[str, str]] = []
    with past.held():
        following.arrive()
        for group in groups:
            failed += _rename_group(home, group, places)
        stayed = {home / old for old, _reason in failed}
        try:
            past.follow(stayed)
            following.leave(stayed)
        except UserError:
            for group in groups:
                _rename_group(home, [(new, old) for old, new in group], _back(places))
            past.stay()
            with contextlib.suppress(UserError):
                following.leave({old for old, _new in pairs})
            raise
    for folder in {path.parent for pair in pairs for path in pair}:
        sync_folder(folder)
        sweep_temporaries(folder)  # of a move to another disk that was killed
    return failed


def _rename_group(
    home: Path, group: Sequence[tuple[str, str]], places: Mapping[str, str] | None
) -> list[tuple[str, str]]:
    """Rename an image and its companions, all or none; a companion that is gone is named and keeps none back."""
    failed: list[tuple[str, str]] = []
    done: list[tuple[Path, Path]] = []
    arrived: list[Path] = []
    for old, new in group:
        source, target = home / old, home / new
        if not os.path.lexists(source) and os.path.lexists(target):
            continue  # an earlier attempt did it
        if not os.path.lexists(source) and old != group[0][0]:
            failed.append((old, os.strerror(errno.ENOENT)))
            continue
        try:
            if os.path.lexists(source) and os.path.lexists(target) and is_copy(source, target):
                arrived.append(source)  # an earlier attempt was killed before it could remove it
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            rename(source, target, places)
            done.append((source, target))
        except OSError as error:
            for before, after in reversed(done):
                with contextlib.suppress(OSError):
                    rename(after, before, _back(places))
            taken = isinstance(error, FileExistsError)
            reason = _("a file of this name is there now") if taken else error.strerror or str(error)
            name = plain(PurePosixPath(old).name)
            return [(one, reason if one == old else _("it stays with {name}").format(name=name)) for one, _to in group]
    for source in arrived:
        with contextlib.suppress(OSError):  # it is a second copy, no more
            source.unlink()
    return failed


def _places(pairs: Sequence[tuple[Path, Path]]) -> dict[str, str]:
    """Where files go that links among them may lead to, by real folders; empty when there are no links."""
    if not any(old.is_symlink() for old, _new in pairs):
        return {}
    real = {folder: os.path.realpath(folder) for pair in pairs for folder in (pair[0].parent, pair[1].parent)}
    return {f"{real[old.parent]}/{old.name}": f"{real[new.parent]}/{new.name}" for old, new in pairs}


def _back(places: Mapping[str, str] | None) -> dict[str, str] | None:
    return None if places is None else {new: old for old, new in places.items()}


def _remove_empty(root: Path) -> None:
    """Remove a folder of the trash from which everything is gone."""
    for folder in sorted((path for path in root.rglob("*") if path.is_dir()), reverse=True):
        with contextlib.suppress(OSError):
            folder.rmdir()
    with contextlib.suppress(OSError):
        root.rmdir()


# -- the records


def _write(home: Path, one: Move) -> None:
    try:
        records.write(home, one)
    except OSError as error:
        raise _cannot(error, records.record_of(home, one.number)) from error


@contextlib.contextmanager
def _turn(home: Path) -> Iterator[None]:
    """One after the other, as :func:`~lora_tui.dataset.move_records.turn`; what cannot be written is a UserError."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(records.turn(home))
        except OSError as error:
            raise _cannot(error, home / HOME) from error
        yield


def _cannot(error: OSError, place: Path | str) -> UserError:
    if isinstance(error, UserError):
        return error
    remedy = _("Make the folder writable and leave room on the disk.")
    if error.errno in (errno.EEXIST, errno.ENOTDIR, 0):
        remedy = _(
            "Something else stands where a folder or a file of ours is to be. Rename it, or name another folder."
        )
    elif error.errno == errno.ELOOP:
        remedy = _("Remove the link that leads to itself.")
    return UserError(
        _("Files cannot be moved here: {reason}.").format(reason=plain(error.strerror or str(error))),
        place=plain(str(error.filename or place)),
        remedy=remedy,
        code="moves.write",
    )
