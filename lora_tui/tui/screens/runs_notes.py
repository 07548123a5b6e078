"""What a person says of the runs: note, tags, rating, the best file. Part of the list of runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from lora_tui.errors import UserError
from lora_tui.records.best import Checkpoint, checkpoints_of
from lora_tui.records.notes import change_notes, change_tags, choose_best, tags_in
from lora_tui.records.rows import Row
from lora_tui.runs.folder import RunFolder
from lora_tui.text import _, bytes_text, count, ngettext, number, plain
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.widgets.dialog import AskText, Choice, Choose
from lora_tui.tui.wording import error_words

if TYPE_CHECKING:
    from lora_tui.tui.screens.runs import RunsScreen


class RunNoting:
    """Notes on the run under the cursor; tags and ratings on all marked ones."""

    def __init__(self, screen: RunsScreen) -> None:
        self._screen = screen

    def action_note(self) -> None:
        row = self._screen.row_here
        if row is None:
            return

        def written(text: str | None) -> None:
            if text is not None:
                kept = text.replace(" / ", "\n").strip()
                self._change([row], lambda run: change_notes(run, note=kept), _("noted"))

        title = _("Note on {run}").format(run=self._name(row))
        detail = _("What you saw and what to try next; an empty one takes it away.")
        value = row.notes.note.replace("\n", " / ")
        self._screen.app.push_screen(AskText(title, value, detail=detail, accept=_("keep")), written)

    def action_tags(self) -> None:
        rows = self._screen.find.meant()
        if not rows:
            return
        first = rows[0].notes.tags
        before = [tag for tag in first if all(tag in row.notes.tags for row in rows)]

        def written(text: str | None) -> None:
            if text is None:
                return
            after = tags_in(text)
            gone = [tag for tag in before if tag not in after]
            self._change(rows, lambda run: change_tags(run, after, gone), _("tagged"))

        def check(text: str) -> str:
            try:
                tags_in(text)
            except UserError as error:
                return error_words(error)
            return ""

        title = self._title(rows, _("Tags of {run}"), _("Tags that {count} runs have"))
        known = sorted({tag for row in self._screen.rows for tag in row.notes.tags})[:20]
        detail = _("Words with blanks between them.")
        if known:
            detail += " " + _("There are: {tags}").format(tags=plain(" ".join(known), limit=200))
        dialog = AskText(title, " ".join(before), detail=detail, check=check, accept=_("keep"))
        self._screen.app.push_screen(dialog, written)

    def _rate(self, rating: int) -> None:
        rows = self._screen.find.meant()
        self._change(rows, lambda run: change_notes(run, rating=rating), _("rated"))

    def action_rate_0(self) -> None:
        self._rate(0)

    def action_rate_1(self) -> None:
        self._rate(1)

    def action_rate_2(self) -> None:
        self._rate(2)

    def action_rate_3(self) -> None:
        self._rate(3)

    def action_rate_4(self) -> None:
        self._rate(4)

    def action_rate_5(self) -> None:
        self._rate(5)

    def action_best(self) -> None:
        row = self._screen.row_here
        if row is not None:
            self._screen.guide(partial(self._choose_best, row))

    async def _choose_best(self, row: Row) -> None:
        there = await in_thread(checkpoints_of, row.run)
        if not there:
            self._screen.tell(_("The run has no LoRA file yet."), "warning")
            return
        choices = [Choice("", _("as the validation loss says"))]
        choices += [Choice(self._place(row.run, one), plain(one.path.name), _remark(one)) for one in reversed(there)]

        def chosen(place: str | None) -> None:
            if place is not None:
                self._change([row], lambda run: choose_best(run, place), _("noted"))

        title = _("The best LoRA file of {run}").format(run=self._name(row))
        self._screen.app.push_screen(Choose(title, choices, current=row.notes.best or row.best), chosen)

    @staticmethod
    def _place(run: RunFolder, one: Checkpoint) -> str:
        return one.path.relative_to(run.root).as_posix()

    @staticmethod
    def _name(row: Row) -> str:
        number_ = row.status.number
        return _("run {number}").format(number=number_) if number_ else plain(row.run.name, limit=40)

    def _title(self, rows: Sequence[Row], one: str, many: str) -> str:
        return one.format(run=self._name(rows[0])) if len(rows) == 1 else many.format(count=count(len(rows)))

    def _change(self, rows: Sequence[Row], change: Callable[[RunFolder], Any], told: str) -> None:
        start_job(self._screen, partial(self._write, rows, change, told), "notes", alone=False)

    async def _write(self, rows: Sequence[Row], change: Callable[[RunFolder], Any], told: str) -> None:
        done, problem = await in_thread(_each, rows, change)
        await self._screen.read_rows()
        if problem:
            self._screen.tell(problem, "error")
        elif len(rows) > 1:
            runs = ngettext("{count} run", "{count} runs", done).format(count=count(done))
            self._screen.tell(f"{told}: {runs}", "success")
        else:
            self._screen.tell(told, "success")


def _each(rows: Sequence[Row], change: Callable[[RunFolder], Any]) -> tuple[int, str]:
    """Change each; how many were changed, and what went wrong with the first that was not."""
    done, problem = 0, ""
    for row in rows:
        try:
            change(row.run)
            done += 1
        except UserError as error:
            problem = problem or error_words(error)
    return done, problem


def _remark(one: Checkpoint) -> str:
    parts = [_("step {step}").format(step=count(one.step))] if one.step else []
    if one.validation is not None:
        parts.append(_("validation {loss}").format(loss=number(one.validation)))
    return "  ".join([*parts, bytes_text(one.size)])
