"""Runs as files for other eyes: a report in Markdown, every step as CSV, curves as SVG and PNG."""

from __future__ import annotations

import csv
import io
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lora_tui.errors import UserError
from lora_tui.files import write_atomic
from lora_tui.jobs.events import Event, as_number
from lora_tui.records.best import best_name
from lora_tui.records.compare import Comparison, Line, by_key
from lora_tui.records.figure import figure, lines_of
from lora_tui.records.figure_files import png, svg
from lora_tui.records.fonts import font_for
from lora_tui.records.kept_events import kept_events
from lora_tui.records.manifest import DatasetChanges, caption_change
from lora_tui.records.rows import Row
from lora_tui.runs import facts
from lora_tui.runs.folder import RunFolder
from lora_tui.runs.settings_text import settings_of
from lora_tui.text.formats import bytes_text, clock, count, duration, number
from lora_tui.text.plain import plain
from lora_tui.text.translate import _, ngettext

FORMATS = ("md", "csv", "svg", "png")
CURVES = ("loss", "validation", "lr.unet", "grad_norm", "step_seconds")
COLUMNS: tuple[str, ...] = (
    *("step", "epoch", "time", "loss", "validation", "grad_norm", "step_seconds", "data_wait"),
    *("images_per_second", "memory_allocated", "memory_reserved"),
)
MOST_RATES = 8
SHOWN = 40
"""Changed files of a dataset that a report names; of more it gives the number."""


def export(comparison: Comparison, folder: Path, formats: Sequence[str]) -> list[Path]:
    """Write the files of one or several runs into ``folder`` and return them, the report first.

    Files of an earlier export there are replaced, others are left alone.

    Raises:
        UserError: ``export.write`` when the folder cannot be written.
    """
    made: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        pictures = []
        for kind in ("svg", "png"):
            if kind in formats:
                pictures += list(_figures(comparison, folder, kind))
        made += pictures
        if "csv" in formats:
            made += [_steps(row.run, folder / f"{row.run.name}.csv") for row in comparison.rows]
            made.append(_write(folder / "runs.csv", table_csv(comparison.rows).encode()))
        if "md" in formats:
            samples = {place: path for row in comparison.rows for place, path in _samples(comparison, row, folder)}
            there = {place: path.relative_to(folder) for place, path in samples.items()}
            report = markdown(comparison, [path.name for path in pictures], there)
            made = [_write(folder / "report.md", report.encode("utf-8", "replace")), *made, *samples.values()]
    except OSError as error:
        raise UserError(
            _("It cannot be written: {reason}.").format(reason=error.strerror or error),
            place=plain(str(folder)),
            remedy=_("Name a folder that can be written, on a disk with room."),
            code="export.write",
        ) from error
    return made


def unwritten(comparison: Comparison, formats: Sequence[str]) -> str:
    """That the pictures have boxes in the place of some names, where no font of this machine has their letters."""
    lacking = [name for name in comparison.names if "png" in formats and not font_for(name, 13)[1]]
    if not lacking:
        return ""
    words = _("No font of this machine has all letters of {names}: PNG shows boxes there, SVG the letters.")
    return words.format(names=plain(_(", ").join(lacking), limit=200))


def table_csv(rows: Iterable[Row]) -> str:
    """The list of runs as CSV, one line a run, every setting a column."""
    rows = list(rows)
    keys = list(dict.fromkeys(key for row in rows for key in row.settings))
    first = ("number", "name", "state", "step", "total_steps", "loss", "validation", "validation_step", "best", "took")
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow([*first, "rating", "tags", "note", *keys])
    for row in rows:
        status = row.status
        known = [status.number, row.run.name, status.state, status.step, status.total_steps, status.loss]
        known += [row.validation, row.validation_step or None, row.best, status.took]
        noted = [row.notes.rating or None, " ".join(row.notes.tags), row.notes.note]
        table.writerow([csv_cell(value) for value in (*known, *noted, *(row.settings.get(key) for key in keys))])
    return text.getvalue().encode("utf-8", "replace").decode()


def csv_cell(value: Any) -> Any:
    """A value for a spreadsheet or a terminal: what they would obey is shown, and nothing begins as a formula does."""
    if not isinstance(value, str):
        return value
    shown = plain(value, newlines=True)
    return f"'{shown}" if shown[:1] in ("=", "+", "-", "@") else shown


