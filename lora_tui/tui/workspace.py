"""What is open: the project with its configuration, images, plan and runs. Screens read it, the app fills it.

Knows no widget. The functions here read from disk, block, and are called in threads; what they return is
frozen, and the app puts it into the :class:`Workspace` on the event loop's thread.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lora_tui.errors import UserError
from lora_tui.text import _, plain
from lora_tui.tui.ended import Ended
from lora_tui.tui.threads import TURN

if TYPE_CHECKING:
    from lora_tui.config.findings import Finding
    from lora_tui.config.fitting import Change as FitChange
    from lora_tui.config.plan import PastRun, RunPlan
    from lora_tui.config.schema import Config
    from lora_tui.dataset.scan import Problem, Scan
    from lora_tui.project import Project
    from lora_tui.runs.folder import RunFolder
    from lora_tui.runs.status import RunStatus
    from lora_tui.tasks.status import TaskStatus

Change = Literal["project", "config", "scan", "plan", "runs", "run", "tasks"]
EVERYTHING: frozenset[Change] = frozenset(("project", "config", "scan", "plan", "runs", "run", "tasks"))


GROUPED_AT_MOST = 5_000
"""Images that are decoded while the app is open, for damage and near-duplicates: of more, the plan only counts."""


@dataclass(frozen=True)
class Opened:
    """What opening a folder found; ``several``: the project has more configurations than this one."""

    project: Project
    saved: bool
    config: Config
    config_path: Path | None
    errors: tuple[UserError, ...] = ()
    several: bool = False


@dataclass(frozen=True)
class Tally:
    """Numbers about the images: how many, their folders and repeats, those without a caption, problems by gravity."""

    images: int
    folders: int
    least_repeats: int
    most_repeats: int
    bare: int
    errors: int
    warnings: int = 0
    notes: int = 0


@dataclass(frozen=True)
class Images:
    """The images of the project, what is wrong with them, and the folders' state when they were read.

    Attributes:
        checked: whether captions and sizes were checked as well; before that, problems are the scan's alone, and what
            was known of the same files.
        decoded: whether every image was decoded as well, which finds damage and near-duplicates.
    """

    scan: Scan
    problems: tuple[Problem, ...]
    tally: Tally
    stamp: tuple[tuple[str, int], ...]
    checked: bool
    decoded: bool = False

    @classmethod
    def of(
        cls,
        scan: Scan,
        problems: tuple[Problem, ...],
        stamp: tuple[tuple[str, int], ...] = (),
        *,
        checked: bool = True,
        decoded: bool = False,
    ) -> Images:
        """With their tally, which a hundred thousand images make a matter of a moment."""
        repeats = {image.repeats for image in scan.images} or {1}
        tally = Tally(
            images=len(scan.images),
            folders=len({image.dataset for image in scan.images}),
            least_repeats=min(repeats),
            most_repeats=max(repeats),
            bare=sum(image.caption_path is None for image in scan.images),
            **gravities(problems),
        )
        return cls(scan, problems, tally, stamp, checked, decoded)

    @property
    def decodable(self) -> bool:
        """Whether there are few enough images to decode them all while the app is open."""
        return len(self.scan.images) <= GROUPED_AT_MOST

    @property
    def newly_damaged(self) -> frozenset[Path]:
        """Images of the scan that decoding found damaged: the next scan knows it."""
        if not self.decoded:
            return frozenset()
        errors = {problem.path for problem in self.problems if problem.severity == "error"}
        return frozenset(image.path for image in self.scan.images if image.path in errors)


@dataclass(frozen=True)
class Planned:
    """What a run with the current configuration would be, what speaks against it, or why it cannot be said.

    ``fit``: the cheapest change that makes it fit into the device, where it does not.
    """

    plan: RunPlan | None = None
    findings: tuple[Finding, ...] = ()
    error: UserError | None = None
    fit: FitChange | None = None


@dataclass
class Workspace:
    """What is open now. Only the app changes it, and tells the screens.

    Attributes:
        directory: the folder that the app was opened on.
        project: none until it is read.
        saved: whether the project has a file of its own, or is just a folder of images.
        config_path: the file of the configuration, none while it has none.
        config_changed: whether the configuration differs from its file.
        file_config: what the file held when it was last read or written here, none while there is none.
        file_stamp: of the file at the last look at it, see ``config_file``.
        several: whether the project has other configurations, too, so that it has to be said which this is.
        early: the first images while the first scan is going on.
        scanned: images found so far while a scan is going on, else -1.
        runs: newest first.
        run: the run that the training screen shows.
        follows: whether the next run is shown once that one has ended; not where a person chose an ended one.
        tasks: tagging and preparing in the background, newest first; none until they are read.
        trouble: what went wrong while opening, one sentence each.
    """

    directory: Path
    project: Project | None = None
    saved: bool = False
    config: Config | None = None
    config_path: Path | None = None
    config_changed: bool = False
    file_config: Config | None = None
    file_stamp: tuple[int, ...] = ()
    several: bool = False
    images: Images | None = None
    early: Images | None = None
    scanned: int = -1
    planned: Planned | None = None
    runs: tuple[RunStatus, ...] | None = None
    run: RunFolder | None = None
    follows: bool = True
    tasks: tuple[TaskStatus, ...] | None = None
    trouble: tuple[UserError, ...] = ()
    revision: dict[str, int] = field(default_factory=dict)

    @property
    def scan(self) -> Scan | None:
        """The images, none until they are read."""
        return self.images.scan if self.images else None

    @property
    def plan(self) -> RunPlan | None:
        """The plan of a run with the current configuration, none when there is none."""
        return self.planned.plan if self.planned else None

    @property
    def title(self) -> str:
        """The project's name, safe to show."""
        return plain(self.project.name if self.project else self.directory.name or str(self.directory), limit=60)

    @property
    def config_name(self) -> str:
        """The name of the configuration's file, safe to show; empty where the project has no other."""
        return plain(self.config_path.stem, limit=30) if self.several and self.config_path is not None else ""

    @property
    def root(self) -> Path:
        """The project's folder."""
        return self.project.root if self.project else self.directory

    @property
    def runs_dir(self) -> Path:
        """Where the project's runs are."""
        return self.root / "runs"

    @property
    def living(self) -> RunStatus | None:
        """The newest run that a process is at work on."""
        return next((status for status in self.runs or () if status.alive), None)

    @property
    def elsewhere(self) -> RunStatus | None:
        """The run that a person may want instead of the one that is shown: one at work, else a newer one."""
        others = [status for status in self.runs or () if self.run is not None and status.run.root != self.run.root]
        living = next((status for status in others if status.alive), None)
        shown = self.status_of(self.run)
        newest = next((status for status in others[:1] if status is (self.runs or ())[0]), None)
        if newest is not None and shown is not None and 0 < newest.number < shown.number:
            newest = None  # begun in the same second
        return living or newest

    def follow(self) -> bool:
        """Turn to the run at work, or to a newer one, where the one that is shown has ended; whether it did."""
        shown = self.status_of(self.run)
        if shown is not None and shown.alive:
            self.follows = True
            return False
        other = self.living if self.run is None else self.elsewhere
        if not self.follows or other is None:
            return False
        self.run = other.run
        return True

    @property
    def working(self) -> TaskStatus | None:
        """The newest task that a process is at work on."""
        return next((status for status in self.tasks or () if status.alive), None)

    def status_of(self, run: RunFolder | None) -> RunStatus | None:
        """How a run fared at the last look."""
        return next((status for status in self.runs or () if run is not None and status.run.root == run.root), None)


