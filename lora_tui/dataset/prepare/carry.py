"""Carrying out a plan: in several processes, each image on its own, to be interrupted and gone on with at any time."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from lora_tui.captions.journal.log import HOME, home_of
from lora_tui.dataset.notes import Notes, change_notes, load_notes
from lora_tui.dataset.prepare.crew import Crew
from lora_tui.dataset.prepare.gone import tidy
from lora_tui.dataset.prepare.plan import Item, Plan, rooted
from lora_tui.dataset.prepare.report import write_reports
from lora_tui.dataset.prepare.trouble import cannot_write
from lora_tui.dataset.prepare.wire import item_as_data
from lora_tui.dataset.prepare.work import Work
from lora_tui.dataset.problems import Problem
from lora_tui.errors import UserError
from lora_tui.text import _, plain

WORKERS = 2


@dataclass(frozen=True)
class Progress:
    """How far it is.

    Attributes:
        done, total: images.
        failed: of those done, images that could not be made.
        written_bytes: of new images, in this run.
        seconds: since this run began; ``fresh`` images were made in that time.
        name: the image that was done last.
    """

    done: int
    total: int
    failed: int = 0
    written_bytes: int = 0
    seconds: float = 0.0
    fresh: int = 0
    name: str = ""

    @property
    def eta(self) -> float | None:
        """Seconds that are left at the pace of this run; none while that is not known."""
        if not self.fresh or self.done >= self.total:
            return None
        return self.seconds / self.fresh * (self.total - self.done)


@dataclass(frozen=True)
class Outcome:
    """What came of a run.

    Attributes:
        complete: every image of the source was made or has failed; false when it was stopped, even while reading.
        progress: as it stood at the end.
        failed: images that could not be made, with the reason.
        kept: files of earlier runs that somebody has changed since, and that were left as they are.
        report: the file that says for each image what was done.
        gone: files of earlier runs that the source has no more, and that went into the trash of the destination.
    """

    complete: bool
    progress: Progress
    failed: tuple[Problem, ...]
    kept: tuple[str, ...]
    report: Path
    gone: tuple[str, ...] = ()


def check_places(source: Path, destination: Path) -> None:
    """Refuse a destination that is the source, lies in it, or holds it, or whose own files would lie in the source.

    Raises:
        UserError: ``prepare.places``.
    """
    inner, outer = Path(os.path.realpath(destination)), Path(os.path.realpath(source))
    own = Path(os.path.realpath(destination / HOME))
    if _is_inside(inner, outer) or _is_inside(outer, inner) or _is_inside(own, outer):
        raise UserError(
            _("Source and destination lie in each other."),
            place=plain(str(destination if own == inner / HOME else destination / HOME)),
            remedy=_("Name a folder beside the source: originals are never touched."),
            code="prepare.places",
        )


def carry_out(
    plan: Plan,
    destination: Path,
    *,
    workers: int = WORKERS,
    on_progress: Callable[[Progress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Outcome:
    """Make the images of a plan below ``destination``, which is empty, not there, or holds a part of the same work.

    An image that fails is named and the others are made. What earlier runs made is not made again, unless its original
    has changed; what somebody changed since is left alone. What the source has no more goes into the trash of the
    destination.

    Args:
        workers: processes that work at the same time.
        on_progress: told after every image.
        should_stop: asked often; once it says yes, what is in hand is finished, and the same call goes on later.

    Raises:
        UserError: the places are wrong or in use, a part is missing, or the disk is full; what was made stays, and the
            same call goes on.
    """
    check_places(plan.source, destination)
    destination = rooted(destination)
    for folder in {item.image.path.parent for item in plan.items}:
        check_places(folder, destination)
    with Work(destination, plan) as work:
        run = _Run(plan, work, on_progress)
        try:
            kept, gone = tidy(plan, work)
            run.kept += kept
            complete = run.carry_out(max(workers, 1), should_stop) and plan.complete
            report = write_reports(plan, work, run.failed, complete=complete)
            _carry_notes(plan.source, destination)
        except OSError as error:
            raise cannot_write(destination, error) from error
        return Outcome(complete, run.progress, tuple(run.failed), tuple(run.kept), report, tuple(gone))


class _Run:
    def __init__(self, plan: Plan, work: Work, on_progress: Callable[[Progress], None] | None) -> None:
        self.failed: list[Problem] = []
        self.kept: list[str] = []
        self._plan, self._work, self._on_progress = plan, work, on_progress
        self._begun = time.monotonic()
        self.progress = Progress(0, len(plan.items))

    def carry_out(self, workers: int, should_stop: Callable[[], bool] | None) -> bool:
        """Whether nothing is left to do."""
        waiting = [item for item in self._plan.items if not self._work.is_done(item)]
        self._tell(replace(self.progress, done=len(self._plan.items) - len(waiting)))
        if not waiting:
            return True
        stopped = self._stopping(should_stop)
        with Crew(
            min(workers, len(waiting)), self._work.destination, self._plan.options, inherit=[self._work.lock]
        ) as crew:
            for item, reply in crew.run(self._requests(waiting), stopped):
                self._take(item, reply)
        return self.progress.done == self.progress.total

    def _stopping(self, should_stop: Callable[[], bool] | None) -> Callable[[], bool]:
        return (lambda: False) if should_stop is None else should_stop

    def _requests(self, waiting: list[Item]) -> Iterator[tuple[Item, dict[str, Any]]]:
        for item in waiting:
            claim = self._work.claim(item)
            self.kept += claim.keep
            yield (
                item,
                {
                    "item": item_as_data(item),
                    "pixels": item.image.facts.width * item.image.facts.height,
                    "replace": claim.replace,
                    "keep": claim.keep,
                },
            )

    def _take(self, item: Item, reply: dict[str, Any]) -> None:
        """Note what came of an item.

        Raises:
            UserError: no other item would fare better.
            OSError: the work file cannot be written.
        """
        failed, written = self.progress.failed, self.progress.written_bytes
        if "error" in reply:
            error = reply["error"]
            if reply["fatal"]:
                raise UserError(error["message"], place=error["place"], remedy=error["remedy"], code=error["code"])
            self.failed.append(Problem(item.image.path, error["code"], error["message"], error["remedy"]))
            failed += 1
        else:
            self._work.finish(item, reply)
            written += sum(file["bytes"] for file in reply["files"])
        self._tell(
            replace(
                self.progress,
                done=self.progress.done + 1,
                failed=failed,
                fresh=self.progress.fresh + 1,
                written_bytes=written,
                seconds=time.monotonic() - self._begun,
                name=item.key,
            )
        )

    def _tell(self, progress: Progress) -> None:
        self.progress = progress
        if self._on_progress is not None:
            self._on_progress(progress)


def _carry_notes(source: Path, destination: Path) -> None:
    """The source's origin and licence hold for what was made of it."""
    notes = load_notes(home_of(source))
    if not (notes.source or notes.licence) or (destination / HOME / "dataset.toml").exists():
        return

    def carried(_none: Notes) -> Notes:
        return Notes(source=notes.source, licence=notes.licence, asked=notes.asked)

    change_notes(destination, carried)


def _is_inside(inner: Path, outer: Path) -> bool:
    """Whether ``inner`` is ``outer`` or lies below it, by what the disk says and not by names alone."""
    try:
        wanted = outer.stat()
    except OSError:
        return inner == outer or outer in inner.parents
    for folder in chain((inner,), inner.parents):
        try:
            found = folder.stat()
        except OSError:
            continue
        if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
            return True
    return False
