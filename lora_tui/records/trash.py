"""What goes from runs: into the trash of their folder, from where it comes back, or for good.

The trash is ``.trash/`` in the folder of the runs, on the same disk, so that a move is a rename; what lies there still
takes its room. Each removal has a folder of its own with ``moved.json``, which is written before anything moves.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lora_tui.errors import UserError
from lora_tui.jobs.lock import RunLock
from lora_tui.records.disk import Leaving, cost_of
from lora_tui.runs.folder import RunFolder, read_json, write_json
from lora_tui.runs.status import inspect
from lora_tui.text.plain import plain
from lora_tui.text.translate import _

FOLDER = ".trash"
LIST = "moved.json"


@dataclass(frozen=True)
class Removed:
    """One removal in the trash: when, (place before, place there) relative to the runs' folder, bytes."""

    name: str
    time: float
    moves: tuple[tuple[str, str], ...]
    size: int

    @property
    def batch(self) -> str:
        """What removals that were asked for together have in common."""
        return self.name.rpartition("-")[0]


def throw_away(found: Sequence[Leaving], *, for_good: bool = False) -> tuple[list[Leaving], list[UserError]]:
    """Move what can go into the trash, or delete it ``for_good``; return what went, and why the rest did not.

    A run that somebody began to train since is left alone: its lock is held meanwhile.
    """
    gone: list[Leaving] = []
    errors: list[UserError] = []
    runs = list(dict.fromkeys(one.run for one in found))
    batch = f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:6]}"
    for number, run in enumerate(runs, 1):
        mine = [one for one in found if one.run == run]
        try:
            with _quiet(run):
                gone += _deleted(mine) if for_good else _moved(run, mine, f"{batch}-{number}")
        except UserError as error:
            errors.append(error)
        except OSError as error:
            errors.append(
                UserError(
                    _("It cannot be removed: {reason}.").format(reason=error.strerror or error),
                    place=plain(str(error.filename or run.root)),
                    remedy=_("Make the folder writable."),
                    code="runs.remove",
                )
            )
    return gone, errors


def in_trash(runs_dir: Path) -> list[Removed]:
    """What lies in the trash, newest first."""
    found = []
    with contextlib.suppress(OSError):
        for folder in (runs_dir / FOLDER).iterdir():
            data = read_json(folder / LIST)
            moves = data.get("moves")
            if not isinstance(moves, list):
                continue
            pairs = [(str(pair[0]), str(pair[1])) for pair in moves if isinstance(pair, list) and len(pair) == 2]
            when = data.get("time")
            moment = float(when) if isinstance(when, (int, float)) else 0.0
            found.append(Removed(folder.name, moment, tuple(pairs), cost_of(RunFolder(folder)).total))
    return sorted(found, key=lambda one: -one.time)


def bring_back(runs_dir: Path, removed: Removed) -> list[Path]:
    """Put everything of a removal where it was; return the places. Nothing is written over.

    Raises:
        UserError: ``trash.taken`` where something has the place by now, ``trash.write``.
    """
    pairs = [(_inside(runs_dir, before), _inside(runs_dir, there)) for before, there in removed.moves]
    taken = next((before for before, there in pairs if os.path.lexists(before) and os.path.lexists(there)), None)
    if taken is not None:
        raise UserError(
            _("Something else is in its place by now."),
            place=plain(str(taken)),
            remedy=_("Move that away first."),
            code="trash.taken",
        )
    back = []
    try:
        for before, there in pairs:
            if os.path.lexists(there):
                before.parent.mkdir(parents=True, exist_ok=True)
                there.rename(before)
                back.append(before)
        shutil.rmtree(runs_dir / FOLDER / removed.name)
    except OSError as error:
        raise UserError(
            _("It cannot be brought back: {reason}.").format(reason=error.strerror or error),
            place=plain(str(runs_dir)),
            code="trash.write",
        ) from error
    return back


def empty(runs_dir: Path, removed: Sequence[Removed]) -> int:
    """Delete removals for good; return the bytes freed.

    Raises:
        UserError: ``trash.write``.
    """
    freed = 0
    for one in removed:
        try:
            shutil.rmtree(runs_dir / FOLDER / one.name)
        except OSError as error:
            raise UserError(
                _("It cannot be removed: {reason}.").format(reason=error.strerror or error),
                place=plain(str(runs_dir / FOLDER / one.name)),
                code="trash.write",
            ) from error
        freed += one.size
    return freed


@contextlib.contextmanager
def _quiet(run: RunFolder) -> Iterator[None]:
    """Hold the run's lock, so that no trainer begins; refuse one that is at work.

    Raises:
        UserError: ``runs.at_work``, or who holds the lock.
    """
    if inspect(run).alive:
        raise UserError(
            _("It is still running; nothing of it was removed."),
            place=plain(run.name),
            remedy=_("Stop it first: lora-tui runs stop"),
            code="runs.at_work",
        )
    lock = RunLock.acquire(run.lock_path)
    try:
        yield
    finally:
        lock.release()


def _deleted(found: Sequence[Leaving]) -> list[Leaving]:
    for one in found:
        if one.path.is_symlink() or not one.path.is_dir():
            one.path.unlink(missing_ok=True)
        else:
            shutil.rmtree(one.path)
    return list(found)


def _moved(run: RunFolder, found: Sequence[Leaving], name: str) -> list[Leaving]:
    runs_dir = run.root.parent
    home = runs_dir / FOLDER / name
    home.mkdir(parents=True)
    pairs = []
    for one in found:
        place = one.path.relative_to(runs_dir).as_posix()
        pairs.append((place, f"{FOLDER}/{home.name}/files/{place}"))
    write_json(home / LIST, {"time": time.time(), "moves": [list(pair) for pair in pairs]})
    for one, (_before, there) in zip(found, pairs, strict=True):
        target = runs_dir / there
        target.parent.mkdir(parents=True, exist_ok=True)
        one.path.rename(target)
    return list(found)


def _inside(runs_dir: Path, text: str) -> Path:
    """A place that the list of a removal names; nothing outside the runs' folder.

    Raises:
        UserError: ``trash.damaged``.
    """
    parts = PurePosixPath(text).parts
    if not parts or ".." in parts or text.startswith("/") or "\0" in text:
        raise UserError(
            _("The list of what was removed is damaged."), place=plain(text, limit=200), code="trash.damaged"
        )
    return runs_dir.joinpath(*parts)


def as_json(removed: Removed) -> dict[str, object]:
    """A removal as plain values."""
    return {
        "name": removed.name,
        "time": removed.time,
        "bytes": removed.size,
        "files": [before for before, _there in removed.moves],
    }