def open_project(directory: Path, run: RunFolder | None = None) -> Opened:
    """Read the project that ``directory`` belongs to, or take the folder itself for one.

    The newest file in ``configs/`` becomes the configuration; one that is wrong is reported, and the
    defaults stand in for it.

    Args:
        run: the configuration that it was made from comes before newer ones: the same name and the same datasets.

    Raises:
        UserError: the folder is missing, cannot be read, or its project file is wrong.
    """
    from lora_tui.project import Project

    if not directory.is_dir():
        raise UserError(
            _("There is no such folder."),
            place=plain(str(directory)),
            remedy=_("Name a project or a folder of images."),
            code="project.missing",
        )
    project = Project.find(directory)
    saved = project is not None
    if project is None:
        project = Project.adopt(directory)
    from lora_tui.config.load import load_config

    errors: list[UserError] = []
    sweeps: list[UserError] = []  # nothing is wrong with them, but none is the one configuration to open
    found: list[tuple[Config, Path]] = []
    about = _about_of_run(run)
    files = project.newest_configs()
    for path in files:
        try:
            found.append((load_config(path), path))
        except UserError as error:
            sweeps += [error] if error.code == "config.sweep" else []
            errors += [error] if error.code != "config.sweep" else []
            continue
        if about is None or _about(found[-1][0]) == about:
            return Opened(project, saved, *found[-1], tuple(errors), several=len(files) > 1)
    config, file = found[0] if found else (starting_config(project), None)
    told = errors if found else [*errors, *sweeps]
    return Opened(project, saved, config, file, tuple(told), several=len(files) > 1)


