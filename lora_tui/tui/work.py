"""The app's work behind the screens: opening, scanning, planning and watching runs, all in threads.

Every result comes back to the event loop, is put into the workspace there, and the visible screen is
told what changed. Nothing here draws.
"""

from __future__ import annotations

import asyncio
import operator
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from lora_tui.dataset.eyes import eyes_now
from lora_tui.errors import UserError
from lora_tui.text import _, plain
from lora_tui.tui import config_file
from lora_tui.tui import workspace as reading
from lora_tui.tui.known_problems import with_known
from lora_tui.tui.runs_told import tell_runs
from lora_tui.tui.tasks_reader import TasksReader, changes_images, roots_of
from lora_tui.tui.tasks_told import tell_end, tell_ended
from lora_tui.tui.threads import asked, in_thread, in_turn, keep_from_collection, start_job
from lora_tui.tui.wording import error_words
from lora_tui.tui.workspace import Images, Planned, Workspace

if TYPE_CHECKING:
    from lora_tui.config.schema import Config
    from lora_tui.dataset.scan import Scan
    from lora_tui.project import Project
    from lora_tui.runs.folder import RunFolder
    from lora_tui.tui.app import LoraTuiApp

RUNS_SECONDS = 2.0
"""How often the states of runs are read; the training screen reads its own run more often."""

FOLDERS_EVERY = 5
"""The datasets' folders are looked at in every so-many-th look at the runs."""

PROGRESS_SECONDS = 0.2
"""How often a scan says how far it is."""

PLAN_DELAY = 0.15
"""Seconds after a change of the configuration before it is planned: typing does not plan every letter."""


def _get_ready() -> None:
    """Have what decodes images started while their folders are being read. Called in a thread."""
    eyes_now().warm()


