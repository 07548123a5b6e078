"""Where the app starts: the road with what is done and what is missing, advice, and what happened lately."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

from textual import events, on
from textual.app import ComposeResult
from textual.widgets import Static

from lora_tui.loras.files import find_files
from lora_tui.loras.folders import listed_folders
from lora_tui.loras.reader import Reader
from lora_tui.settings import recent_projects
from lora_tui.text import _, count, ngettext, plain
from lora_tui.tui.advice import Advice, Recent, advice_for, recent_for
from lora_tui.tui.cells import Cell, wrap
from lora_tui.tui.queue_rows import queue_line
from lora_tui.tui.road import TONE_OF_MARK, state_words, step_of
from lora_tui.tui.screens import SCREENS, entry_of
from lora_tui.tui.screens.base import BaseScreen
from lora_tui.tui.screens.parameters_actions import START
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.widgets.lines import Lines
from lora_tui.tui.widgets.text_view import TextView
from lora_tui.tui.widgets.virtual_list import Column, VirtualList
from lora_tui.tui.wording import sentences
from lora_tui.tui.workspace import Change

PARTS = ("road", "advice", "recent")
LEAST_ROAD = 4
"""Lines of the road, however low the terminal is."""
COUNTED_SECONDS = 10.0
"""How long the number of LoRA files is new enough while a run goes on."""


class HomeScreen(BaseScreen):
    """Three short lists, one below the other; the cursor walks from each into the next."""

    ACTS = "home"
    CSS_PATH = "home.tcss"
    AUTO_FOCUS = "#road"

    def __init__(self) -> None:
        super().__init__()
        self._entries = tuple(entry for entry in SCREENS if entry.name != self.ACTS)
        self._advice: tuple[Advice, ...] = ()
        self._recent: tuple[Recent, ...] = ()
        self._queued = ""
        self._loras: int | None = None
        self._lora_files = Reader()
        self._grids: int | None = None
        self._loras_counted = 0.0

    def compose_body(self) -> ComposeResult:
        road = (Column(1), Column(3), Column(11), Column(20, share=1))
        yield VirtualList(road, self._road_row, count=len(self._entries), gap=1, quiet=True, id="road")
        yield Static(_("Advice"), classes="heading", id="advice-heading", markup=False)
        advice = (Column(1), Column(20, share=1))
        yield VirtualList(advice, self._advice_row, gap=1, quiet=True, id="advice")
        yield Static(_("Recent"), classes="heading", id="recent-heading", markup=False)
        recent = (Column(1), Column(5), Column(20, share=1, cut="middle"))
        yield VirtualList(recent, self._recent_row, gap=1, quiet=True, id="recent")
        yield Lines(id="about")

    def workspace_changed(self, changed: frozenset[Change]) -> None:
        self.query_one("#road", VirtualList).reload()
        self._advice = advice_for(self.workspace, self._key)
        busy = self.workspace.planned is None and not self.workspace.trouble
        empty = _("Reading the project.") if busy else _("Nothing stands in the way.")
        advice = self.query_one("#advice", VirtualList)
        advice.set_count(len(self._advice), empty=empty)
        advice.reload()
        begins = any(one.action == "home.open-project" for one in self._advice)
        self.query_one("#advice-heading", Static).update(_("To begin") if begins else _("Advice"))
        self._share_out()
        if changed & {"tasks", "project"}:
            start_job(self, self._count_grids, "grids")
        if changed & {"runs", "project"}:
            start_job(self, self._find_recent, "recent")
            start_job(self, partial(self._count_loras, again="project" in changed), "loras", alone=False)
        self._say()

    def on_resize(self) -> None:
        self._share_out()

    def _share_out(self) -> None:
        """Give the lists their lines: the road all that leave two for the others, advice what it needs, then what
        happened lately."""
        headings = 1 if self.has_class("-low") else 2  # lines, with the blank one above each
        about = self.query_one("#about")
        below = about.outer_size.height if about.display else 0
        inside = self.query_one("#body").size.height - below
        road = min(len(self._entries), max(inside - 2 * (headings + 1), LEAST_ROAD))
        self.query_one("#road", VirtualList).styles.max_height = road
        room = inside - road - headings
        spare = room - max(len(self._advice), 1) - headings
        lately = min(len(self._recent), max(spare, room // 3 - headings, 2 if room > headings * 2 else 1))
        self.query_one("#recent", VirtualList).styles.max_height = max(lately, 1)
        taken = lately + headings if lately else 0
        self.query_one("#advice", VirtualList).styles.max_height = max(room - taken, 1)

    async def _find_recent(self) -> None:
        projects = await in_thread(recent_projects)
        self._recent = recent_for(self.workspace, projects, time.time())
        rows = self.query_one("#recent", VirtualList)
        rows.set_count(len(self._recent))
        rows.display = self.query_one("#recent-heading").display = bool(self._recent)
        self._share_out()

    @on(events.ScreenResume)
    def _seen_again(self) -> None:
        start_job(self, self._count_queue, "queue")

    async def _count_queue(self) -> None:
        queued = await in_thread(queue_line)
        if queued != self._queued and (road := self.query_one_optional("#road", VirtualList)) is not None:
            self._queued = queued
            road.reload()

    async def _count_grids(self) -> None:
        if self.workspace.project is None:
            return
        grids = await in_thread(_grids_in, self.workspace.root)
        if grids != self._grids:
            self._grids = grids
            self.query_one("#road", VirtualList).reload()

    async def _count_loras(self, *, again: bool) -> None:
        """The LoRA files of the project; while a run goes on not more often than they come."""
        if self.workspace.project is None or (time.monotonic() - self._loras_counted < COUNTED_SECONDS and not again):
            return
        self._loras_counted = time.monotonic()
        folders = listed_folders(self.workspace.project, self.workspace.root, ())
        self._loras = await in_thread(lambda: sum(1 for _file in self._lora_files.read(find_files(folders))))
        self.query_one("#road", VirtualList).reload()

    # -- rows

    def _road_row(self, index: int) -> list[Cell]:
        entry = self._entries[index]
        marks = self.shell.marks
        key = self._key(entry.action.id)
        if entry.road:
            step = step_of(entry.name, self.workspace, marks)
            mark, tone, text = step.mark, step.tone, step.text
        else:
            words = {
                "runs": self._runs_words, "loras": self._loras_words, "queue": self._queue_words,
                "grids": self._grids_words,
            }.get(entry.name)  # fmt: skip
            mark, text = words() if words is not None else ("", _(entry.help))
            tone = TONE_OF_MARK.get(mark, "")
        return [Cell(getattr(marks, mark) if mark else "", tone), Cell(key, "accent"), Cell(_(entry.title)), Cell(text)]

    def _key(self, action_id: str) -> str:
        return self.shell.keymap.shown(action_id, ascii_only=self.shell.ascii_only)

    def _queue_words(self) -> tuple[str, str]:
        return "", self._queued

    def _runs_words(self) -> tuple[str, str]:
        runs = self.workspace.runs
        if not runs:
            return "", _("none yet") if runs is not None else ""
        newest = runs[0]
        text = ngettext("{count} run", "{count} runs", len(runs)).format(count=len(runs))
        return "", text + _(", ") + _("the newest {state}").format(state=state_words(newest.state))

    def _grids_words(self) -> tuple[str, str]:
        if not self._grids:
            words = _("after a run: its checkpoints at strengths from 0 to 1")
            return "", words if self._grids is not None else ""
        text = ngettext("{count} grid", "{count} grids", self._grids).format(count=count(self._grids))
        drawn = any(status.kind == "grid" and status.alive for status in self.workspace.tasks or ())
        return ("running", text + _(", ") + _("one is being drawn")) if drawn else ("", text)

    def _loras_words(self) -> tuple[str, str]:
        if self._loras is None:
            return "", ""
        text = ngettext("{count} file of this project", "{count} files of this project", self._loras)
        return "", text.format(count=count(self._loras)) if self._loras else _("none yet")

    def _advice_row(self, index: int) -> list[Cell]:
        one = self._advice[index]
        text = sentences(one.text, one.remedy) if self.size.width >= 110 else one.text
        return [Cell(getattr(self.shell.marks, one.mark), one.tone), Cell(text.rstrip())]

    def _recent_row(self, index: int) -> list[Cell]:
        one = self._recent[index]
        mark = getattr(self.shell.marks, one.mark) if one.mark else ""
        return [Cell(mark, TONE_OF_MARK.get(one.mark, "")), Cell(one.when, "muted"), Cell(one.text)]

    # -- moving and opening

    @property
    def _part(self) -> VirtualList | None:
        focused = self.focused
        return focused if isinstance(focused, VirtualList) else None

    @on(VirtualList.Edge)
    def _edge(self, event: VirtualList.Edge) -> None:
        event.stop()
        here = PARTS.index(event.list.id or "road")
        order = range(here + 1, len(PARTS)) if event.down else range(here - 1, -1, -1)
        for number in order:
            rows = self.query_one(f"#{PARTS[number]}", VirtualList)
            if rows.count:
                rows.cursor = 0 if event.down else rows.count - 1
                rows.focus()
                return

    def action_next_part(self) -> None:
        here = PARTS.index(self._part.id or "road") if self._part else 0
        for step in range(1, len(PARTS) + 1):
            rows = self.query_one(f"#{PARTS[(here + step) % len(PARTS)]}", VirtualList)
            if rows.count:
                rows.focus()
                return

    @on(VirtualList.Moved)
    def _moved(self) -> None:
        self._say()

    def on_descendant_focus(self) -> None:
        super().on_descendant_focus()
        self._say()

    @on(VirtualList.Chosen)
    def _chosen(self) -> None:
        self.action_open()

    @on(Lines.Resized)
    def _say(self) -> None:
        """What the row under the cursor means; where there is no room for that, the remedy of an advice."""
        about = self.query_one("#about", Lines)
        text, remedy = self._about()
        width, height = about.size
        if height:
            lines = wrap(sentences(text, remedy), width, height, ellipsis=self.shell.marks.ellipsis)
            about.show([(Cell(line, "muted"),) for line in lines])
        work = self.workspace
        place = plain(str(work.project.file if work.project and work.saved else work.root))
        self.set_status(place if height else remedy or place)

    def _about(self) -> tuple[str, str]:
        """What the row under the cursor is, and what can be done about it."""
        part = self._part
        if part is None or part.cursor < 0:
            return "", ""
        if part.id == "road":
            return _(self._entries[part.cursor].help), ""
        if part.id == "advice":
            one = self._advice[part.cursor]
            return one.text, one.remedy
        key = self._key("home.open")
        run = self._recent[part.cursor].run is not None
        words = _("{key} shows the run.") if run else _("{key} opens this project.")
        return self._recent[part.cursor].text, words.format(key=key)

    def refusal(self, action_id: str) -> str:
        if action_id == "home.start" and self.workspace.config is None:
            return _("Reading the project.")
        if action_id == "home.read" and not any(self._about()):
            return _("There is nothing to read here.")
        if action_id == "home.open" and not self._target():
            return _("This row leads nowhere.")
        return ""

    def _target(self) -> str:
        """What Enter does on the row: a screen, ``recent``, ``do`` for an action; empty for nothing."""
        part = self._part
        if part is None or part.cursor < 0:
            return ""
        if part.id == "road":
            return self._entries[part.cursor].name
        if part.id == "advice":
            one = self._advice[part.cursor]
            return "do" if one.action else one.screen if entry_of(one.screen) else ""
        return "recent"

    def action_open(self) -> None:
        target, part = self._target(), self._part
        advice = self._advice[part.cursor] if part is not None and part.id == "advice" else None
        if target == "do" and advice is not None:
            self.shell.perform(advice.action)
            return
        if target != "recent":
            self.shell.show_screen(target, advice.place if advice is not None else "")
            return
        one = self._recent[part.cursor] if part else None
        if one is not None and one.project is not None:
            self.shell.open_other(one.project)
        elif one is not None and one.run is not None:
            from lora_tui.runs.folder import RunFolder

            self.shell.open_run(RunFolder(one.run))

    def action_read(self) -> None:
        part = self._part
        text, remedy = self._about()
        lines = [text, *(["", remedy] if remedy else [])]
        if part is not None and part.id == "road":
            words = self._road_row(part.cursor)[-1].text
            lines = [*([words, ""] if words else []), *lines]
        self.app.push_screen(TextView(self.workspace.title, lines))

    def action_start(self) -> None:
        self.shell.show_screen("parameters", START)

    def action_new_project(self) -> None:
        self.shell.ask_new_project()

    async def action_open_project(self) -> None:
        self.shell.action_open_project()


def _grids_in(root: Path) -> int:
    """How many grids a project has."""
    from lora_tui.grids.folder import list_grids  # with the settings' library, which the first picture does without

    return len(list_grids(root / "grids"))
