"""The lines around the rows of the parameter form: its head, its title, and the help of the row under the cursor."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lora_tui.config.plan import RunPlan
from lora_tui.config.presets import Preset
from lora_tui.text import _, count, ngettext, plain
from lora_tui.tui.cells import Cell, wrap
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
        cells.append(Cell(_("  matches {names}").format(names=" / ".join(fitting)), "muted"))
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
    ellipsis: str = "…",
) -> list[Line]:
    """The help of a row in ``size`` (width, height) cells: what is wrong, what it does, its names in files.

    ``live`` is what is said of the text in an open editor. Where there is room the plan's moments and buckets follow.
    """
    width, height = size
    lines: list[Line] = []
    if row is not None and row.spec is not None:
        text, names = help_text(row.spec)
        said = live or said_of(form, row)
        if said is not None:
            lines += [
                (Cell(line, said.tone),) for line in wrap(said.text, width, max(height - 2, 1), ellipsis=ellipsis)
            ]
        below = wrap(plain(names), width, 3 if height >= ROOMY else 1, ellipsis=ellipsis) if height > 1 else []
        room = height - len(below) - len(lines)
        if room > 0:
            lines += [(Cell(line),) for line in wrap(text, width, room, ellipsis=ellipsis)]
        lines += [(Cell(line, "muted"),) for line in below]
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


def reading_lines(form: Form, row: FormRow | None) -> list[str]:
    """All of it, nothing cut: what the check says of the row, its help and names, then all that the check says."""
    lines: list[str] = []
    findings = form.findings or ()
    if row is not None:
        said = said_of(form, row)
        lines += [said.text, ""] if said is not None else []
        if row.spec is not None:
            help_, names = help_text(row.spec)
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
