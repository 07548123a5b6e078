"""Which notes speak of an image, and what they say goes with it when it is moved, into the trash as well.

An image that is left out, cut to a part or looked at stays so at its new place, and the next file of its old name is
none of that. Before files move, :meth:`Following.arrive` writes the notes for their new places, afterwards
:meth:`Following.leave` takes them away from the old ones: a move that is cut off loses none.
"""

from __future__ import annotations

import contextlib
import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from lora_tui.captions.journal.log import HOME, Journal, home_of, journal_home_of
from lora_tui.captions.journal.recovery import recover
from lora_tui.dataset.notes import FILE, Crop, Notes, change_notes, clean, load_notes, name_in_notes
from lora_tui.errors import UserError


@dataclass(frozen=True, slots=True)
class Noted:
    """What is noted of one image."""

    excluded: bool = False
    reviewed: bool = False
    crop: Crop | None = None


class Following:
    """The notes on files that are about to move.

    Args:
        pairs: where each is and where it goes.

    Raises:
        UserError: as :func:`~lora_tui.dataset.notes.load_notes`; the other methods as
            :func:`~lora_tui.dataset.notes.change_notes`.
    """

    def __init__(self, pairs: Iterable[tuple[Path, Path]]) -> None:
        self._pairs = list(pairs)
        self._notes: dict[Path, Notes] = {}
        self._above: dict[Path, tuple[Path, ...]] = {}
        self._inside: dict[tuple[Path, Path], str] = {}
        folders = {path.parent for pair in self._pairs for path in pair}
        homes = dict.fromkeys(home for folder in sorted(folders) for home in self._homes(folder))
        self._notes = {home: notes for home in homes if (notes := load_notes(home)) != Notes()}
        self._found = {old: noted for old, _new in self._pairs if (noted := self._of(old)) != Noted()}

    def arrive(self) -> None:
        """Write what is noted of the files for the places where they go."""
        homes: defaultdict[Path, dict[str, Noted]] = defaultdict(dict)
        for old, new in self._pairs if self._found else ():
            if old in self._found:
                home = home_of(new.parent)
                homes[home][self._name(home, new)] = self._found[old]
        for home, rows in homes.items():
            change_notes(home, partial(_with, rows=rows))

    def leave(self, stayed: Collection[Path] = ()) -> None:
        """Take away what is noted for the old places, and for the new ones of files that ``stayed``."""
        for home, notes in self._notes.items():
            names = {self._name(home, old): self._name(home, new) for old, new in self._pairs if old not in stayed}
            if not names.keys().isdisjoint(_all_names(notes)):
                change_notes(home, partial(_left, names=names))
        lost: defaultdict[Path, dict[str, str]] = defaultdict(dict)
        for old, new in self._pairs if stayed else ():
            if old in stayed and old in self._found:
                home = home_of(new.parent)
                lost[home][self._name(home, new)] = self._name(home, old)
        for home, names in lost.items():
            change_notes(home, partial(_left, names=names))

    def _homes(self, folder: Path) -> tuple[Path, ...]:
        """The folders at and above ``folder`` that have notes, the nearest first."""
        found = self._above.get(folder)
        if found is None:
            around = (folder, *folder.parents)
            found = self._above[folder] = tuple(one for one in around if (one / HOME / FILE).is_file())
        return found

    def _of(self, path: Path) -> Noted:
        found = Noted()
        for home in self._homes(path.parent):
            notes = self._notes.get(home)
            if notes is not None:
                name = self._name(home, path)
                found = Noted(
                    found.excluded or name in notes.excluded,
                    found.reviewed or name in notes.reviewed,
                    found.crop or notes.crops.get(name),
                )
        return found

    def _name(self, home: Path, path: Path) -> str:
        key = home, path.parent
        if key not in self._inside:
            folder = name_in_notes(home, path.parent)
            self._inside[key] = "" if folder == "." else f"{folder}/"
        return self._inside[key] + clean(path.name)


