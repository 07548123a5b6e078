"""The parameter form: every setting of the schema, what it does, and the run that follows from them."""

from __future__ import annotations

import shutil

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Container, Horizontal

from lora_tui.config.findings import Finding
from lora_tui.config.presets import Preset, list_presets
from lora_tui.config.schema import Config
from lora_tui.config.validate import check_config
from lora_tui.text import _, ngettext, plain
from lora_tui.tui.cells import Cell, wrap
from lora_tui.tui.form import Form, FormRow, groups
from lora_tui.tui.form_words import help_text
from lora_tui.tui.plan_text import bucket_lines, finding_line, moment_lines, plan_lines
from lora_tui.tui.screens.base import BaseScreen
from lora_tui.tui.screens.parameters_edit import FormEditing
from lora_tui.tui.screens.parameters_files import FormFiles
from lora_tui.tui.screens.parameters_start import RunStart
from lora_tui.tui.widgets.form import FieldRow, FormPane
from lora_tui.tui.widgets.lines import Line, Lines
from lora_tui.tui.widgets.text_field import TextField
from lora_tui.tui.widgets.virtual_list import Column, VirtualList
from lora_tui.tui.workspace import Change

WHOLE_HEIGHT = 40
"""From this height of the terminal on, all groups are shown one below the other."""

_MARK_OF = {"error": ("needs", "error"), "warning": ("needs", "warning"), "done": ("done", "success")}


