"""The lines around the rows of the parameter form: its head, its title, and the help of the row under the cursor."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.cells import cell_len

from lora_tui.config.plan import RunPlan
from lora_tui.config.presets import Preset
from lora_tui.text import _, count, ngettext, plain
from lora_tui.tui.cells import Cell, fit, wrap
from lora_tui.tui.form import Form, FormRow, groups
from lora_tui.tui.form_words import help_text
from lora_tui.tui.plan_text import bucket_lines, moment_lines
from lora_tui.tui.wording import sentences

Line = tuple[Cell, ...]

ROOMY = 7
"""From this height on the names that a setting has elsewhere may take more than one line."""

PLAN_FROM = 16
"""From this height on the help shows the moments and the buckets of the plan as well."""


def head_line(form: Form, name: str, unsaved: bool, presets: Sequence[Preset]) -> Line:
    """Which file, whether it is saved, which presets it holds, how much differs from the defaults."""
    cells = [
        Cell(_("PARAMETERS"), "muted"),
        Cell("  "),
        Cell(name, "strong"),
        Cell(" *" if unsaved else "  ", "warning"),
    ]
    fitting = [preset.title for preset in presets if form.holds(preset)]
    if fitting:
        cells.append(Cell(_("  preset {names}").format(names=" / ".join(fitting)), "muted"))
    changed = form.changed_count()
    cells.append(Cell("  " + ngettext("{count} changed", "{count} changed", changed).format(count=changed), "muted"))
    if form.expert:
        cells.append(Cell(_("  expert"), "accent"))
    return tuple(cells)


def title_line(form: Form, key: Callable[[str], str]) -> Line:
    """What the rows are: a group, all settings, what was found, what differs from the defaults."""
    if form.query:
        found = sum(row.spec is not None for row in form.rows())
        title = ngettext("{count} setting found", "{count} settings found", found).format(count=count(found))
    elif form.only_changed:
        title = _("Changed from the defaults")
    elif form.whole:
        title = _("All settings")
    else:
        number = f"{form.group + 1}/{len(groups())}"
        return (
            Cell(_(groups()[form.group].title), "strong"),
            Cell(f"  {number}  ", "muted"),
            Cell(_("{key} finds a setting").format(key=key("parameters.search")), "muted"),
        )
    back = key("app.back") if form.query or form.only_changed else ""
    hint = _("{key} shows all again").format(key=back) if back else _("{key} finds a setting")
    return Cell(title, "strong"), Cell("  " + hint.format(key=key("parameters.search")), "muted")


def detail_lines(
    form: Form,
    row: FormRow | None,
    live: Cell | None,
    plan: RunPlan | None,
    size: tuple[int, int],
    key: Callable[[str], str],
    *,
    presets: Sequence[Preset] = (),
    ellipsis: str = "…",
) -> list[Line]:
    """The help of a row in ``size`` (width, height) cells: what is wrong, what it does, its names in files.

    ``live`` is what is said of the text in an open editor, ``presets`` are those whose values are told. What it does
    comes before its names; where it does not fit, the key is named that shows all of it. Where there is room the
    plan's moments and buckets follow.
    """
    width, height = size
    lines: list[Line] = []
    if row is not None and row.spec is not None:
        text, names = help_text(row.spec, presets)
        said = live or said_of(form, row)
        if said is not None:
            lines += [
                (Cell(line, said.tone),) for line in wrap(said.text, width, max(height - 2, 1), ellipsis=ellipsis)
            ]
        lines += _as_fits(text, width, height - len(lines), key("parameters.read"), ellipsis)
        if room := min(height - len(lines), 3 if height >= ROOMY else 1):
            lines += [(Cell(line, "muted"),) for line in wrap(plain(names), width, room, ellipsis=ellipsis)]
    elif row is not None and row.kind in ("entry", "add"):
        said = said_of(form, row)
        if said is not None:
            lines += [
                (Cell(line, said.tone),) for line in wrap(said.text, width, max(height - 1, 1), ellipsis=ellipsis)
            ]
        told = _("{enter} opens or closes, {add} adds one, {remove} removes this one.").format(
            enter=key("parameters.edit"), add=key("parameters.add"), remove=key("parameters.remove")
        )
        room = max(height, 1) - len(lines)
        if room > 0:
            lines += [(Cell(line, "muted"),) for line in wrap(told, width, room, ellipsis=ellipsis)]
    if plan is not None and height > PLAN_FROM:
        lines += [(), *moment_lines(plan), (), *bucket_lines(plan)]
    return lines


def _as_fits(text: str, width: int, room: int, key: str, ellipsis: str) -> list[Line]:
    """A text in at most ``room`` lines; one that is cut names the key that reads on."""
    lines = wrap(text, width)
    if len(lines) <= room:
        return [(Cell(line),) for line in lines]
    if room <= 0:
        return []
    hint = " " + _("{key} reads on").format(key=key)
    last = fit(" ".join(lines[room - 1 :]), width - cell_len(hint), ellipsis=ellipsis)
    return [*((Cell(line),) for line in lines[: room - 1]), (Cell(last), Cell(hint, "muted"))]


def reading_lines(form: Form, row: FormRow | None, presets: Sequence[Preset] = ()) -> list[str]:
    """All of it, nothing cut: what the check says of the row, its help and names, then all that the check says."""
    lines: list[str] = []
    findings = form.findings or ()
    if row is not None:
        said = said_of(form, row)
        lines += [said.text, ""] if said is not None else []
        if row.spec is not None:
            help_, names = help_text(row.spec, presets)
            lines += [form.value(row).text, "", help_, "", plain(names), ""]
    words = {"error": _("error"), "warning": _("warning"), "note": _("note")}
    if findings:
        lines.append(_("What the check says of this run"))
        for finding in findings:
            told = plain(sentences(finding.message, finding.remedy))
            lines.append(f"  {words.get(finding.severity, finding.severity)}: {told}  ({finding.field})")
    else:
        lines.append(_("nothing speaks against this run"))
    return lines


def said_of(form: Form, row: FormRow) -> Cell | None:
    """What the check says of a row, with its remedy."""
    finding = form.finding(row)
    if finding is None:
        return None
    tone = "error" if finding.severity == "error" else "warning"
    return Cell(plain(sentences(finding.message, finding.remedy)), tone)