class Past:
    """The past of captions that are about to move with their images, in the journals that know it.

    It follows as far as a journal reaches: not out of its folder, and not into the trash, from where they come back.

    Args:
        pairs: where each file is and where it goes.
    """

    def __init__(self, pairs: Iterable[tuple[Path, Path]]) -> None:
        self._moves: dict[Path, dict[Path, str]] = {}
        homes: dict[Path, Path] = {}
        for old, new in pairs:
            folder = old.parent
            if folder not in homes:
                homes[folder] = journal_home_of(folder)
            inside = [_inside(homes[folder], path) for path in (old, new)]
            if all(inside):
                self._moves.setdefault(homes[folder], {})[old] = inside[1]
        self._journals = [journal for home in sorted(self._moves) if (journal := Journal(home)).path.is_file()]

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep other programs from changing the captions meanwhile.

        Raises:
            UserError: ``journal.folder``, ``journal.locked``.
        """
        with contextlib.ExitStack() as stack:
            for journal in self._journals:
                stack.enter_context(journal.locked())
                recover(journal, locked=True)
            yield

    def follow(self, stayed: Collection[Path]) -> None:
        """Note where the files went, but for those that ``stayed``; only while they are :meth:`held`.

        Raises:
            UserError: ``journal.folder``, ``journal.newer``.
        """
        for journal in self._journals:
            moved = self._moves[journal.home]
            names = {_inside(journal.home, old): new for old, new in moved.items() if old not in stayed}
            journal.note_moved(names)

    def stay(self) -> None:
        """Take back what :meth:`follow` noted, as far as that is possible: the files are where they were."""
        for journal in self._journals:
            back = {new: _inside(journal.home, old) for old, new in self._moves[journal.home].items()}
            with contextlib.suppress(UserError):
                journal.note_moved(back)


def _inside(home: Path, path: Path) -> str:
    """The name of a file in the journal of ``home``; empty when it lies elsewhere, or in the trash."""
    if not path.is_relative_to(home):
        return ""
    name = path.relative_to(home)
    return "" if HOME in name.parts else name.as_posix()


def homes_for(images: Iterable[Path], home: Callable[[Path], Path], *, away: bool) -> dict[Path, list[str]]:
    """Whose notes to change for something to hold of images, and how they call them.

    Args:
        home: the folder with the notes that an image gets something new into.
        away: something is taken away: that has to go from all notes that name the image, those of folders around it
            and below its dataset's.

    Raises:
        UserError: as :func:`~lora_tui.dataset.notes.load_notes`.
    """
    found: dict[Path, list[str]] = {}
    known: dict[Path, set[str]] = {}
    for path in images:
        own = [home(path)]
        parents = Path(os.path.abspath(path)).parents  # noqa: PTH100 - links stay
        for folder in parents if away else ():
            if folder not in known:
                known[folder] = _all_names(load_notes(folder)) if (folder / HOME / FILE).is_file() else set()
            if known[folder] and name_in_notes(folder, path) in known[folder]:
                own.append(folder)
        for one in dict.fromkeys(own):
            found.setdefault(one, []).append(name_in_notes(one, path))
    return found


def notes_within(home: Path) -> Notes:
    """The notes of a folder and of those below it as one, without what lies in the trash, names as ``home`` has them.

    Raises:
        UserError: as :func:`~lora_tui.dataset.notes.load_notes`.
    """
    found = load_notes(home).present()
    for folder, folders, _files in os.walk(home):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        path = Path(folder)
        if path == home or not (path / HOME / FILE).is_file():
            continue
        own, prefix = load_notes(path).present(), name_in_notes(home, path) + "/"
        found = found.excluding(*(prefix + name for name in own.excluded))
        found = found.reviewing(*(prefix + name for name in own.reviewed))
        found = found.with_crops({prefix + name: crop for name, crop in own.crops.items()})
    return found


def forget_below(home: Path, folder: str) -> None:
    """Drop what the notes of ``home`` say of files in a folder that is gone; ``folder`` ends with ``/``.

    Raises:
        UserError: as :func:`~lora_tui.dataset.notes.change_notes`.
    """
    gone = {name: "" for name in _all_names(load_notes(home)) if name.startswith(folder)}
    if gone:
        change_notes(home, partial(_left, names=gone))


def _all_names(notes: Notes) -> set[str]:
    return {*notes.excluded, *notes.reviewed, *notes.crops, *(name for group in notes.alike for name in group)}


def _with(notes: Notes, rows: Mapping[str, Noted]) -> Notes:
    notes = notes.excluding(*(name for name, noted in rows.items() if noted.excluded))
    notes = notes.reviewing(*(name for name, noted in rows.items() if noted.reviewed))
    return notes.with_crops({name: noted.crop for name, noted in rows.items() if noted.crop is not None})


def _left(notes: Notes, names: Mapping[str, str]) -> Notes:
    """The same without files that went elsewhere, those that are alike by their new names; an empty one is gone."""
    groups = (frozenset(names.get(name, name) for name in group) - {""} for group in notes.alike)
    return replace(
        notes,
        excluded=notes.excluded - names.keys(),
        reviewed=notes.reviewed - names.keys(),
        crops={name: crop for name, crop in notes.crops.items() if name not in names},
        alike=frozenset(group for group in groups if len(group) > 1),
    )
