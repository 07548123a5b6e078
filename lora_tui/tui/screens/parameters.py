"""The parameter form: every setting of the schema, what it does, and the run that follows from them."""

from __future__ import annotations

from functools import partial

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Container, Horizontal
from textual.widgets.input import Selection

from lora_tui.config.findings import Finding
from lora_tui.config.presets import Preset, list_presets
from lora_tui.config.schema import Config
from lora_tui.config.validate import check_config
from lora_tui.jobs.resources import disk_free
from lora_tui.text import _, plain
from lora_tui.tui.cells import Cell
from lora_tui.tui.form import Form, FormRow, groups
from lora_tui.tui.form_lines import detail_lines, head_line, reading_lines, title_line
from lora_tui.tui.form_words import fit_of
from lora_tui.tui.keymap import key_text
from lora_tui.tui.plan_text import Room, finding_line, memory_of, plan_lines, plan_reading
from lora_tui.tui.screens.base import BaseScreen
from lora_tui.tui.screens.parameters_actions import START
from lora_tui.tui.screens.parameters_edit import FormEditing
from lora_tui.tui.screens.parameters_exchange import FormExchange
from lora_tui.tui.screens.parameters_files import FormFiles
from lora_tui.tui.screens.parameters_lists import FormLists
from lora_tui.tui.screens.parameters_probe import FormProbe
from lora_tui.tui.screens.parameters_slurm import FormSlurm
from lora_tui.tui.screens.parameters_start import RunStart
from lora_tui.tui.screens.parameters_sweep import FormSweep
from lora_tui.tui.threads import start_job
from lora_tui.tui.widgets.footer import KeyHint
from lora_tui.tui.widgets.form import FieldRow, FormPane
from lora_tui.tui.widgets.lines import Lines
from lora_tui.tui.widgets.text_field import TextField
from lora_tui.tui.widgets.text_view import TextView
from lora_tui.tui.widgets.virtual_list import Column, VirtualList
from lora_tui.tui.workspace import Change

WHOLE_HEIGHT = 40
"""From this height of the terminal on, all groups are shown one below the other."""

_MARK_OF = {"error": ("failed", "error"), "warning": ("needs", "warning"), "done": ("done", "success")}