def _about(config: Config) -> tuple[str, tuple[str, ...]]:
    """What tells the configurations of a project apart: its name and its datasets."""
    return config.saving.name, tuple(entry.path for entry in config.datasets)


def _about_of_run(run: RunFolder | None) -> tuple[str, tuple[str, ...]] | None:
    from lora_tui.config.load import load_config

    try:
        return _about(load_config(run.config_path)) if run is not None else None
    except UserError:
        return None  # the run's own screen says so


def starting_config(project: Project) -> Config:
    """What ``lora-tui config new`` would write: the preset for the purpose, and what the project knows."""
    from lora_tui.config.fresh import new_config

    return new_config(project)


def read_images(
    config: Config,
    on_progress: Callable[[int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    on_early: Callable[[Images], None] | None = None,
) -> Images:
    """Scan the datasets of ``config``; the captions are not read yet, see :func:`check_images`.

    ``on_early`` is given the first of many images, while the scan goes on.

    Raises:
        UserError: a dataset folder is missing or cannot be read.
    """
    from lora_tui.dataset.scan import scan_datasets

    def early(scan: Scan) -> None:
        if on_early is not None:
            on_early(Images.of(scan, scan.problems, checked=False))

    stamp = folder_stamp(config)
    scan = scan_datasets(config, on_progress=on_progress, should_stop=should_stop, on_early=early)
    return Images.of(scan, scan.problems, stamp, checked=False)


def gravities(problems: Iterable[Problem]) -> dict[str, int]:
    """How many errors, warnings and notes there are: the fields of :class:`Tally`."""
    found = Counter(problem.severity for problem in problems)
    return {"errors": found["error"], "warnings": found["warning"], "notes": found["note"]}


def check_images(
    config: Config,
    project: Project | None,
    images: Images,
    should_stop: Callable[[], bool] | None = None,
    *,
    decode: bool = False,
) -> Images:
    """The same images with all their problems; those of many images are looked for in a process of its own.

    ``decode`` finds what ``lora-tui dataset check`` finds, by decoding each image once in its life.
    """
    from lora_tui.dataset.check_apart import check_dataset_apart
    from lora_tui.tagging.closeups import seen_as_closeups
    from lora_tui.tagging.seen import telling_tags

    problems = check_dataset_apart(
        images.scan,
        config=config,
        purpose=project.purpose if project else "",
        trigger=config.saving.trigger or (project.trigger if project else ""),
        decode=decode,
        closeups=seen_as_closeups(images.scan.images, should_stop),
        told=telling_tags(images.scan.images, should_stop),
        should_stop=should_stop,
        turn=TURN,
    )
    return Images.of(images.scan, problems, images.stamp, decoded=decode)


def folder_stamp(config: Config) -> tuple[tuple[str, int], ...]:
    """The change times of the datasets' folders and their direct subfolders, to notice files that come or go."""
    found: list[tuple[str, int]] = []
    for dataset in config.datasets:
        if not dataset.path:
            continue
        try:
            changed = Path(dataset.path).stat().st_mtime_ns
            inside = _folders_in(dataset.path, changed)
        except (OSError, ValueError):
            continue
        found.append((dataset.path, changed))
        for folder in inside:
            with contextlib.suppress(OSError):
                found.append((folder, Path(folder).stat().st_mtime_ns))
    return tuple(sorted(found))


@lru_cache(maxsize=256)
def _folders_in(folder: str, changed: int) -> tuple[str, ...]:
    """The folders in a folder that was changed then (ns): of a hundred thousand files they are not sought again."""
    with os.scandir(folder) as entries:
        return tuple(entry.path for entry in entries if not entry.name.startswith(".") and entry.is_dir())


def make_planned(
    config: Config,
    images: Images | None,
    runs: tuple[RunStatus, ...] = (),
    *,
    price_per_hour: float = 0.0,
    purpose: str = "",
    groups: dict[str, int] | None = None,
    folder: Path | None = None,
) -> Planned:
    """The plan of a run, what speaks against it, and what experience advises.

    Args:
        purpose: of the project, for the advice.
        groups: near-duplicate group of each image by uid, see :func:`near_duplicates`.
        folder: of the runs, to hold the plan against its disk and the device; none looks at neither.
    """
    from lora_tui.config.counsel import advise
    from lora_tui.config.history import past_probes, past_runs_elsewhere
    from lora_tui.config.plan import expected_step_seconds, plan_run
    from lora_tui.config.rules.room import fit_for
    from lora_tui.config.validate import check_config
    from lora_tui.dataset.batches import make_plan

    scan = images.scan if images else None
    if scan is None or not scan.images:
        return Planned(findings=check_config(config, scan=scan))
    try:
        data_plan = make_plan(config, scan, groups=groups or {})
        root = runs[0].run.root.parent.parent if runs else None
        history = (*past_probes(folder.parent if folder is not None else None), *past_runs(runs))
        if expected_step_seconds(config, history)[0] is None:  # none of this project's compares: ask the others
            history += past_runs_elsewhere(root)
        plan = plan_run(config, scan, data_plan, history=history, price_per_hour=price_per_hour)
    except UserError as error:
        return Planned(findings=check_config(config, scan=scan), error=error)
    findings = check_config(config, scan=scan, plan=data_plan, folder=folder)
    advice = tuple(advise(config, data_plan, purpose=purpose, seconds=plan.seconds))
    return Planned(plan, (*findings, *advice), fit=fit_for(config, data_plan) if folder is not None else None)


def near_duplicates(
    config: Config, images: Images | None, should_stop: Callable[[], bool] | None = None
) -> dict[str, int]:
    """The near-duplicate groups that decide which images validation may hold out; empty when none is held out.

    Decodes images that are not in the cache of fingerprints yet, which takes a while.
    """
    if images is None or config.validation.mode == "off" or not images.decodable:
        return {}
    from lora_tui.dataset.similar import image_groups

    return image_groups(images.scan.images, should_stop=should_stop)


class RunsReader:
    """Reads the states of runs again and again; one that has ended is read only when its files changed."""

    def __init__(self) -> None:
        self._ended: Ended[RunStatus] = Ended()

    def read(self, runs_dir: Path) -> tuple[RunStatus, ...]:
        """The project's runs, newest first, each with its state now."""
        from lora_tui.runs.folder import list_runs

        folders = sorted(list_runs(runs_dir), key=lambda run: run.name, reverse=True)
        return tuple(self._status(folder) for folder in folders)

    def _status(self, run: RunFolder) -> RunStatus:
        from lora_tui.runs.status import inspect

        files = (run.events_path, run.job_path, run.record_path, run.root / "slurm.json")
        return self._ended.status(run.root, files, lambda: inspect(run))


def past_runs(runs: tuple[RunStatus, ...], most: int = 5) -> list[PastRun]:
    """What the newest runs teach about time."""
    from lora_tui.config.load import load_config
    from lora_tui.config.plan import PastRun

    found: list[PastRun] = []
    for status in runs:
        if status.step_seconds and len(found) < most:
            try:
                config = load_config(status.run.config_path)
            except UserError:
                continue
            found.append(PastRun(_("run {number}").format(number=status.number), config, status.step_seconds))
    return found