def _steps(run: RunFolder, path: Path) -> Path:
    """Every step and validation of a run that still holds, one line each, written in bounded memory."""
    from lora_tui.files import written_whole

    with written_whole(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        rates: list[str] | None = None
        for event in _measured(run):
            if rates is None:
                known = event.get("lr")
                rates = (
                    [name for name in known if isinstance(name, str)][:MOST_RATES] if isinstance(known, dict) else []
                )
                table.writerow([*COLUMNS, *(csv_cell(f"lr.{plain(name, limit=60)}") for name in rates)])
            table.writerow(_row(event, rates))
        if rates is None:
            table.writerow(COLUMNS)
    return path


def _measured(run: RunFolder) -> Iterator[Event]:
    """Steps in order, each with the validation that was measured at it; a step that was done again counts once."""
    waiting: Event | None = None
    for event in kept_events(run):
        kind = event.get("kind")
        if kind == "step":
            if waiting is not None:
                yield waiting
            waiting = event
        elif kind == "validation":
            step = facts.whole(event, "step")
            if waiting is not None and facts.whole(waiting, "step") == step:
                waiting = {**waiting, "validation": event.get("loss")}
            else:
                if waiting is not None:
                    yield waiting
                waiting = {"t": event.get("t"), "step": step, "epoch": event.get("epoch")}
                waiting["validation"] = event.get("loss")
    if waiting is not None:
        yield waiting


def _row(event: Event, rates: Sequence[str]) -> list[Any]:
    numbers = {name: as_number(event.get(name)) for name in COLUMNS[3:]}
    given = event.get("lr")
    found: list[Any] = [facts.whole(event, "step"), facts.whole(event, "epoch") or None, facts.moment(event) or None]
    found += [numbers[name] for name in COLUMNS[3:]]
    return found + [as_number(given.get(name)) if isinstance(given, dict) else None for name in rates]


def _figures(comparison: Comparison, folder: Path, kind: str) -> Iterator[Path]:
    for name in CURVES:
        lines = []
        for number_, (title, story) in enumerate(zip(comparison.names, comparison.stories, strict=True)):
            lines += lines_of(title, story.series.get(name), number_, smooth=0.99 if name == "loss" else 0.0)
        if lines:
            drawn = figure(name, lines)
            yield _write(folder / f"{name.replace('.', '-')}.{kind}", svg(drawn) if kind == "svg" else png(drawn))


def _samples(comparison: Comparison, row: Row, folder: Path) -> Iterator[tuple[tuple[int, int], Path]]:
    """The last sample of each prompt of a run, copied beside the report, by the numbers of prompt and run."""
    at = comparison.rows.index(row)
    for number_, drawn in enumerate(comparison.drawn):
        there = [sample for sample in drawn.samples[at] if sample.path.is_file()]
        if there:
            target = folder / "samples" / f"{row.run.name}-{number_ + 1:02d}{there[-1].path.suffix}"
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(there[-1].path, target)
            yield (number_, at), target


def markdown(
    comparison: Comparison, pictures: Sequence[str] = (), samples: Mapping[tuple[int, int], Path] | None = None
) -> str:
    """The report: what came of the runs, in what they differ, their curves, samples and notes.

    ``samples``: pictures beside the report by the numbers of their prompt and their run.
    """
    told = comparison
    single = len(told.rows) == 1
    title = plain(told.rows[0].run.name) if single else _("Comparison of {count} runs").format(count=len(told.rows))
    parts = [f"# {_md(title)}", "", *_heads(told)]
    parts += ["", f"## {_('Results')}", "", *_table(told, told.results)]
    if not single:
        parts += ["", f"## {_('Settings that differ')}", ""]
        parts += _table(told, by_key(told.settings)) if told.settings else [_("None.")]
        if told.machines:
            parts += ["", f"## {_('Machine and versions')}", "", *_table(told, told.machines)]
        parts += ["", f"## {_('Dataset')}"]
        for name, one in zip(told.names[1:], told.datasets, strict=True):
            parts += ["", f"### {_md(name)}", ""]
            parts += [("  - " if line.startswith(" ") else "- ") + _md(line.strip()) for line in dataset_lines(one)]
    shown = [name for name in pictures if name.endswith(".svg")] or list(pictures)
    if shown:
        parts += ["", f"## {_('Curves')}", "", *(f"![{name}]({name})" for name in shown)]
    if samples:
        parts += ["", f"## {_('Samples')}", "", *_sample_table(told, samples)]
    noted = [row for row in told.rows if row.notes.note]
    if noted:
        parts += ["", f"## {_('Notes')}"]
        for row in noted:
            quoted = [f"> {_md(plain(line))}" for line in row.notes.note.splitlines()]
            parts += ["", f"**{_md(row.run.name)}**", "", *quoted]
    return "\n".join(parts) + "\n"


def dataset_lines(told: DatasetChanges | None, most: int = SHOWN) -> list[str]:
    """How a dataset differs from the first one, in lines for a person; ``most`` names of each kind."""
    if told is None:
        return [_("What one of the two was trained on is not known.")]
    if told.nothing:
        return [_("The same images and captions.")]
    lines = [
        ngettext("{count} image is as it was", "{count} images are as they were", told.same).format(
            count=count(told.same)
        )
    ]
    for title, names in ((_("added"), told.added), (_("removed"), told.removed)):
        if names:
            lines.append(f"{title} {count(len(names))}: {_listed(names, most)}")
    if told.renamed:
        pairs = [f"{before} -> {after}" for before, after in told.renamed]
        lines.append(f"{_('renamed')} {count(len(pairs))}: {_listed(pairs, most)}")
    for title, some in ((_("other picture"), told.contents), (_("other cut"), told.crops)):
        if some:
            lines.append(f"{title} {count(len(some))}: {_listed([change.name for change in some], most)}")
    if told.repeats:
        pairs = [f"{one.name} {one.before.repeats} -> {one.after.repeats}" for one in told.repeats]
        lines.append(f"{_('other repeats')} {count(len(pairs))}: {_listed(pairs, most)}")
    if told.captions:
        lines.append(f"{_('other caption')} {count(len(told.captions))}:")
        for change in told.captions[:most]:
            lost, got = caption_change(change)
            signs = [*(f"-{part}" for part in lost), *(f"+{part}" for part in got)]
            lines.append(f"  {plain(change.name)}  {plain(', '.join(signs), limit=300) or _('another order')}")
        if len(told.captions) > most:
            lines.append("  " + _("and {count} more").format(count=count(len(told.captions) - most)))
    if told.tags:
        pairs = [f"{tag} {before} -> {after}" for tag, (before, after) in list(told.tags.items())[:most]]
        lines.append(f"{_('tags')} {count(len(told.tags))}: {_listed(pairs, most)}")
    return lines


def _listed(names: Sequence[str], most: int) -> str:
    text = ", ".join(plain(name, limit=120) for name in names[:most])
    if len(names) > most:
        text += " " + _("and {count} more").format(count=count(len(names) - most))
    return text


def _heads(told: Comparison) -> list[str]:
    lines = []
    for name, row in zip(told.names, told.rows, strict=True):
        status = row.status
        when = clock(status.started, "%Y-%m-%d %H:%M") if status.started else ""
        told_of = settings_of(row.run)
        facts_ = [plain(row.run.name), when, duration(status.took) if status.took is not None else ""]
        facts_ += list(told_of.lines) if told_of is not None else []
        if row.best:
            facts_.append(_("best: {file}").format(file=best_name(row.best, row.best_strength)))
        if row.validation is not None:
            text = _("lowest validation {loss} at step {step}")
            facts_.append(text.format(loss=number(row.validation), step=count(row.validation_step)))
        lines.append(f"- **{_md(name)}** · " + " · ".join(_md(fact) for fact in facts_ if fact))
    return lines


def _table(told: Comparison, lines: Sequence[Line]) -> list[str]:
    names = [_md(name) for name in told.names]
    rows = [f"| | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    return [*rows, *(f"| {_md(line.title)} | {' | '.join(map(_md, line.values))} |" for line in lines)]


def _sample_table(told: Comparison, samples: Mapping[tuple[int, int], Path]) -> list[str]:
    """A row of pictures for each prompt, a column for each run."""
    lines = [f"| | {' | '.join(map(_md, told.names))} |", f"|---|{'---|' * len(told.names)}"]
    for number_, drawn in enumerate(told.drawn):
        found = [samples.get((number_, at)) for at in range(len(told.names))]
        cells = [f"![{_md(path.stem)}]({_link(path)})" if path is not None else "" for path in found]
        if any(cells):
            lines.append(f"| {_md(plain(drawn.prompt, limit=200))} | {' | '.join(cells)} |")
    return lines


def _md(text: str) -> str:
    """Outside text as Markdown shows it: nothing in it is markup, a table's bars included."""
    shown = plain(text)
    return "".join(f"\\{char}" if char in "\\`*_{}[]<>#|!~" else char for char in shown)


def _link(path: Path) -> str:
    from urllib.parse import quote

    return quote(os.fsencode(path.as_posix()))


def _write(path: Path, data: bytes) -> Path:
    write_atomic(path, data, durable=False)
    return path


def sizes(paths: Iterable[Path]) -> list[tuple[Path, str]]:
    """The files with their sizes in words."""
    return [(path, bytes_text(path.stat().st_size)) for path in paths]
