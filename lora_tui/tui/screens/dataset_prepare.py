"""Images made for training out of those of the dataset: settings, a plan of every image, before and after, the work.

This file composes and keeps the plan up to date. ``dataset_prepare_edit`` changes settings, ``dataset_prepare_look``
shows before and after, ``dataset_prepare_run`` starts, follows and puts the result in the place of the originals.
"""

from __future__ import annotations

import asyncio
import shutil
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from lora_tui.dataset.prepare.plan import Plan, plan_scan
from lora_tui.dataset.prepare.remembered import Choices, load_choices, save_choices
from lora_tui.dataset.prepare.work import is_begun, known_numbers
from lora_tui.dataset.problems import Problem
from lora_tui.errors import UserError
from lora_tui.text import _, count, plain
from lora_tui.tui.cells import Cell, wrap
from lora_tui.tui.mishap import failure_words
from lora_tui.tui.prepare_form import Known, PrepareForm, usual_size
from lora_tui.tui.prepare_table import COLUMNS, PlanTable, Row, path_of, plan_line
from lora_tui.tui.screens.base import BaseScreen
from lora_tui.tui.screens.dataset_prepare_actions import PREPARE
from lora_tui.tui.screens.dataset_prepare_edit import PrepareEditing
from lora_tui.tui.screens.dataset_prepare_look import PrepareLook
from lora_tui.tui.screens.dataset_prepare_run import PrepareRun
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.widgets.footer import KeyHint
from lora_tui.tui.widgets.form import FieldRow, FormList
from lora_tui.tui.widgets.lines import Lines
from lora_tui.tui.widgets.still_picture import StillPicture
from lora_tui.tui.widgets.task_progress import TaskProgress
from lora_tui.tui.widgets.text_view import TextView
from lora_tui.tui.widgets.virtual_list import VirtualList
from lora_tui.tui.wording import error_words, sentences
from lora_tui.tui.work import PROGRESS_SECONDS
from lora_tui.tui.workspace import Change

if TYPE_CHECKING:
    from lora_tui.dataset.scan import Scan
    from lora_tui.tui.screens.dataset_acts import Acts

PLAN_REST_SECONDS = 0.12
"""How long changes rest before all images are planned again."""

TITLE_WIDTH = 17
"""Cells of the names of settings."""


