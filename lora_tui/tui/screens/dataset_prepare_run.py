"""A preparation at work: started in the background, followed, paused, stopped; then its report, and its images in the
place of the originals."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.dataset.prepare.plan import Plan
from lora_tui.dataset.prepare.remembered import Choices, save_choices
from lora_tui.errors import UserError
from lora_tui.tasks.folder import TaskFolder
from lora_tui.tasks.known import note_told, remember_task, remembered_tasks, untold_tasks
from lora_tui.tasks.start import Asked, start_task
from lora_tui.tasks.status import TaskStatus, task_status
from lora_tui.text import _, bytes_text, count, ngettext, plain
from lora_tui.tui.mishap import failure_words
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.widgets.dialog import Choice, Choose, Confirm
from lora_tui.tui.widgets.task_progress import TaskProgress
from lora_tui.tui.widgets.text_view import TextView

if TYPE_CHECKING:
    from lora_tui.tui.screens.dataset_prepare import PrepareScreen

KIND = "prepare"
_WHILE_AT_WORK = frozenset(("pause", "stop"))
_AFTER = frozenset(("go-on", "use", "again"))
_BEFORE = frozenset(("edit", "start", "undo", "other-pane", "refused"))
REPORT_LINES = 400
"""Images of a report that are listed: those that were not made."""


class PrepareRun:
    """The part of the screen that has the work done.

    Attributes:
        report: the file that says what was done; none before there is one.
    """

    def __init__(self, screen: PrepareScreen) -> None:
        self._screen = screen
        self._request: dict[str, str] = {}
        self.report: Path | None = None

    @property
    def progress(self) -> TaskProgress:
        """How it fares."""
        return self._screen.query_one(TaskProgress)

    @property
    def _is_shown(self) -> bool:
        return self._screen.has_class("-task")

    def refusal(self, name: str) -> str:
        """Why something cannot be done now."""
        screen = self._screen
        if name == "start":
            if self._is_shown:
                return _("A preparation is shown already.")
            if screen.trouble is not None:
                return plain(screen.trouble.message)
            if screen.plan is None or not screen.is_planned:
                return _("The images are still being planned.")
            if not screen.plan.items:
                return _("There is no image to prepare.")
        if name in _WHILE_AT_WORK | _AFTER and not self._is_shown:
            return _("No preparation is running.")
        if name == "pause" and not (self.progress.can_pause or (self._alive and self.progress.can_resume)):
            return _("It is not running.")
        if name == "stop" and not self.progress.can_stop:
            return _("It is not running.")
        if name == "go-on" and not self.progress.can_resume:
            return _("Nothing is left to do.")
        if name == "use" and not self._is_done:
            return _("The preparation has not ended yet.")
        if name == "use" and self._unusable():
            return self._unusable()
        if name == "again" and self._alive:
            return _("It is still running; it goes on when you leave.")
        return ""

    def hidden(self) -> frozenset[str]:
        """What the line of keys need not name now."""
        if not self._is_shown:
            return _WHILE_AT_WORK | _AFTER
        names = (*_WHILE_AT_WORK, *_AFTER)
        resting = frozenset(() if self.progress.can_pause else ("pause",))
        return _BEFORE | resting | frozenset(name for name in names if self.refusal(name))

    @property
    def _alive(self) -> bool:
        return self.progress.status is None or self.progress.status.alive

    @property
    def _is_done(self) -> bool:
        status = self.progress.status
        return status is not None and status.state == "finished" and bool(status.result.get("complete"))

    # -- which

    async def find_task(self) -> None:
        """Show the preparation that this project has at work, or whose end nobody was told of."""
        found = await in_thread(_task_to_show, self._screen.workspace.root)
        if found is not None:
            self._show(*found)

    def _show(self, task: TaskFolder, request: dict[str, str], status: TaskStatus | None = None) -> None:
        self._screen.add_class("-task")
        self._request, self.report = request, None
        self.progress.follow(task, status)
        self._screen.set_focus(self._screen.images)
        if status is not None and not status.alive:
            self.ended(status)
        self._screen.refresh_keys()

    def ended(self, status: TaskStatus) -> None:
        """It has ended, now or while nobody looked."""
        screen = self._screen
        report = status.result.get("report")
        self.report = Path(report) if isinstance(report, str) else None
        start_job(screen, partial(self._note, status.task), "told", alone=False)
        if self._is_done:
            key = screen.shell.keymap.shown("prepare.use")
            offer = _("The images are ready. {key} trains on them.").format(key=key)
            screen.tell(_("The images are ready.") if self.refusal("use") else offer, "success")
        screen.refresh_keys()

    async def _note(self, task: TaskFolder) -> None:
        await in_thread(note_told, self._screen.workspace.root, task)

    # -- starting

    def action_start(self) -> None:
        screen = self._screen
        plan = screen.plan
        if plan is None or screen.form is None or screen.form.place is None:
            return
        begin = partial(start_job, screen, partial(self._start, plan, screen.form.place), "start")
        if not screen.is_too_large:
            begin()
            return
        question = _("The disk may be too small: about {size} are needed.").format(size=bytes_text(plan.disk_bytes))
        detail = _("When it is full the preparation stops; it goes on when there is room.")

        def answered(yes: bool | None) -> None:
            if yes:
                begin()

        screen.app.push_screen(Confirm(question, detail, yes=_("start")), answered)

    async def _start(self, plan: Plan, place: Path) -> None:
        screen = self._screen
        assert screen.form is not None
        choices = screen.form.choices
        try:
            task = await in_thread(_begin, screen.workspace.root, plan, place, choices)
        except Exception as error:
            screen.tell(failure_words(screen.shell, error), "error")
            return
        self._show(task, {"source": str(plan.source), "destination": str(place)})
        screen.tell(_("Started; it goes on when you leave this screen or the program."), "success")

    # -- while it is at work

    def action_pause(self) -> None:
        self._ask("pause" if self.progress.can_pause else "resume")

    def action_stop(self) -> None:
        self._ask("stop")

    def action_go_on(self) -> None:
        self._ask("resume")

    def _ask(self, what: Asked) -> None:
        start_job(self._screen, partial(self._asked, what), "ask")

    async def _asked(self, what: Asked) -> None:
        try:
            await self.progress.ask(what)
        except UserError as error:
            self._screen.tell(failure_words(self._screen.shell, error), "error")
            return
        words = {
            "pause": _("It rests after the images in hand."),
            "stop": _("It stops after the images in hand; what is done stays."),
            "resume": _("It goes on."),
        }
        self._screen.tell(words[what])

    # -- after it

    def action_again(self) -> None:
        screen = self._screen
        screen.remove_class("-task")
        self.report = None
        self.progress.follow(None)
        screen.set_focus(screen.settings)
        screen.replan()

    def read_report(self) -> None:
        """The report in words."""
        start_job(self._screen, self._read_report, "report")

    async def _read_report(self) -> None:
        if self.report is not None and self.progress.status is not None:
            lines = await in_thread(_report_lines, self.report, self.progress.status)
            self._screen.app.push_screen(TextView(_("What was prepared"), lines))

    def _unusable(self) -> str:
        """Why the images cannot be put in the place of the originals."""
        config = self._screen.workspace.config
        if not self._request or config is None:
            return _("What was asked for cannot be read.")
        if any(_same(entry.path, self._request["destination"]) for entry in config.datasets):
            return _("The project trains on them already.")
        if not Path(self._request["destination"]).is_dir():
            return _("There is no {path}.").format(path=plain(self._request["destination"]))
        return ""

    def action_use(self) -> None:
        work = self._screen.workspace
        source = self._request["source"]
        folders = [entry.path for entry in work.config.datasets if entry.path] if work.config is not None else []
        old = source if not work.saved else next((path for path in folders if _same(path, source)), "")
        if old or len(folders) < 2:
            self._ask_use(Path(old or next(iter(folders), source)))
            return

        def chosen(path: Path | None) -> None:
            if path is not None:
                self._ask_use(path)

        choices = [Choice(Path(path), plain(Path(path).name), plain(str(Path(path).parent))) for path in folders]
        self._screen.app.push_screen(Choose(_("In the place of which folder?"), choices), chosen)

    def _ask_use(self, old: Path) -> None:
        screen, work = self._screen, self._screen.workspace
        new, status = Path(self._request["destination"]), self.progress.status
        made = status.done if status is not None else 0
        question = ngettext("Train on the {count} new image?", "Train on the {count} new images?", made)
        if work.saved:
            files = (work.config_path, work.project.file if work.project is not None else None)
            names = _(", ").join(plain(path.name) for path in files if path is not None)
            detail = _("{old} becomes {new} in {files}. The originals stay where they are.").format(
                old=plain(old.name), new=plain(new.name), files=names
            )
        else:
            detail = _("{new} is opened. The originals stay where they are.").format(new=plain(str(new)))

        def answered(yes: bool | None) -> None:
            if yes:
                from lora_tui.tui.dataset_swap import use_folder

                screen.dismiss()
                use_folder(screen.shell, screen.acts, old, new)

        dialog = Confirm(question.format(count=count(made)), detail, yes=_("train on them"))
        screen.app.push_screen(dialog, answered)


def _same(one: str, other: str) -> bool:
    from os.path import normpath

    return bool(one) and normpath(one) == normpath(other)


def _task_to_show(project: Path) -> tuple[TaskFolder, dict[str, str], TaskStatus] | None:
    """The newest preparation that is at work, else the newest whose end was not told."""
    told = {task.root for task in remembered_tasks(project)} - {task.root for task in untold_tasks(project)}
    found = [(task, task_status(task)) for task in remembered_tasks(project) if task.name.endswith(f"-{KIND}")]
    living = [pair for pair in found if pair[1].alive]
    shown = next(iter([*living, *(pair for pair in found if pair[0].root not in told)]), None)
    return None if shown is None else (shown[0], _request_of(shown[0]), shown[1])


def _request_of(task: TaskFolder) -> dict[str, str]:
    try:
        options = task.read()["options"]
        return {name: str(options[name]) for name in ("source", "destination")}
    except (UserError, KeyError):
        return {}


def _begin(project: Path, plan: Plan, place: Path, choices: Choices) -> TaskFolder:
    """Start the task; what is wrong with the destination is said at once.

    Raises:
        UserError: as :class:`~lora_tui.dataset.prepare.work.Work` and :func:`~lora_tui.tasks.start.start_task`.
    """
    from lora_tui.dataset.prepare.carry import check_places
    from lora_tui.dataset.prepare.work import Work

    check_places(plan.source, place)
    with Work(place, plan):
        pass
    request = {
        "source": str(plan.source),
        "destination": str(place),
        "options": plan.options.as_dict(),
        "workers": choices.workers,
    }
    task = start_task(place, KIND, f"{plan.source.name} > {place.name}", request, about=[plan.source])
    remember_task(project, task)
    save_choices(project, choices)
    return task


def _report_lines(report: Path, status: TaskStatus) -> list[str]:
    """What was done, in words, and each image that was not made with the reason. Called in a thread."""
    import json

    try:
        data = json.loads(report.read_bytes())
        rows = data["images"]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return [plain(str(report)), "", _("The report cannot be read.")]
    from lora_tui.tasks.words import result_text

    lines = [result_text(status), "", _("In full: {path}").format(path=plain(str(report)))]
    others = [row for row in rows if isinstance(row, dict) and row.get("status") != "done"]
    if others:
        lines += ["", _("Not made:")]
    for row in others[:REPORT_LINES]:
        words = " ".join(str(row.get(name, "")) for name in ("message", "remedy"))
        lines.append(f"  {plain(str(row.get('image', '')))}: {plain(words.strip())}")
    if len(others) > REPORT_LINES:
        lines.append(_("  and {number} more").format(number=count(len(others) - REPORT_LINES)))
    return lines
