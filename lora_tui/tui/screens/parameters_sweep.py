"""Settings with several values on the parameter form, and the runs that come of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.config.lists import list_text
from lora_tui.config.schema import Config
from lora_tui.errors import UserError
from lora_tui.sweeps.axes import Axes, Axis, axes_of, grouped, values_text
from lora_tui.sweeps.results import short_key
from lora_tui.text import _, count, ngettext, plain
from lora_tui.tui.cells import Cell
from lora_tui.tui.form import FormRow
from lora_tui.tui.threads import in_thread
from lora_tui.tui.widgets.dialog import AskText, Confirm
from lora_tui.tui.wording import error_words, sentences

if TYPE_CHECKING:
    from lora_tui.sweeps.folder import SweepFolder
    from lora_tui.sweeps.outlook import SweepPlan
    from lora_tui.tui.screens.parameters import ParametersScreen

SHOWN_RUNS = 8
"""Runs that the question names."""
SHOWN_WARNINGS = 3


@dataclass(frozen=True)
class _Wish:
    """What is to be started, as it was when it was asked for."""

    config: Config
    axes: Axes
    base: Path | None
    runs_dir: Path
    price: float
    root: Path


class FormSweep:
    """The part of the form's screen that varies settings.

    Attributes:
        axes: key of a setting -> the values that it has in place of one.
    """

    def __init__(self, screen: ParametersScreen) -> None:
        self._screen = screen
        self.axes: dict[str, Axis] = {}
        self._together: tuple[tuple[str, ...], ...] = ()
        self._name = ""
        self._busy = False

    @property
    def runs(self) -> int:
        """Runs that the form describes; 0 where nothing varies."""
        return self._all.count if self.axes else 0

    @property
    def _all(self) -> Axes:
        return Axes(grouped(self.axes, self._together), self._name)

    def drop(self) -> None:
        """Another configuration is there: nothing varies."""
        self.take(Axes(()))

    def take(self, axes: Axes) -> None:
        """What varies in the configuration that is there now, such as by the ``[sweep]`` of its file."""
        self.axes = {axis.key: axis for axis in axes.axes}
        self._together = tuple(tuple(axis.key for axis in group) for group in axes.groups if len(group) > 1)
        self._name = axes.name

    def cells(self, row: FormRow) -> tuple[Cell, Cell] | None:
        """Value and note of a row that varies; none for others."""
        axis = self.axes.get(row.key) if row.spec is not None else None
        if axis is None:
            return None
        number, others = len(axis.values), self._companions(row.key)
        if others:
            named = ", ".join(short_key(other, tuple(self.axes)) for other in others)
            note = _("together with {settings}").format(settings=plain(named, limit=60))
        else:
            note = ngettext("{count} value", "{count} values, a run for each", number).format(count=count(number))
        return Cell(plain(values_text(axis)), "accent"), Cell(note, "accent")

    def head(self) -> tuple[Cell, ...]:
        """What the line above the form says of it."""
        if not self.axes:
            return ()
        text = ngettext("{count} run", "{count} runs", self.runs).format(count=count(self.runs))
        return (Cell(f"  {_('sweep: {runs}').format(runs=text)}", "accent"),)

    def _companions(self, key: str) -> list[str]:
        """Settings that go through their values side by side with this one."""
        group = next((group for group in self._together if key in group), ())
        return [other for other in group if other != key and other in self.axes]

    # -- values

    def action_vary(self) -> None:
        screen = self._screen
        row = screen.row
        if row is None or row.spec is None:
            screen.tell(_("Only a setting can have several values."), "warning")
            return
        if not screen.editing.commit():
            return
        axis = self.axes.get(row.key)
        now = screen.form.edit_text(row)
        single = now if row.spec.kind == "list" else list_text([now])
        dialog = AskText(
            _("Several values: {name}").format(name=screen.form.title(row).strip()),
            values_text(axis) if axis is not None else single,
            detail=_("8, 16, 32   numbers also 8-32 (+8), 0.2-1 [5], 1e-5-1e-3 [5 log]. Nothing: one value again."),
            check=lambda text: self._complaint(row, text),
        )

        def given(text: str | None) -> None:
            if text is not None:
                self._vary(row, text)

        screen.app.push_screen(dialog, given)

    def _vary(self, row: FormRow, text: str) -> None:
        if text.strip():
            self.axes[row.key] = self._axis(row, text)
        else:
            self.axes.pop(row.key, None)
        self._screen.show_rows(row)

    def _axis(self, row: FormRow, text: str) -> Axis:
        form = self._screen.form
        return axes_of(form.config, {row.key: text}, base=form.base).axes[0]

    def _complaint(self, row: FormRow, text: str) -> str:
        """Why a text is no list of values for the row; empty when it is one, or nothing."""
        if not text.strip():
            return ""
        try:
            values = self._axis(row, text).values
        except UserError as error:
            return sentences(error.message, error.remedy)
        if len(values) < 2:
            return _("One value alone is no sweep: Enter on the setting edits it.")
        for other in self._companions(row.key):
            if len(self.axes[other].values) != len(values):
                wanted = len(self.axes[other].values)
                text = _("It varies together with {other}, which has {wanted} values; here are {count}.")
                return text.format(other=plain(other), wanted=count(wanted), count=count(len(values)))
        return ""

    # -- starting

    def start(self) -> None:
        """Plan all runs, ask, and put them into the queue."""
        if not self._busy:
            self._screen.guide(self._start, stops=False)

    async def _start(self) -> None:
        screen, work = self._screen, self._screen.workspace
        shell = screen.shell
        price = float(work.project.price_per_hour) if work.project else 0.0
        wish = _Wish(
            screen.form.config.model_copy(deep=True),
            self._all,
            screen.form.base,
            work.runs_dir,
            price,
            work.root,
        )
        self._busy = True
        try:
            screen.tell(_("planning"))
            planned = await in_thread(_planned, wish)
            screen.forget_told()
            planned.refuse()
            if not await shell.push_screen(Confirm(*_question(planned, work), yes=_("start")), wait_for_dismiss=True):
                return
            made, number = await in_thread(_queued, planned, wish.runs_dir)
        except UserError as error:
            shell.tell(error_words(error), "error")
            return
        finally:
            self._busy = False
        self.drop()
        screen.show_rows()
        shell.poll_runs()
        shell.show_screen("runs")
        text = ngettext("{count} run of {name} is in the queue.", "{count} runs of {name} are in the queue.", number)
        shell.call_later(shell.tell, text.format(count=count(number), name=plain(made.name)), "success")


def _planned(wish: _Wish) -> SweepPlan:
    from lora_tui.config.history import past_probes, past_runs_elsewhere, past_runs_in
    from lora_tui.sweeps.members import expand
    from lora_tui.sweeps.outlook import plan_sweep

    sweep = expand(wish.config, wish.axes)
    history = (*past_probes(wish.root), *past_runs_in(wish.runs_dir), *past_runs_elsewhere(wish.root))
    return plan_sweep(sweep, wish.runs_dir, history=history, price_per_hour=wish.price)


def _question(planned: SweepPlan, work: object) -> tuple[str, str]:
    project = getattr(work, "project", None)
    number = len(planned.runs)
    question = ngettext("Start {count} run?", "Start {count} runs, one after the other?", number)
    lines = [planned.summary(project.currency if project is not None else "")]
    lines += [f"  {plain(run.member.name)}" for run in planned.runs[:SHOWN_RUNS]]
    if number > SHOWN_RUNS:
        lines.append("  " + _("… and {count} more").format(count=count(number - SHOWN_RUNS)))
    warnings = [one for one in planned.told if one.finding.severity == "warning"]
    lines += [plain(f"! {planned.who(one)}: {one.finding.message}", limit=300) for one in warnings[:SHOWN_WARNINGS]]
    return question.format(count=count(number)), "\n".join(lines)


def _queued(planned: SweepPlan, runs_dir: Path) -> tuple[SweepFolder, int]:
    from lora_tui.sweeps.queueing import start

    made = start(planned.sweep, runs_dir)
    return made.folder, len(made.jobs)