class ParametersScreen(BaseScreen):
    """Groups at the left, settings at the right, the plan below."""

    ACTS = "parameters"
    CSS_PATH = "parameters.tcss"
    AUTO_FOCUS = "FormList"

    def __init__(self) -> None:
        super().__init__()
        self.form = Form(Config())
        self.editing, self.files, self.start = FormEditing(self), FormFiles(self), RunStart(self)
        self._quick: frozenset[Finding] = frozenset()
        self._rows: tuple[FormRow, ...] = ()
        self._presets: tuple[Preset, ...] = ()
        self._place = 0

    def doers(self) -> tuple[object, ...]:
        return self, self.editing, self.files, self.start

    def refusal(self, action_id: str) -> str:
        return self.editing.refusal(action_id)

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
                    yield FormPane(self._field, empty=_("No setting is called that."))
                yield Lines(id="detail")
        yield Lines(id="plan")
        yield Lines(id="finding")

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one("#search", TextField).list = self.pane.rows
        self._presets = list_presets()
        self.show_rows()

    # -- from the workspace

    def workspace_changed(self, changed: frozenset[Change]) -> None:
        if not self.query("#panes"):
            return  # the app is being left: its last threads come back to a screen that is being taken down
        work = self.workspace
        if changed & {"config", "project"} and work.config is not None and work.config is not self.form.config:
            view = self.form.expert, self.form.group, self.form.whole
            self.form = Form(work.config, base=work.config_path.parent if work.config_path else work.root)
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
        key = self.shell.keymap.shown("parameters.next-problem", ascii_only=self.shell.ascii_only)
        findings = self.form.findings
        self.query_one("#finding", Lines).show([finding_line(findings, key)] if findings is not None else [])

    def _field(self, index: int) -> FieldRow:
        row = self._rows[index]
        note = self.form.note(row)
        if self.editing.live is not None and index == self.pane.rows.cursor:
            note = self.editing.live
        title = self.form.title(row)
        if self.form.query and row.spec is not None:
            title = f"{title.strip()} ({_(groups()[row.group].title)})"
        return FieldRow(
            Cell(title, {"add": "muted", "head": "strong"}.get(row.kind, "")),
            self.form.value(row),
            note,
            changed=row.spec is not None and not row.spec.repeated and self.form.is_changed(row.key, row.spec),
        )

    def _group_cells(self, index: int) -> tuple[Cell, Cell]:
        state = self.form.group_state(index)
        mark, tone = _MARK_OF.get(state, ("todo", "muted"))
        return Cell(_(groups()[index].title)), Cell(getattr(self.shell.marks, mark), tone)

    def _show_head(self) -> None:
        work = self.workspace
        name = plain(work.config_path.name) if work.config_path else _("not saved yet")
        head = [Cell(_("PARAMETERS"), "muted"), Cell("  "), Cell(name, "strong")]
        head.append(Cell(" *" if self.unsaved else "  ", "warning"))
        fitting = [preset.title for preset in self._presets if self._holds(preset)]
        if fitting:
            head.append(Cell(_("  preset {names}").format(names=" / ".join(fitting)), "muted"))
        changed = self.form.changed_count()
        head.append(Cell("  " + ngettext("{count} changed", "{count} changed", changed).format(count=changed), "muted"))
        if self.form.expert:
            head.append(Cell(_("  expert"), "accent"))
        self.query_one("#head", Lines).show([head])
        title = _("Found") if self.form.query else _(groups()[self.form.group].title)
        title = _("All settings") if self.form.whole and not self.form.query else title
        key = self.shell.keymap.shown("parameters.search")
        self.query_one("#group-title", Lines).show(
            [[Cell(title, "strong"), Cell(_("   {key} find a setting").format(key=key), "muted")]]
        )

    def _holds(self, preset: Preset) -> bool:
        config = self.form.config
        return preset.family == config.model.family and all(
            getattr(getattr(config, section), name) == value
            for section, table in preset.settings.items()
            for name, value in table.items()
        )

    def show_detail(self) -> None:
        detail = self.query_one("#detail", Lines)
        width, height = detail.size
        if not width:
            return
        self.query_one("#detail", Lines).show(self._detail_lines(width, height))

    def _detail_lines(self, width: int, height: int) -> list[Line]:
        row, ellipsis = self.row, self.shell.marks.ellipsis
        lines: list[Line] = []
        if row is not None and row.spec is not None:
            text, names = help_text(row.spec)
            said = self.editing.live or self._said(row)
            if said is not None:
                lines += [
                    (Cell(line, said.tone),) for line in wrap(said.text, width, max(height - 2, 1), ellipsis=ellipsis)
                ]
            room = max(height - 1 - len(lines), 0)
            words = wrap(text, width, room, ellipsis=ellipsis) if room else []
            lines += [(Cell(word),) for word in words]
            lines = [*lines[: height - 1], (Cell(plain(names), "muted"),)]
        elif row is not None:
            key = self.shell.keymap.shown
            told = _("{enter} opens or closes, {add} adds one, {remove} removes this one.").format(
                enter=key("parameters.edit"), add=key("parameters.add"), remove=key("parameters.remove")
            )
            lines.append((Cell(told, "muted"),))
        plan = self.workspace.plan
        if plan is not None and height > 16:
            lines += [(), *moment_lines(plan), (), *bucket_lines(plan)]
        return lines

    def _said(self, row: FormRow) -> Cell | None:
        """What the check says of the row, with its remedy."""
        finding = self.form.finding(row)
        if finding is None:
            return None
        tone = "error" if finding.severity == "error" else "warning"
        return Cell(plain(f"{finding.message} {finding.remedy}".strip()), tone)

    def _show_plan(self) -> None:
        if not self.query("#plan"):
            return
        plan = self.query_one("#plan", Lines)
        plan.show(
            plan_lines(
                self.workspace,
                plan.size.width or self.size.width,
                disk_free=self._disk_free(),
                ellipsis=self.shell.marks.ellipsis,
            )
        )
        self.show_detail()

    def _disk_free(self) -> int | None:
        folder = self.workspace.runs_dir
        while not folder.is_dir() and folder != folder.parent:
            folder = folder.parent
        try:
            return shutil.disk_usage(folder).free
        except OSError:
            return None

    @on(events.Resize)
    def _size_changed(self, event: events.Resize) -> None:
        whole = event.size.height >= WHOLE_HEIGHT
        if whole != self.form.whole:
            row = self.row
            self.form.whole = whole
            self.show_rows(row or self._first())
        self.call_after_refresh(self._show_plan)

    def say(self) -> None:
        """The status line: what waits."""
        self.set_status(_("Starts when the plan is ready. Esc cancels.") if self.start.waiting else "")

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
        self.form.group, self.form.query = number % len(groups()), ""
        self.close_search()
        self.show_rows(self._first())

    def _first(self) -> FormRow | None:
        """The first row of the group in view, or of what was found."""
        rows = [row for row in self.form.rows() if row.kind != "head"]
        here = [row for row in rows if row.group == self.form.group]
        return next(iter(rows if self.form.query else here), None)

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

    def action_expert(self) -> None:
        self.form.expert = not self.form.expert
        self.show_rows(self.row)

    # -- searching

    def action_search(self) -> None:
        field = self.query_one("#search", TextField)
        field.add_class("-open")
        self.query_one("#group-title").display = False
        field.focus()

    def close_search(self) -> None:
        field = self.query_one("#search", TextField)
        if field.has_class("-open"):
            field.remove_class("-open")
            self.query_one("#group-title").display = True
            self.pane.rows.focus()
        with self.prevent(TextField.Changed):
            field.value = ""

    @on(TextField.Changed, "#search")
    def _searching(self, event: TextField.Changed) -> None:
        event.stop()
        self.form.query = event.value.strip()
        self.show_rows(self._first())

    @on(TextField.Submitted, "#search")
    def _found(self, event: TextField.Submitted) -> None:
        event.stop()
        self.pane.rows.focus()

    def go_back(self) -> bool:
        if self.start.waiting:
            self.start.cancel()
            return True
        if not self.form.query and not self.query_one("#search").has_class("-open"):
            return False
        row = self.row
        self.form.query = ""
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
