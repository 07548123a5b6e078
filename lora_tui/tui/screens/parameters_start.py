"""Starting the run that the form describes: its cost is asked for first, and a plan that is being made is awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.config.schema import Config
from lora_tui.errors import UserError
from lora_tui.runs.folder import RunFolder
from lora_tui.runs.neighbours import neighbour_lines
from lora_tui.text import _, plain
from lora_tui.tui.plan_text import start_question, why_not
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.widgets.dialog import Confirm
from lora_tui.tui.wording import error_words, sentences

if TYPE_CHECKING:
    from lora_tui.tui.screens.parameters import ParametersScreen

ASKED = "disk.too_small"
"""An error that whoever starts the run may overrule."""

LOOK_SECONDS = 0.1
"""How often it is looked whether the plan has come."""


class RunStart:
    """The part of the form's screen that starts a run."""

    def __init__(self, screen: ParametersScreen) -> None:
        self._screen = screen
        self._busy = False
        self._wanted = False
        self._beside: list[str] = []  # about the runs that share the device
        self._tight: list[str] = []  # what the disk may not hold, as it was said with the question
        self._queued: list[tuple[int, Config]] = []  # jobs by number, and the form's configuration of then

    @property
    def busy(self) -> bool:
        """Whether a run is being started: asked about, waiting for its plan, or on its way."""
        return self._busy

    @property
    def waiting(self) -> bool:
        """Whether a run is to start as soon as its plan is ready."""
        return self._wanted

    def cancel(self) -> None:
        """Do not start the run that waits for its plan."""
        self._wanted = False
        self._screen.say()
        self._screen.tell(_("not started"))

    def action_start(self) -> None:
        if self._busy or not self._screen.editing.commit() or self._screen.files.changed_elsewhere():
            return
        if self._screen.sweep.axes:
            self._screen.sweep.start()
        elif not self._refused():
            self._screen.guide(self._ask, stops=False)

    def action_queue(self) -> None:
        if self._busy or not self._screen.editing.commit():
            return
        if self._screen.sweep.axes:
            self._screen.sweep.start()
        elif not self._refused():
            self._screen.guide(self._enqueue, stops=False)

    async def _enqueue(self) -> None:
        """Put a copy of the form into the queue; what is edited afterwards is another run."""
        screen, path = self._screen, self._screen.workspace.config_path
        config = screen.form.config
        name = plain(path.name if path is not None else config.saving.name, limit=24) + " *" * screen.unsaved
        add = partial(_add_to_queue, config.model_copy(deep=True), screen.workspace.runs_dir, str(path or ""))
        screen.shell.tell(_("checking"))
        try:
            number, place = await in_thread(add)
        except UserError as error:
            screen.shell.tell(error_words(error), "error")
            return
        self._queued.append((number, config))
        words = _("Queued {name}: job {number}, place {place}   {undo} undo   {key} queue")
        undo, key = (screen.shell.keymap.shown(action) for action in ("parameters.undo", "app.show-queue"))
        screen.shell.tell(words.format(name=name, number=number, place=place, undo=undo, key=key), "success")
        screen.refresh_keys()

    @property
    def has_queued(self) -> bool:
        """Whether undo is about a run that was queued: nothing on the form was changed since."""
        return bool(self._queued) and self._queued[-1][1] is self._screen.form.config

    def take_back(self) -> None:
        """Take the run that was queued last out of the queue, if it still waits."""
        number, _config = self._queued.pop()
        self._screen.guide(partial(self._withdraw, number), stops=False)

    async def _withdraw(self, number: int) -> None:
        shell = self._screen.shell
        try:
            await in_thread(_take_from_queue, number)
        except UserError as error:
            words = error_words(error)
            if error.code == "queue.not_waiting":
                key = shell.keymap.shown("app.show-queue")
                words = _("Job {number} does not wait any more; {key} shows it.").format(number=number, key=key)
            shell.tell(words, "warning")
            return
        shell.tell(_("Taken back: job {number} is out of the queue.").format(number=number), "success")

    async def _ask(self) -> None:
        """Ask; while the plan is awaited that was agreed to, the form can be used again."""
        self._busy, agreed = True, False
        try:
            config = self._screen.form.config
            if agreed := await self._agreed():
                start_job(self._screen, partial(self._start, config), "start")
        finally:
            if not agreed:
                self._end()

    async def _start(self, config: Config) -> None:
        starts = False
        try:
            if starts := await self._planned(config) and not self._refused() and self._saved():
                self._screen.guide(partial(self._launch, config.model_copy(deep=True)), stops=False)
        finally:
            if not starts:
                self._end()

    def _end(self) -> None:
        self._busy = self._wanted = False
        self._screen.say()

    def _refused(self) -> bool:
        """Whether something speaks against the run; then it is said, and the cursor is on the setting."""
        screen = self._screen
        against = (found for found in screen.form.findings or () if found.severity == "error")
        error = next((found for found in against if found.code != ASKED), None)
        if error is not None:
            screen.edited(screen.form.row_of(error.field))
            screen.shell.tell(plain(sentences(error.message, error.remedy)), "error")
            return True
        if screen.shell.plan_ready and screen.workspace.plan is None:
            screen.shell.tell(why_not(screen.workspace), "error")
            return True
        return False

    async def _agreed(self) -> bool:
        """Ask; the question may be answered before the plan is there that it is about."""
        shell = self._screen.shell
        ready = shell.plan_ready
        self._beside = await in_thread(neighbour_lines, self._screen.form.config)
        dialog = Confirm(*self._question(), yes=_("start"))
        answer = shell.push_screen(dialog, wait_for_dismiss=True)
        while not ready and not answer.done():
            await asyncio.sleep(LOOK_SECONDS)
            if shell.plan_ready and not answer.done():
                ready = True
                if self._screen.workspace.plan is None:
                    dialog.dismiss(None)
                    self._refused()
                else:
                    dialog.say(*self._question())
        return bool(await answer)

    def _question(self) -> tuple[str, str]:
        work = self._screen.workspace
        if self._screen.shell.plan_ready and work.plan is not None:
            question, details = start_question(work.plan, work, self._screen.room())
        else:
            question, details = _("Start this training?"), _("Starts when the plan is ready.")
        self._tight = [found.message for found in self._screen.form.findings or () if found.code == ASKED]
        return question, "\n".join([details, *self._tight, *self._beside, *self._screen.slurm.offer()])

    async def _planned(self, config: Config) -> bool:
        """Wait for the plan; false when that was ended, or the form is no longer what was agreed to."""
        screen = self._screen
        self._wanted = True
        while not screen.shell.plan_ready and self._wanted:
            screen.say()
            if screen.form.config is not config:
                screen.shell.tell(_("not started: the settings were changed"), "warning")
                return False
            await asyncio.sleep(LOOK_SECONDS)
        return self._wanted

    def _saved(self) -> bool:
        files = self._screen.files
        if not files.unsaved and self._screen.workspace.config_path is not None:
            return True
        return not files.changed_elsewhere() and files.save()

    async def _launch(self, config: Config) -> None:
        screen = self._screen
        screen.shell.tell(_("starting"))
        try:
            start = partial(_start_run, force=bool(self._tight))
            run = await in_thread(start, config, screen.workspace.runs_dir, screen.shell.trainer_command)
        except UserError as error:
            screen.shell.tell(error_words(error), "error")
            return
        finally:
            self._end()
        screen.shell.poll_runs()
        screen.shell.open_run(run)


def _start_run(config: Config, runs_dir: Path, command: Sequence[str] | None, *, force: bool) -> RunFolder:
    from lora_tui.runs.start import start_run

    return start_run(config, runs_dir, command=command, force=force)


def _add_to_queue(config: Config, runs_dir: Path, source: str) -> tuple[int, int]:
    """The number of the job, and its place among those that wait."""
    from lora_tui.jobs.queue.door import add, training
    from lora_tui.jobs.queue.journal import read_queue
    from lora_tui.runs.start import require_startable

    require_startable(config, runs_dir)
    (job,) = add([training(config, runs_dir, source=source)])
    return job.id, 1 + sum(other.rank < job.rank for other in read_queue().waiting())


def _take_from_queue(number: int) -> None:
    from lora_tui.jobs.queue.door import withdraw

    withdraw(number)