class PrepareScreen(BaseScreen):
    """Settings at the left, before and after at the right, the images below.

    Attributes:
        form: the settings; none until it is known what was chosen last.
        scan: the images of the source; none until they are read.
        table: the images as rows.
        plan: of the images with the settings; none until there is one.
        is_planned: whether the plan is that of the settings as they are now.
        trouble: what is wrong with settings or destination.
    """

    ACTS = PREPARE
    CSS_PATH = "dataset_prepare.tcss"
    AUTO_FOCUS = "#settings"

    def __init__(self, acts: Acts | None = None, at: Path | None = None) -> None:
        """``acts`` of the dataset's screen take back what is done here; ``at`` is the image to begin with."""
        super().__init__()
        self.acts = acts
        self.form: PrepareForm | None = None
        self.scan: Scan | None = None
        self.plan: Plan | None = None
        self.is_planned = False
        self.trouble: UserError | None = None
        self._at = at
        self._begun = False
        self._free = 0
        self._read = 0
        self.table = PlanTable()
        self._stop = threading.Event()
        self.editing, self.look, self.run_part = PrepareEditing(self), PrepareLook(self), PrepareRun(self)

    def doers(self) -> tuple[object, ...]:
        return self, self.editing, self.look, self.run_part

    def refusal(self, action_id: str) -> str:
        name = action_id.partition(".")[2]
        if name == "refused" and not self.table.refused:
            return _("Nothing is refused.")
        if name == "read" and not self.reading_lines():
            return _("There is nothing to read here.")
        return self.run_part.refusal(name) or self.editing.refusal(name)

    # -- composing

    def compose_body(self) -> ComposeResult:
        with Horizontal(id="top"):
            with Vertical(id="left"):
                yield FormList(self._field, empty=_("Reading images."), title_width=TITLE_WIDTH, id="settings")
                yield TaskProgress(id="progress")
            with Horizontal(id="pictures"):
                for side in ("before", "after"):
                    with Vertical():
                        yield Lines(id=f"{side}-title")
                        yield StillPicture(id=side)
        yield Lines(id="plan")
        yield VirtualList(COLUMNS, self._cells, gap=1, id="images")
        yield Lines(id="about")

    def on_mount(self) -> None:
        super().on_mount()
        start_job(self, self._open, "open")

    def on_unmount(self) -> None:
        self._stop.set()

    def workspace_changed(self, changed: frozenset[Change]) -> None:
        if "project" in changed and self.scan is not None:  # it is read again
            self.read_source()

    @property
    def settings(self) -> FormList:
        """The list of settings."""
        return self.query_one("#settings", FormList)

    @property
    def images(self) -> VirtualList:
        """The list of images."""
        return self.query_one("#images", VirtualList)

    # -- reading and planning

    async def _open(self) -> None:
        root, config = self.workspace.root, self.workspace.config
        sources = [Path(entry.path) for entry in config.datasets if entry.path] if config is not None else []
        sources = sources or [root]
        choices = await in_thread(load_choices, root)
        resolution = config.data.resolution if config is not None else 0
        family = config.model.family if config is not None else ""
        if choices is None:
            from lora_tui.dataset.prepare.options import Options

            choices = Choices(options=Options(size=usual_size(family, resolution)))
        if choices.source is None or not choices.source.is_dir():
            choices = Choices(self._source_of(sources), None, choices.options, choices.workers)
        self.form = PrepareForm(choices, sources, Known(resolution=resolution, family=family))
        self.settings.set_count(len(self.form.rows()))
        await self.run_part.find_task()
        self.read_source()

    def _source_of(self, sources: list[Path]) -> Path:
        """The dataset that the image under the cursor belongs to, else the first."""
        return next((one for one in sources if self._at is not None and self._at.is_relative_to(one)), sources[0])

    def read_source(self) -> None:
        """Read the images of the source, then plan."""
        self.scan = None
        start_job(self, self._read_source, "read")

    async def _read_source(self) -> None:
        from lora_tui.dataset.scan import scan_folder

        assert self.form is not None
        self._stop.set()
        stop = self._stop = threading.Event()
        source = self.form.source

        said = time.monotonic()

        def progress(found: int) -> None:
            nonlocal said
            if (now := time.monotonic()) - said >= PROGRESS_SECONDS and not stop.is_set():
                said = now
                self.app.call_later(self._show_read, found)

        try:
            self.scan = await in_thread(partial(scan_folder, source.absolute(), on_progress=progress))
        except UserError as error:
            self.trouble = error
            self._take(None, PlanTable())
            return
        self.form.known = await in_thread(self.form.known.of_images, self.scan.images)
        await self._plan()

    def _show_read(self, found: int) -> None:
        if self.plan is None and self.is_mounted:
            self._read = found
            self._show_plan()

    def replan(self) -> None:
        """The settings were changed: plan again in a moment."""
        self.is_planned = False
        self.say()
        if self.scan is not None:
            start_job(self, self._plan_soon, "plan")

    async def _plan_soon(self) -> None:
        await asyncio.sleep(PLAN_REST_SECONDS)
        await self._plan()

    async def _plan(self) -> None:
        form, scan = self.form, self.scan
        if form is None or scan is None:
            return
        self._stop.set()
        stop = self._stop = threading.Event()
        choices, source = form.choices, form.source
        await in_thread(save_choices, self.workspace.root, choices)
        trouble = plan = None
        table, begun, known = PlanTable(), False, form.known
        try:
            numbers = await in_thread(known_numbers, await in_thread(form.find_place), choices.options)
            plan = await in_thread(
                partial(plan_scan, scan, source, choices.options, numbers=numbers, should_stop=stop.is_set)
            )
            known = await in_thread(known.of_plan, plan)
            table = await in_thread(PlanTable, plan, self.workspace.config)
            form.place = await in_thread(form.find_place)
            begun, self._free = await in_thread(_look_at, form.place, source, plan)
        except UserError as error:
            trouble = error
        except Exception as error:
            self.tell(failure_words(self.shell, error), "error")
        if stop.is_set() or choices is not form.choices:
            return
        self.trouble, self._begun, self.is_planned = trouble, begun, plan is not None
        form.known = known
        self._take(plan, table)

    def _take(self, plan: Plan | None, table: PlanTable) -> None:
        """Show another plan; the cursor stays on its image."""
        row = self.row
        here = self._at or (path_of(row) if row is not None else None)
        self.plan, self.table, self._at = plan, table, None
        self.images.set_count(len(self.table), cursor=self.table.place_of(here), empty=self._empty_words())
        self.images.reload()
        self.show_settings()
        self._show_plan()
        self.look.moved()

    def _empty_words(self) -> str:
        if self.trouble is not None:
            return plain(error_words(self.trouble))
        return _("There is no image to prepare.") if self.plan is not None else _("Reading images.")

    # -- what is shown

    def show_settings(self) -> None:
        """Draw the settings again."""
        if self.form is not None:
            self.settings.set_count(len(self.form.rows()))
            self.settings.reload()
        self.show_about()
        self.refresh_keys()

    def _field(self, index: int) -> FieldRow:
        assert self.form is not None
        setting = self.form.rows()[index]
        return FieldRow(
            Cell(_(setting.title)),
            self.form.value(setting),
            self.form.note(setting),
            changed=not self.form.is_usual(setting),
        )

    @on(Lines.Resized, "#plan")
    def _show_plan(self) -> None:
        if self.plan is not None:
            line = plan_line(self.plan, self._free, too_large=self.is_too_large)
        else:
            line = [Cell(_("reading images: {count} so far").format(count=count(self._read)), "muted")]
        self.query_one("#plan", Lines).show([line])
        self.say()

    @property
    def is_too_large(self) -> bool:
        """Whether the disk has less room than the new images will take, about."""
        return self.plan is not None and not self._begun and self.plan.disk_bytes > self._free

    def say(self) -> None:
        """The status line: where it goes, and what is wrong with that."""
        form = self.form
        if self.trouble is not None:
            self.set_status(plain(error_words(self.trouble)))
        elif form is None or form.place is None:
            self.set_status("")
        else:
            words = f"{plain(str(form.source))} > {plain(str(form.place))}"
            right = _("goes on with what lies there") if self._begun else ""
            self.set_status(words, right if self.is_planned else _("planning"))

    # -- the images

    def _cells(self, index: int) -> list[Cell]:
        return self.table.cells(index, self.shell.marks)

    @property
    def row(self) -> Row | None:
        """The image under the cursor."""
        index = self.images.cursor
        return self.table[index] if 0 <= index < len(self.table) else None

    @on(VirtualList.Moved, "#images")
    def _moved(self, event: VirtualList.Moved) -> None:
        event.stop()
        self.look.moved()
        self.show_about()

    @on(VirtualList.Moved, "#settings")
    def _moved_setting(self, event: VirtualList.Moved) -> None:
        event.stop()
        self.show_about()

    @on(VirtualList.Chosen)
    def _chosen(self, event: VirtualList.Chosen) -> None:
        event.stop()
        self.editing.action_edit()

    def on_descendant_focus(self) -> None:
        super().on_descendant_focus()
        self.show_about()

    @on(TaskProgress.Changed)
    def _task_changed(self, event: TaskProgress.Changed) -> None:
        event.stop()
        self.refresh_keys()

    @on(TaskProgress.Ended)
    def _task_ended(self, event: TaskProgress.Ended) -> None:
        event.stop()
        self.run_part.ended(event.status)

    # -- in words

    @on(Lines.Resized, "#about")
    def show_about(self) -> None:
        """What the setting or the image under the cursor is, below the list."""
        about = self.query_one("#about", Lines)
        width, height = about.size
        if width and height:
            text, tone = self._about()
            lines = wrap(text, width, height, ellipsis=self.shell.marks.ellipsis) if text else []
            about.show([(Cell(line, tone),) for line in lines])

    def _about(self) -> tuple[str, str]:
        if self.images.has_focus or self.has_class("-task"):
            row = self.row
            if isinstance(row, Problem):
                return sentences(plain(row.message), plain(row.remedy)), ""
            return (_(", ").join(self.look.facts_of(row)), "muted") if row is not None else ("", "")
        setting = self.editing.setting
        return (_(setting.help), "muted") if setting is not None else ("", "")

    def reading_lines(self) -> list[str]:
        """All of what :meth:`show_about` has room for."""
        row, setting = self.row, self.editing.setting
        if not self.images.has_focus and not self.has_class("-task") and setting is not None:
            picks = [f"  {_(pick.label)}: {_(pick.remark)}" for pick in setting.picks if pick.remark]
            return [_(setting.help), *(["", *picks] if picks else [])]
        if isinstance(row, Problem):
            return [plain(str(row.path)), "", plain(row.message), plain(row.remedy)]
        if row is None:
            return []
        files = [f"  {plain(name)}" for name in row.names]
        return [plain(str(row.image.path)), "", *self.look.facts_of(row), "", _("Files that will be written:"), *files]

    # -- actions

    def key_hints(self) -> list[KeyHint]:
        """Those that can be used now: while it is at work, others than before."""
        hidden = self.run_part.hidden()
        return [hint for hint in super().key_hints() if hint.action.partition(".")[2] not in hidden]

    def go_back(self) -> bool:
        if self.has_class("-zoom"):
            self.action_zoom()
            return True
        return False

    def action_zoom(self) -> None:
        self.toggle_class("-zoom")
        if self.has_class("-zoom"):
            self.set_focus(self.images)
        self.call_after_refresh(self.look.moved)

    def action_other_pane(self) -> None:
        if self.has_class("-zoom"):
            self.action_zoom()
        there = self.images if self.settings.has_focus or self.has_class("-task") else self.settings
        self.set_focus(there)

    def action_refused(self) -> None:
        total, here = len(self.table.refused), self.images.cursor
        self.set_focus(self.images)
        self.images.cursor = (here + 1) % total if here < total else 0

    def action_read(self) -> None:
        if self.run_part.report is not None:
            self.run_part.read_report()
            return
        title = _("Prepare images")
        self.app.push_screen(TextView(title, self.reading_lines()))


def _look_at(place: Path, source: Path, plan: Plan) -> tuple[bool, int]:
    """Whether a part of the preparation lies at the destination, and the bytes free there.

    Raises:
        UserError: nothing can be prepared into it.
    """
    from lora_tui.dataset.prepare.carry import check_places

    check_places(source, place)
    begun = is_begun(place, source, plan.options)
    folder = place
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    try:
        return begun, shutil.disk_usage(folder).free
    except OSError:
        return begun, 0
