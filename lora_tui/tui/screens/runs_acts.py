"""What is made of runs: a new configuration, files for others, room on the disk. Part of the list of runs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.errors import UserError
from lora_tui.records.rows import Row
from lora_tui.text import _, bytes_text, count, ngettext, plain
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.widgets.dialog import AskPath, AskText, Choice, Choose, Confirm
from lora_tui.tui.widgets.text_view import TextView
from lora_tui.tui.wording import error_words, sentences

if TYPE_CHECKING:
    from lora_tui.records.disk import Leaving, Wish
    from lora_tui.tui.screens.runs import RunsScreen

SHOWN = 12
"""Files that a question about removing them names."""


class RunActs:
    """Clone, compare, export, publish, remove."""

    def __init__(self, screen: RunsScreen) -> None:
        self._screen = screen

    def action_queue(self) -> None:
        self._screen.shell.show_screen("queue")

    # -- compare and export

    def action_compare(self) -> None:
        self._screen.guide(self._compare)

    async def _compare(self) -> None:
        from lora_tui.records.compare import compare
        from lora_tui.tui.screens.runs_compare import CompareRuns

        rows = self._compared()
        self._screen.tell(_("reading"))
        told = await in_thread(compare, rows)
        self._screen.forget_told()
        self._screen.app.push_screen(CompareRuns(told))

    def action_sweep(self) -> None:
        self._screen.guide(self._sweep)

    async def _sweep(self) -> None:
        from lora_tui.sweeps.folder import find_sweep
        from lora_tui.sweeps.results import read_table
        from lora_tui.tui.screens.runs_sweep import SweepResults

        row, shell = self._screen.row_here, self._screen.shell
        if row is None:
            return
        try:
            sweep = await in_thread(find_sweep, row.sweep, row.run.root.parent.parent)
            table = await in_thread(read_table, sweep)
        except UserError as error:
            shell.tell(error_words(error), "error")
            return
        run = await shell.push_screen(SweepResults(sweep, table, shell.marks), wait_for_dismiss=True)
        if run is not None:
            shell.open_run(run)

    def _compared(self) -> list[Row]:
        """The marked runs, oldest first; of one alone, it and the run that is shown below it."""
        screen = self._screen
        rows = screen.find.meant()
        if len(rows) == 1:
            shown = screen.shown
            place = next((at for at, row in enumerate(shown) if row.run == rows[0].run), 0)
            rows += [shown[place + 1] if place + 1 < len(shown) else shown[place - 1]]
        return sorted(rows, key=lambda row: (row.status.started or 0.0, row.run.name))

    def action_export(self) -> None:
        rows = self._screen.find.meant()
        if not rows:
            return
        name = rows[0].run.name if len(rows) == 1 else "comparison"
        start = self._screen.workspace.root

        def chosen(folder: Path | None) -> None:
            if folder is not None:
                start_job(self._screen, partial(self._export, rows, folder), "export")

        title = ngettext("Export {count} run into a folder", "Export {count} runs into a folder", len(rows))
        dialog = AskPath(
            title.format(count=count(len(rows))),
            start,
            detail=_("A report in Markdown, every step as CSV, the curves as SVG and PNG, the last samples."),
            folders_only=True,
            must_exist=False,
            accept=_("write"),
            value=start / "exports" / name,
        )
        self._screen.app.push_screen(dialog, chosen)

    async def _export(self, rows: Sequence[Row], folder: Path) -> None:
        from lora_tui.records.compare import compare
        from lora_tui.records.export import FORMATS, export, unwritten

        self._screen.tell(_("writing"))
        try:
            told = await in_thread(compare, rows)
            made = await in_thread(export, told, folder, FORMATS)
            lacking = await in_thread(unwritten, told, FORMATS)
        except UserError as error:
            self._screen.shell.tell(error_words(error), "error")
            return
        text = ngettext("{count} file in {folder}", "{count} files in {folder}", len(made))
        written = text.format(count=count(len(made)), folder=plain(str(folder)))
        self._screen.shell.tell(sentences(written, lacking), "success")

    # -- clone

    def action_clone(self) -> None:
        row, shell = self._screen.row_here, self._screen.shell
        if row is None:
            return

        def go() -> None:
            self._screen.guide(partial(self._clone, row))

        if shell.workspace.config_changed:
            shell.ask_without_changes(_("Take the settings of the run instead of them?"), _("take them"), go)
        else:
            go()

    async def _clone(self, row: Row) -> None:
        from lora_tui.records.clone import cloned

        shell = self._screen.shell
        try:
            config = await in_thread(cloned, row.run)
        except UserError as error:
            shell.tell(error_words(error), "error")
            return
        shell.use_new_config(config)
        shell.show_screen("parameters")
        shell.call_later(shell.tell, _("The settings of {run}, in no file yet.").format(run=plain(row.run.name)))

    # -- publish

    def action_publish(self) -> None:
        row = self._screen.row_here
        if row is None:
            return
        place = self._screen.shell.settings.publish
        if place:
            start_job(self._screen, partial(self._publish, row, place), "publish")
        else:
            self._ask_place(row)

    def action_publish_to(self) -> None:
        row = self._screen.row_here
        if row is not None:
            self._ask_place(row)

    def _ask_place(self, row: Row) -> None:
        def named(place: str | None) -> None:
            if place and place.strip():
                self._screen.shell.keep(publish=place.strip())
                start_job(self._screen, partial(self._publish, row, place.strip()), "publish")

        dialog = AskText(
            _("Where are LoRA files published?"),
            self._screen.shell.settings.publish,
            detail=_("The folder of ComfyUI or A1111, a folder for LoRA files, or host:folder for scp. It is kept."),
            check=_not_there,
            accept=_("publish"),
        )
        self._screen.app.push_screen(dialog, named)

    async def _publish(self, row: Row, place: str, *, force: bool = False) -> None:
        from lora_tui.records.publish import parcel_of, publish, scp_line, target_of

        shell = self._screen.shell
        try:
            target = await in_thread(target_of, place)
            parcel = await in_thread(parcel_of, row.run)
            made = await in_thread(partial(publish, parcel, target, force=force))
        except UserError as error:
            if error.code == "publish.exists":
                self._ask_replace(row, place, error)
            else:
                shell.tell(error_words(error), "error")
            return
        if target.remote:
            lines = [_("This command sends them:"), "", scp_line(made, target.remote)]
            shell.push_screen(TextView(_("Publish {run}").format(run=plain(row.run.name)), lines))
            return
        without = [] if parcel.trigger else [_("no trigger word known")]
        without += [] if parcel.why != "last" else [_("the last file, for nothing tells the best")]
        without += [] if parcel.cover is not None else [_("no sample for a cover")]
        text = _("{file} is in {folder}").format(file=plain(made[-1].name), folder=plain(str(made[-1].parent)))
        shell.tell(_(", ").join([text, *without]), "warning" if without else "success")

    def _ask_replace(self, row: Row, place: str, error: UserError) -> None:
        def answered(sure: bool | None) -> None:
            if sure:
                start_job(self._screen, partial(self._publish, row, place, force=True), "publish")

        self._screen.app.push_screen(Confirm(_("Replace the file there?"), error.place, yes=_("replace")), answered)

    # -- room on the disk

    def action_remove(self) -> None:
        rows = self._screen.find.meant()
        if rows:
            self._screen.guide(partial(self._ask_remove, rows))

    async def _ask_remove(self, rows: Sequence[Row]) -> None:
        from lora_tui.records.disk import PARTS, Wish, cost_of, leaving, total

        def look() -> tuple[dict[str, int], int, dict[str, tuple[list[Leaving], str]]]:
            parts = dict.fromkeys(PARTS, 0)
            for row in rows:
                for name, size in cost_of(row.run).parts.items():
                    parts[name] += size
            return parts, sum(parts.values()), {name: _of(rows, wish, leaving) for name, wish in wishes.items()}

        wishes = {"spare": Wish(), "states": Wish(("states",)), "all": Wish(("all",))}
        parts, size, found = await in_thread(look)
        whole = ngettext("the whole run", "{count} whole runs", len(rows)).format(count=count(len(rows)))
        words = {
            "spare": (_("spare files"), _("states, and LoRA files beside the best and the last")),
            "states": (_("spare states"), _("resume states that nothing needs")),
            "all": (whole, _("with its record, samples and LoRA files")),
        }
        choices = [
            Choice(name, words[name][0], f"{bytes_text(total(some[0])):>7}  {some[1] or words[name][1]}")
            for name, some in found.items()
        ]
        detail = "  ".join(f"{_(PARTS[name])} {bytes_text(part)}" for name, part in parts.items() if part)
        title = ngettext("{count} run takes {size}", "{count} runs take {size}", len(rows))
        dialog = Choose(
            title.format(count=count(len(rows)), size=bytes_text(size)),
            choices,
            detail=detail,
            accept=_("look at it"),
        )
        name = await self._screen.app.push_screen_wait(dialog)
        if name is None:
            return
        leaves, why = found[name]
        if not leaves:
            self._screen.tell(why or _("Nothing can go."), "warning")
            return
        await self._confirm(leaves)

    async def _confirm(self, leaves: list[Leaving]) -> None:
        from lora_tui.records.disk import total

        lines = [plain(str(one.path.relative_to(one.run.root.parent)), limit=66) for one in leaves[:SHOWN]]
        if len(leaves) > SHOWN:
            lines.append(_("and {count} more").format(count=count(len(leaves) - SHOWN)))
        size = bytes_text(total(leaves))
        choices = [
            Choice("trash", _("into the trash"), _("frees nothing yet; lora-tui runs trash brings it back")),
            Choice("delete", _("delete for good"), _("frees {size}").format(size=size)),
        ]
        dialog = Choose(_("Remove {size}?").format(size=size), choices, detail="\n".join(lines))
        how = await self._screen.app.push_screen_wait(dialog)
        if how is not None:
            self._screen.guide(partial(self._remove, leaves, how), stops=False)

    async def _remove(self, leaves: list[Leaving], how: str) -> None:
        from lora_tui.records.disk import total
        from lora_tui.records.trash import throw_away

        gone, errors = await in_thread(partial(throw_away, leaves, for_good=how == "delete"))
        self._screen.shell.poll_runs()
        await self._screen.read_rows()
        if errors:
            self._screen.tell(error_words(errors[0]), "error")
        else:
            text = _("deleted {size}") if how == "delete" else _("moved {size} into the trash")
            self._screen.tell(text.format(size=bytes_text(total(gone))), "success")


def _of(rows: Sequence[Row], wish: Wish, leaving: object) -> tuple[list[Leaving], str]:
    found: list[Leaving] = []
    why = ""
    for row in rows:
        mine, reason = leaving(row, wish)  # type: ignore[operator]
        found += mine
        why = why or reason
    return found, why


def _not_there(text: str) -> str:
    from lora_tui.records.publish import target_of

    try:
        target_of(text.strip())
    except UserError as error:
        return error_words(error)
    return ""