class ParametersScreen(BaseScreen):
    """Groups at the left, settings at the right, the plan below."""

    ACTS = "parameters"
    CSS_PATH = "parameters.tcss"
    AUTO_FOCUS = "FormList"

    def __init__(self) -> None:
        super().__init__()
        self.form = Form(Config())
        self.editing, self.files, self.start = FormEditing(self), FormFiles(self), RunStart(self)
        self.lists, self.exchange, self.sweep = FormLists(self), FormExchange(self), FormSweep(self)
        self.probe, self.slurm = FormProbe(self), FormSlurm(self)
        self._quick: frozenset[Finding] = frozenset()
        self._rows: tuple[FormRow, ...] = ()
        self._presets: tuple[Preset, ...] = ()
        self._place = 0

    def doers(self) -> tuple[object, ...]:
        return self, self.editing, self.files, self.start, self.lists, self.exchange, self.sweep, self.probe, self.slurm

    def refusal(self, action_id: str) -> str:
        doers = (self.lists, self.editing, self.probe, self.slurm)
        return next((why for doer in doers if (why := doer.refusal(action_id))), "")

    def key_hints(self) -> list[KeyHint]:
        """While a value or a setting's name is typed, what becomes of it comes first."""
        pane, hints = self.query_one_optional(FormPane), super().key_hints()
        field = self.query_one_optional("#search", TextField)
        if field is not None and field.has_focus:
            return self._search_hints(hints)
        if pane is None or not pane.editing:
            return hints
        keep, drop = (self._key(action) for action in ("parameters.edit", "app.back"))
        own = [KeyHint("parameters.edit", keep, _("keep")), KeyHint("app.back", drop, _("cancel"))]
        return [*own, *(hint for hint in hints if hint.action != "parameters.edit")]

    def _search_hints(self, hints: list[KeyHint]) -> list[KeyHint]:
        """Enter goes to the setting that is found; it edits only then."""
        enter, up, down = (key_text(name, ascii_only=self.shell.ascii_only) for name in ("enter", "up", "down"))
        own = [KeyHint("", enter, _("go to it")), KeyHint("", f"{up} {down}", _("choose"))]
        own.append(KeyHint("app.back", self._key("app.back"), _("cancel"), kept=True))
        return [*own, *(hint for hint in hints if hint.action != "parameters.edit")]

    def compose_body(self) -> ComposeResult:
        yield Lines(id="head")
        with Horizontal(id="panes"):
            found = VirtualList([Column(8, share=1), Column(1)], self._group_cells, count=len(groups()), id="groups")
            found.can_focus = False
            yield found
            with Container(id="work"):
                with Container(id="form"):
                    yield Lines(id="group-title")
                    yield TextField(placeholder=_("name here or in other programs"), id="search")
                    yield FormPane(self._field, empty=_("No setting is called that; Esc shows all."))
                yield Lines(id="detail")
        yield Lines(id="plan")
        yield Lines(id="finding")

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one("#search", TextField).list = self.pane.rows
        self._presets = list_presets()
        self.show_rows()

    def on_unmount(self) -> None:
        self.probe.stop()

    # -- from the workspace

    def workspace_changed(self, changed: frozenset[Change]) -> None:
        if not self.query("#panes"):
            return  # the app is being left: its last threads come back to a screen that is being taken down
        work = self.workspace
        if changed & {"config", "project"} and work.config is not None and work.config is not self.form.config:
            self.editing.drop()
            self.sweep.drop()
            view = self.form.expert, self.form.group, self.form.whole
            place = work.config_path
            self.form = Form(work.config, base=place.parent if place else work.root, of_file=place is not None)
            self.form.expert, self.form.group, self.form.whole = view
            self.files.saved = None if work.config_changed else work.config
            self._check()
            self.show_rows()
        if "plan" in changed and work.planned is not None:
            self.form.findings = work.planned.findings
            self._quick = frozenset(check_config(self.form.config))
            self.reload()
        if changed & {"plan", "scan", "project"}:
            self._show_plan()

    # -- what is shown

    @property
    def pane(self) -> FormPane:
        """The rows and their editor."""
        return self.query_one(FormPane)

    @property
    def holds_config(self) -> bool:
        pane = self.query_one_optional(FormPane)
        return (pane is not None and pane.editing) or self.start.busy

    @property
    def unsaved(self) -> bool:
        """Whether the configuration differs from its file, or has none."""
        return self.files.unsaved

    @property
    def row(self) -> FormRow | None:
        """The row under the cursor."""
        index = self.pane.rows.cursor
        return self._rows[index] if 0 <= index < len(self._rows) else None

    def show_rows(self, row: FormRow | None = None) -> None:
        """Show the rows of the form again, with the cursor on ``row`` or where it was."""
        self._rows = self.form.rows()
        rows = self.pane.rows
        place = next((index for index, other in enumerate(self._rows) if row and other.key == row.key), rows.cursor)
        rows.set_count(len(self._rows), cursor=max(place, 0))
        self.reload()

    def reload(self) -> None:
        """Draw everything that depends on values and findings."""
        self.pane.rows.reload()
        self._show_groups()
        self.show_detail()
        findings = self.form.findings
        key, marks = self._key("parameters.next-problem"), self.shell.marks
        all_key = self._key("parameters.problems")
        line = finding_line(findings, key, marks, all_key) if findings is not None else None
        self.query_one("#finding", Lines).show([line] if line is not None else [])

    def _field(self, index: int) -> FieldRow:
        row = self._rows[index]
        value, note = self.sweep.cells(row) or (self.form.value(row), self.form.note(row, self.shell.marks))
        if self.editing.live is not None and index == self.pane.rows.cursor:
            note = self.editing.live
        return FieldRow(
            Cell(self.form.title(row), {"add": "muted", "head": "strong"}.get(row.kind, "")),
            value,
            note,
            changed=row.spec is not None and not row.spec.repeated and self.form.is_changed(row.key, row.spec),
            tail=self.form.origin(row).word,
        )

    def _group_cells(self, index: int) -> tuple[Cell, Cell]:
        state = self.form.group_state(index)
        mark, tone = _MARK_OF.get(state, ("todo", "muted"))
        return Cell(_(groups()[index].title)), Cell(getattr(self.shell.marks, mark), tone)

    def _show_head(self) -> None:
        path, key = self.workspace.config_path, self._key
        name = plain(path.name) if path else _("not saved yet")
        head = head_line(self.form, name, self.unsaved, self._presets)
        self.query_one("#head", Lines).show([(*head, *self.sweep.head())])
        self.query_one("#group-title", Lines).show([title_line(self.form, key)])

    def _key(self, action_id: str) -> str:
        return self.shell.keymap.shown(action_id, ascii_only=self.shell.ascii_only)

    @on(Lines.Resized, "#detail")
    def show_detail(self) -> None:
        """Draw the help of the row again."""
        detail = self.query_one("#detail", Lines)
        if detail.size.width:
            lines = detail_lines(
                self.form,
                self.row,
                self.editing.live,
                self.workspace.plan,
                detail.size,
                self._key,
                presets=self._presets_here(),
                ellipsis=self.shell.marks.ellipsis,
            )
            detail.show(lines)

    def presets_changed(self) -> None:
        """A preset was saved: read them again."""
        self._presets = list_presets()
        self._show_head()
        self.show_detail()

    def _presets_here(self) -> list[Preset]:
        """The presets that fit the project's purpose, and those that the settings are those of."""
        project = self.workspace.project
        purpose, family = project.purpose if project is not None else "", self.form.config.model.family
        fitting = [one for one in self._presets if one.family == family]
        return [one for one in fitting if (purpose and purpose in one.purposes) or self.form.holds(one)]

    @on(Lines.Resized, "#plan")
    def _show_plan(self) -> None:
        if not self.query("#plan"):
            return
        plan = self.query_one("#plan", Lines)
        plan.show(
            plan_lines(
                self.workspace,
                plan.size.width or self.size.width,
                plan.size.height or 4,
                room=self.room(),
                ellipsis=self.shell.marks.ellipsis,
            )
        )
        self.show_detail()

    def room(self) -> Room:
        """The disk and the memory that a run of this configuration would have."""
        folder = self.workspace.runs_dir
        while not folder.is_dir() and folder != folder.parent:
            folder = folder.parent
        return Room(disk_free(folder), memory_of(self.form.config.memory.device))

    @on(events.Resize)
    def _size_changed(self, event: events.Resize) -> None:
        whole = event.size.height >= WHOLE_HEIGHT
        if whole != self.form.whole:
            row = self.row
            self.form.whole = whole
            self.show_rows(row or self._first())

    def say(self) -> None:
        """The status line: what waits."""
        waiting = _("Starts when the plan is ready. Esc cancels.") if self.start.waiting else ""
        self.set_status(waiting or self.probe.said)

    # -- moving

    @on(VirtualList.Moved)
    def _moved(self, event: VirtualList.Moved) -> None:
        event.stop()
        if event.list.id == "groups":
            self._go_to_group(event.index)
            return
        row = self.row
        if row is not None and row.kind == "head":
            # Headings are passed over, in the direction of the movement; the first one only downward.
            self.pane.rows.cursor += -1 if event.index < self._place and event.index > 0 else 1
            return
        self._place = event.index
        if row is not None and row.group != self.form.group:
            self.form.group = row.group
            self._show_groups()
        self.show_detail()
        self.refresh_keys()

    def _show_groups(self) -> None:
        found = self.query_one("#groups", VirtualList)
        with self.prevent(VirtualList.Moved):
            found.cursor = self.form.group
        found.reload()
        self._show_head()

    @on(VirtualList.Chosen)
    async def _chosen(self, event: VirtualList.Chosen) -> None:
        event.stop()
        if event.list.id != "groups":
            self.editing.action_edit()

    def _go_to_group(self, number: int) -> None:
        self.form.group, self.form.query, self.form.only_changed = number % len(groups()), "", False
        self.close_search()
        self.show_rows(self._first())

    def _first(self) -> FormRow | None:
        """The first row of the group in view, or of what was found."""
        rows = [row for row in self.form.rows() if row.kind != "head"]
        here = [row for row in rows if row.group == self.form.group]
        return next(iter(rows if self.form.query or self.form.only_changed else here), None)

    def go_to(self, place: str) -> None:
        if place == START:
            self.start.action_start()
            return
        row = self.form.row_of(place) if place else None
        if row is not None:
            self.close_search()
            self.show_rows(row)

    def action_next_group(self) -> None:
        self._go_to_group(self.form.group + 1)

    def action_previous_group(self) -> None:
        self._go_to_group(self.form.group - 1)

    def action_next_problem(self) -> None:
        findings = [finding for finding in self.form.findings or () if finding.severity != "note" and finding.field]
        here = self.row.key if self.row else ""
        place = next((index for index, finding in enumerate(findings) if finding.field == here), -1)
        row = self.form.row_of(findings[(place + 1) % len(findings)].field) if findings else None
        if row is not None:
            self.close_search()
            self.show_rows(row)

    def action_read(self) -> None:
        row = self.row
        title = self.form.title(row).strip() if row is not None and row.spec is not None else _("PARAMETERS")
        lines = reading_lines(self.form, row, self._presets_here())
        lines += [self.form.origin(row).sentence] if row is not None and row.spec is not None else []
        self.app.push_screen(TextView(title, [*lines, "", *plan_reading(self.workspace, self.room())]))

    def action_expert(self) -> None:
        self.form.expert = not self.form.expert
        self.show_rows(self.row)

    # -- searching

    def action_changed(self) -> None:
        if self.form.only_changed:
            self.go_back()
            return
        row = self.row
        self.form.query, self.form.only_changed = "", True
        self.close_search()
        self.show_rows(row if row in self.form.rows() else self._first())

    def action_search(self) -> None:
        field = self.query_one("#search", TextField)
        field.display = True
        self.query_one("#group-title").display = False
        field.selection = Selection(0, len(field.value))  # what is typed takes the place of the words before
        self.set_focus(field)  # now: what is typed next is meant for the field

    def close_search(self) -> None:
        field = self.query_one("#search", TextField)
        if field.display:
            field.display = False
            self.query_one("#group-title").display = True
            self.set_focus(self.pane.rows)
        with self.prevent(TextField.Changed):
            field.value = ""

    @on(TextField.Changed, "#search")
    def _searching(self, event: TextField.Changed) -> None:
        event.stop()
        self.form.query, self.form.only_changed = event.value.strip(), False
        found = [row for row in self.form.rows() if row.spec is not None]
        self.show_rows(min(found, key=lambda row: fit_of(row.spec, self.form.query) if row.spec else 0, default=None))

    @on(TextField.Submitted, "#search")
    def _found(self, event: TextField.Submitted) -> None:
        event.stop()
        self.set_focus(self.pane.rows)  # now: the next key may be on its way already

    def go_back(self) -> bool:
        if self.start.waiting:
            self.start.cancel()
            return True
        if self.probe.stop():
            return True
        searching = self.form.query or self.query_one("#search").display
        if not searching and not self.form.only_changed:
            return False
        row = self.row
        self.form.query, self.form.only_changed = "", False
        if row is not None:
            self.form.row_of(row.key)
        self.close_search()
        self.show_rows(row)
        return True

    # -- editing

    def on_key(self, event: events.Key) -> None:
        self.editing.take_key(event)

    @on(FormPane.Typed)
    def _typed(self, event: FormPane.Typed) -> None:
        event.stop()
        self.editing.judge(event.text)

    @on(FormPane.Completing)
    def _completing(self, event: FormPane.Completing) -> None:
        event.stop()
        start_job(self, partial(self.editing.complete, event.text, event.leave), "complete")

    @on(FormPane.Done)
    def _done(self, event: FormPane.Done) -> None:
        event.stop()
        self.editing.done(event)

    def edited(self, row: FormRow | None = None) -> None:
        """The configuration was changed: check, show, and let the app plan it."""
        self._check()
        self.show_rows(row)
        self.shell.use_config(self.form.config, changed=self.unsaved)

    def _check(self) -> None:
        """Check the configuration alone at once; what the images add is kept until the plan says it again."""
        quick = check_config(self.form.config)
        added = [finding for finding in self.form.findings or () if finding not in self._quick]
        self._quick = frozenset(quick)
        self.form.findings = (*quick, *added)