class Work:
    """Mixin of the app: fills :attr:`workspace`."""

    workspace: Workspace

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._stop_scan = threading.Event()
        self._stop_plan = threading.Event()
        self._grouped: tuple[Scan | None, dict[str, int]] = (None, {})
        self._left_out: frozenset[Path] = frozenset()  # damaged images for which the folders were read again
        self._runs_reader = reading.RunsReader()
        self._tasks_reader = TasksReader()
        self._planned_for: Config | None = None
        self._polling = False
        self._polls = 0

    @property
    def _app(self) -> LoraTuiApp:
        return cast("LoraTuiApp", self)

    # -- for screens

    @property
    def plan_ready(self) -> bool:
        """Whether what is planned is of the images and the configuration as they are now, and not of those before."""
        work = self.workspace
        return work.planned is not None and work.scanned < 0 and self._planned_for is work.config

    def open_directory(self, directory: Path, *, run: RunFolder | None = None, again: bool = False) -> None:
        """Open a project, or a folder of images as one.

        Args:
            run: the one that is shown; the configuration that it was made from is opened, but not ``again``.
        """
        follows = run is None or (again and self.workspace.follows)
        self.workspace = Workspace(directory, run=run, follows=follows)
        self._app.changed(*reading.EVERYTHING)
        start_job(self._app, partial(self._open, None if again else run), "open")

    def rescan(self) -> None:
        """Read the images again."""
        if self.workspace.config is not None:
            self.workspace.scanned = 0
        start_job(self._app, self._scan, "scan")

    def use_config(self, config: Config, path: Path | None = None, *, changed: bool = True) -> None:
        """Take another configuration, or the edited one; ``changed`` says that it differs from its file."""
        work = self.workspace
        folders_differ = work.config is None or work.config.datasets != config.datasets
        known = self.plan_ready and config is work.config
        work.config, work.config_changed = config, changed
        if path is not None:
            work.several = work.several or (work.config_path is not None and work.config_path != path)
            work.config_path = path
            if not changed:
                work.file_config = config
        self._app.changed("config")
        if folders_differ:
            self.rescan()
        elif not known:
            self.replan()

    def use_new_config(self, config: Config) -> None:
        """Take a configuration that is in no file: saving it makes one and leaves that of the last one alone."""
        work = self.workspace
        work.several = work.several or work.config_path is not None
        work.config_path, work.file_config, work.file_stamp = None, None, ()
        self.use_config(config)

    def replan(self) -> None:
        """Plan the current configuration again."""
        self._planned_for = None
        start_job(self._app, self._plan, "plan")

    def use_run(self, run: RunFolder | None) -> None:
        """Make ``run`` the one that the training screen shows."""
        status = self.workspace.status_of(run)
        self.workspace.run, self.workspace.follows = run, run is None or status is None or status.alive
        self._app.changed("run")

    def poll_runs(self) -> None:
        """Look at the runs now; a look that is still going on is enough."""
        if not self._polling:
            self._polling = True
            start_job(self._app, self._poll, "runs")

    # -- the work

    def stop_work(self) -> None:
        """Ask threads to end soon: the process cannot end before them."""
        self._stop_scan.set()
        self._stop_plan.set()

    async def _open(self, run: RunFolder | None) -> None:
        work = self.workspace
        try:
            opened = await in_thread(reading.open_project, work.directory, run)
        except UserError as error:
            work.trouble = (error,)
            work.scanned = -1
            self._app.tell(error_words(error), "error")
            self._app.changed("project")
            return
        work.project, work.saved = opened.project, opened.saved
        work.config, work.config_path, work.trouble = opened.config, opened.config_path, opened.errors
        work.config_changed, work.several = False, opened.several
        work.file_config = opened.config if opened.config_path is not None else None
        start_job(self._app, partial(in_thread, _get_ready), "decoder")
        if opened.errors:
            self._app.tell(error_words(opened.errors[0]), "error")
        self.rescan()  # first, so that the screens see that images are being read
        self._app.changed("project", "config")
        self.poll_runs()
        from lora_tui.settings import remember_project

        await in_thread(remember_project, opened.project.root)
        await tell_ended(self._app)

    async def _scan(self) -> None:
        work = self.workspace
        if work.config is None:
            return
        self._stop_scan.set()
        stop = self._stop_scan = threading.Event()
        work.scanned = 0
        app, config, project = self._app, work.config, work.project

        said = time.monotonic()

        def progress(found: int) -> None:
            nonlocal said
            if (now := time.monotonic()) - said >= PROGRESS_SECONDS:
                said = now
                app.call_later(self._scanned, work, found)

        def early(images: Images) -> None:
            app.call_later(self._early, work, images, stop)

        copy = config.model_copy(deep=True)
        try:
            images = await in_thread(reading.read_images, copy, progress, asked(stop), early)
        except UserError as error:
            work.images, work.early, work.scanned = None, None, -1
            work.trouble = (error,)
            self._app.tell(error_words(error), "error")
            self._app.changed("scan")
            self.replan()
            return
        if stop.is_set():
            return
        old = work.images
        # A hundred thousand images are compared in a thread: it takes half a second.
        same = old is not None and await in_thread(operator.eq, old.scan, images.scan)
        if stop.is_set():
            return
        shown = images if old is None or same else await in_turn(with_known, images, old)
        if stop.is_set():
            return
        work.scanned, work.early = -1, None
        if not same:  # else the old problems stand until the new ones are known
            work.images = shown
            keep_from_collection()
            self._app.changed("scan")
            self.replan()
        checked = await in_thread(reading.check_images, copy, project, images, stop.is_set)
        if stop.is_set():
            return
        if old is None or not old.decoded or not same or not checked.decodable:
            work.images = checked  # else the old problems stand here, too
            self._app.changed("scan")
            self.replan()
        if checked.decodable:
            await self._decode(copy, project, checked, stop)

    async def _decode(self, config: Config, project: Project | None, images: Images, stop: threading.Event) -> None:
        """Look at the pixels, too; images that turn out damaged are left out by a scan that knows of them."""
        work = self.workspace
        look = partial(reading.check_images, config, project, images, stop.is_set, decode=True)
        decoded = await in_thread(look)
        if stop.is_set() or work is not self.workspace:
            return
        damaged = decoded.newly_damaged - self._left_out
        if damaged:
            self._left_out |= damaged
            self.rescan()
            return
        work.images = decoded
        self._app.changed("scan")
        self.replan()

    def _early(self, work: Workspace, images: Images, stop: threading.Event) -> None:
        """The first of many images are there; the others follow."""
        if work is self.workspace and work.scanned >= 0 and work.images is None and not stop.is_set():
            work.early, work.scanned = images, max(work.scanned, images.tally.images)
            self._app.changed("scan")

    def _scanned(self, work: Workspace, found: int) -> None:
        if work is self.workspace and work.scanned >= 0 and work.images is None:
            work.scanned = found
            self._app.changed("scan")

    async def _plan(self) -> None:
        await asyncio.sleep(PLAN_DELAY)
        work = self.workspace
        if work.config is None:
            return
        price = float(work.project.price_per_hour) if work.project else 0.0
        purpose = work.project.purpose if work.project else ""
        source, images = work.config, work.images
        config = source.model_copy(deep=True)
        self._stop_plan.set()
        stop = self._stop_plan = threading.Event()

        def plan(groups: dict[str, int]) -> Planned:
            runs, folder = work.runs or (), work.runs_dir
            return reading.make_planned(
                config, images, runs, price_per_hour=price, purpose=purpose, groups=groups, folder=folder
            )

        work.planned = await in_turn(plan, self._groups_of(images))
        self._planned_for = source
        self._app.changed("plan")
        # Once all images are decoded their fingerprints are known, and grouping them takes a moment.
        if images is not None and images.decoded and images.scan is not self._grouped[0]:
            groups = await in_thread(reading.near_duplicates, config, images, stop.is_set)
            if not stop.is_set() and work.images is not None and images.scan is work.images.scan:
                self._grouped = (images.scan, groups)
                work.planned = await in_turn(plan, groups)
                self._app.changed("plan")

    def _groups_of(self, images: Images | None) -> dict[str, int]:
        return self._grouped[1] if images is not None and images.scan is self._grouped[0] else {}

    async def _poll(self) -> None:
        work = self.workspace
        try:
            runs = await in_thread(self._runs_reader.read, work.runs_dir)
            if work is self.workspace and runs != work.runs:
                before, work.runs = work.runs, runs
                tell_runs(self._app, before, runs)
                self._app.changed("runs", *(("run",) if work.follow() else ()))
            await self._poll_tasks(work)
            await self._poll_config(work)
            self._polls += 1
            if self._polls % FOLDERS_EVERY == 0 and work.images is not None and work.config is not None:
                stamp = await in_thread(reading.folder_stamp, work.config)
                if work is self.workspace and stamp != work.images.stamp:
                    self.rescan()
        finally:
            self._polling = False

    async def _poll_tasks(self, work: Workspace) -> None:
        """Look how the tasks fare; the end of one is told, and what it may have changed is read again."""
        if work.project is None:
            return
        tasks = await in_thread(self._tasks_reader.read, work.root, roots_of(work.config))
        if work is not self.workspace or tasks == work.tasks:
            return
        alive = {status.task.root for status in work.tasks or () if status.alive}
        ended = [status for status in tasks if status.task.root in alive and not status.alive]
        work.tasks = tasks
        self._app.changed("tasks")
        for status in ended:
            tell_end(self._app, status)
        if any(changes_images(status, roots_of(work.config)) for status in ended):
            self.rescan()

    async def _poll_config(self, work: Workspace) -> None:
        """A file that was changed elsewhere is read again where nothing is edited here; else it is told."""
        path = work.config_path
        if path is None or not self._app.can_change_config:
            return
        if await in_thread(config_file.stamp_of, path) in ((), work.file_stamp):
            return
        now = await in_thread(config_file.look_at, path)
        if work is not self.workspace or path != work.config_path or not self._app.can_change_config:
            return
        work.file_stamp = now.stamp
        name = plain(path.name)
        if not now.differs(work.file_config):
            return
        if now.error is not None:
            self._app.tell(error_words(now.error), "error")
        elif work.config_changed:
            words = _("{name} was changed elsewhere; what is changed here is kept, and saving asks.")
            self._app.notify_plain(words.format(name=name), "warning")
        elif now.config is not None:
            self.use_config(now.config, path, changed=False)
            self._app.tell(_("{name} was changed elsewhere and is read again.").format(name=name), "success")
