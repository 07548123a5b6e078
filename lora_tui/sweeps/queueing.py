"""The runs of a sweep in the queue of this machine: put there once, and again only those that never ran."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lora_tui.config.load import load_config
from lora_tui.config.schema import Config
from lora_tui.errors import UserError
from lora_tui.files import alone_in
from lora_tui.jobs.queue.door import Wish, add
from lora_tui.jobs.queue.journal import read_queue
from lora_tui.jobs.queue.record import QueueJob
from lora_tui.sweeps.folder import Planned, SweepFolder, begun, create, same
from lora_tui.sweeps.members import Sweep
from lora_tui.text import _, plain


@dataclass(frozen=True)
class Started:
    """What was put into the queue of the sweep in ``folder``; ``again``: it had been started before."""

    folder: SweepFolder
    jobs: list[QueueJob]
    again: bool


def start(
    sweep: Sweep, runs_dir: Path, *, command: Sequence[str] = (), chained: bool = False, force: bool = False
) -> Started:
    """Make the folder of a sweep and put its runs into the queue.

    Where the very same sweep was started before and some of its runs have not begun, it goes on with that one: whoever
    asks again because the first time was cut short gets no run twice. Arguments as of :func:`enqueue_unstarted`.

    Raises:
        UserError: as :func:`~lora_tui.sweeps.folder.create` and :func:`enqueue_unstarted`.
    """
    before = same(sweep, runs_dir)
    again = before is not None and len(begun(before)) < len(before.members)
    folder = before if before is not None and again else create(sweep, runs_dir, command=command)
    return Started(folder, enqueue_unstarted(folder, chained=chained, force=force), again)


def jobs_of(sweep: SweepFolder) -> dict[str, QueueJob]:
    """The newest job of the queue for each run of the sweep; those that the queue does not know are left out."""
    by_file = {str(one.config): one.name for one in sweep.members}
    jobs = sorted(read_queue().jobs.values(), key=lambda job: job.id)
    return {by_file[job.source]: job for job in jobs if job.source in by_file}


def unstarted(sweep: SweepFolder, jobs: Mapping[str, QueueJob]) -> list[Planned]:
    """The runs that never were, and that the queue is not about to start."""
    there = begun(sweep)
    in_queue = {name for name, job in jobs.items() if not job.over}
    return [one for one in sweep.members if one.name not in there and one.name not in in_queue]


def enqueue_unstarted(sweep: SweepFolder, *, chained: bool = False, force: bool = False) -> list[QueueJob]:
    """Put the runs that never were into the queue; who does it twice at once puts each there once.

    Args:
        chained: each comes after the one before has ended, however it did, where there is room for several, too.
        force: start them where the disk may not hold all that they write, too.

    Raises:
        UserError: a configuration of the sweep is gone or wrong, or the queue cannot take them.
    """
    try:
        with alone_in(sweep.root):
            missing = unstarted(sweep, jobs_of(sweep))
            configs = [load_config(one.config) for one in missing]
            wishes = [_wish(sweep, *pair, force=force) for pair in zip(missing, configs, strict=True)]
            if chained:
                wishes = [replace(wish, if_failed="run") for wish in wishes]
            return add(wishes, chained=chained)
    except OSError as error:
        raise UserError(
            _("The folder of the sweep cannot be opened: {reason}.").format(reason=error.strerror or error),
            place=plain(str(sweep.root)),
            code="sweep.unreadable",
        ) from error


def _wish(sweep: SweepFolder, one: Planned, config: Config, *, force: bool) -> Wish:
    more = ["--force"] if force else []
    if config.memory.device.startswith("cuda:"):  # it sees only those that it is given
        more += ["--set", "memory.device=cuda"]
    return Wish(
        ("train", str(one.config), "--runs", str(sweep.runs_dir), *more),
        title=one.name,
        folder=str(_there(sweep.runs_dir.parent)),
        gpus=0 if config.memory.device == "cpu" else max(config.memory.processes, 1),
        group=sweep.name,
        source=str(one.config),
    )


def _there(folder: Path) -> Path:
    return folder if os.path.isdir(folder) else Path.cwd()  # noqa: PTH112 - never raises
