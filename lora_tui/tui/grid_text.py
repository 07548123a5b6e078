"""Grids and their cells in words: rows of the list, facts of a cell, what was measured of it. Knows no widget."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.cells import cell_len

from lora_tui.config.samplers import A1111
from lora_tui.grids.looking import Page, Summary
from lora_tui.grids.outputs import Shown
from lora_tui.grids.words import STATES
from lora_tui.tasks.status import TaskStatus
from lora_tui.tasks.words import phase_word
from lora_tui.text import N_, _, bytes_text, clock, count, duration, ngettext, number, plain
from lora_tui.tui.cells import Cell, fit, wrap
from lora_tui.tui.marks import Marks
from lora_tui.tui.widgets.virtual_list import Column
from lora_tui.tui.wording import sentences

if TYPE_CHECKING:
    from lora_tui.records.notes import Notes
    from lora_tui.scores.told import Scores

COLUMNS = (
    Column(1),
    Column(12, N_("name"), share=1, cut="middle"),
    Column(16, N_("varies"), share=2, since=62),
    Column(12, N_("drawn"), align="right"),
    Column(7, N_("failed"), align="right", since=48),
    Column(11, N_("when"), since=76),
    Column(8, N_("size"), align="right", since=88),
)
SHOWN_SCORES = {
    "likeness": N_("likeness"),
    "prompt": N_("prompt"),
    "variety": N_("variety"),
    "nearest": N_("nearest"),
}


def list_row(one: Summary, status: TaskStatus | None, marks: Marks) -> list[Cell]:
    """A grid as a row of the list."""
    name = plain(one.title or one.folder.root.name, limit=100)
    if one.error is not None:
        why = Cell(plain(one.error.message), "error")
        return [Cell(marks.failed, "error"), Cell(name), why, Cell(_("unreadable"), "error")]
    alive = status is not None and status.alive
    drawn, failed = one.counts.get("drawn", 0), one.counts.get("failed", 0)
    mark, tone = (marks.todo, "muted") if drawn < one.cells else (marks.done, "success")
    if failed:
        mark, tone = marks.needs, "warning"
    if alive:
        mark, tone = (marks.paused, "warning") if status and status.state == "paused" else (marks.running, "running")
    told = _("{done} of {total}").format(done=count(drawn), total=count(one.cells)) if one.counts else count(one.cells)
    return [
        Cell(mark, tone),
        Cell(name),
        Cell(axes_text(one.axes, marks), "muted"),
        Cell(told),
        Cell(count(failed) if failed else "", "error"),
        Cell(clock(one.created, "%m-%d %H:%M") if one.created else "", "muted"),
        Cell(bytes_text(one.size), "muted"),
    ]


def axes_text(axes: Sequence[tuple[str, int]], marks: Marks) -> str:
    """What varies, and in how many values."""
    return f" {marks.times} ".join(f"{title} {count(values)}" for title, values in axes)


def list_facts(one: Summary | None, width: int, marks: Marks) -> list[tuple[Cell, ...]]:
    """What is known of the grid under the cursor."""
    if one is None:
        return []
    name = plain(one.title or one.folder.root.name, limit=200)
    lines = [(Cell(fit(name, width, cut="middle", ellipsis=marks.ellipsis).rstrip(), "strong"),)]
    if one.error is not None:
        words = sentences(one.error.message, one.error.remedy)
        return [*lines, *((Cell(line, "error"),) for line in wrap(plain(words), width, 8))]
    drawn, failed = one.counts.get("drawn", 0), one.counts.get("failed", 0)
    done = _("{done} of {total} cells").format(done=count(drawn), total=count(one.cells))
    facts = [(axes_text(one.axes, marks), ""), (done if one.counts else count(one.cells), "")]
    if failed:
        facts.append((_("{count} failed").format(count=count(failed)), "error"))
    run = _("of {run}").format(run=plain(Path(one.run).name)) if one.run else _("of a configuration")
    facts.append((run, "muted"))
    when = clock(one.created, "%Y-%m-%d %H:%M") if one.created else ""
    facts.append((f"  {marks.dot}  ".join(filter(None, (when, bytes_text(one.size)))), "muted"))
    lines += [(Cell(line, tone),) for words, tone in facts for line in wrap(words, width, 2)]
    return [*lines, (Cell(fit(plain(one.folder.root.name), width, ellipsis=marks.ellipsis).rstrip(), "muted"),)]


def head_cells(page: Page, name: str, status: TaskStatus | None, width: int, marks: Marks) -> tuple[Cell, ...]:
    """The line above a grid: whose it is, what varies, which page; at the right how far it is."""
    across, down = page.grid.shown[:2]
    axes = f"{down.title} {marks.times} {across.title}" if len(down.values) > 1 else across.title
    parts = [name, axes]
    if page.pages > 1:
        here = ", ".join(f"{title} {_short(label)}" for title, label in page.labels())
        if len(page.labels()) == 1:
            here = page.labels()[0][0]
        parts.append(_("{axis} {n} of {total}").format(axis=here, n=count(page.number + 1), total=count(page.pages)))
    left, right = f" {marks.dot} ".join(parts), progress_text(page, status)
    room = max(width - cell_len(right) - 2, 10)
    shown = fit(left, room, ellipsis=marks.ellipsis)
    tone = "running" if status is not None and status.alive else "muted"
    return Cell(shown, "strong"), Cell("  "), Cell(right, tone)


def _short(label: str) -> str:
    return plain(label, limit=24)


def progress_text(page: Page, status: TaskStatus | None) -> str:
    """How far the drawing of a grid is, in a few words."""
    counts = page.counts
    total = count(page.grid.count)
    text = _("{done} of {total} cells").format(done=count(counts["drawn"]), total=total) if counts else total
    if counts and counts["failed"]:
        text += _(", ") + _("{count} failed").format(count=count(counts["failed"]))
    if status is None or not status.alive:
        return text
    if status.state == "paused":
        return text + "  " + _("paused")
    if status.eta is not None:
        return text + "  " + _("ETA {time}").format(time=duration(status.eta))
    return text + "  " + phase_word(status.phase or "loading")


def place_words(page: Page, one: Shown) -> list[str]:
    """A cell by the values of the axes of its page, ``checkpoint 1500`` and ``strength 0.8``: down before across."""
    axes = page.grid.shown
    found = []
    for at in (1, 0):
        if label := one.labels[at]:
            found.append(f"{axes[at].title} {plain(label, limit=60)}" if not _says_itself(label) else plain(label))
    return found


def _says_itself(label: str) -> bool:
    return label == _("base")


def cell_facts(
    page: Page,
    one: Shown,
    width: int,
    marks: Marks,
    *,
    notes: Notes | None = None,
    best: bool = False,
    scores: Scores | None = None,
) -> list[tuple[Cell, ...]]:
    """What is known of a cell, the most telling first."""
    lines: list[tuple[Cell, ...]] = [
        (Cell(line, "strong"),) for words in place_words(page, one) for line in wrap(words, width, 2)
    ]
    if one.state == "failed":
        lines += [(Cell(line, "error"),) for line in wrap(plain(one.why or _("failed")), width, 6)]
    elif one.state == "waiting":
        lines.append((Cell(_(STATES["waiting"]), "muted"),))
    if best and notes is not None:
        when = clock(notes.best_time, "%m-%d %H:%M") if notes.best_time else ""
        lines.append((Cell(f"{marks.done} " + _("best"), "success"), Cell(f"  {when}", "muted")))
    lines += score_lines(one.key, scores, width, marks)
    lines.append((Cell(""),))
    lines += [(Cell(line, "muted"),) for words in setting_words(one) for line in wrap(words, width, 2)]
    prompt = wrap(plain(one.cell.prompt), width, 8, ellipsis=marks.ellipsis)
    return [*lines, *((Cell(line, "muted"),) for line in prompt)]


def setting_words(one: Shown) -> list[str]:
    """How a picture is drawn."""
    cell = one.cell
    return [
        f"{cell.width} x {cell.height}  " + _("seed {seed}").format(seed=cell.seed),
        f"{A1111.get(cell.sampler, plain(cell.sampler))}  "
        + ngettext("{count} step", "{count} steps", cell.steps).format(count=count(cell.steps)),
        _("guidance {value}").format(value=f"{cell.guidance:g}"),
    ]


def score_lines(key: str, scores: Scores | None, width: int, marks: Marks) -> list[tuple[Cell, ...]]:
    """What was measured of a cell and of the checkpoint at its strength, and what is recommended."""
    if scores is None:
        return []
    lines: list[tuple[Cell, ...]] = [(Cell(""),)]
    for title, value, remark, tone in measured(key, scores):
        shown = (Cell(fit(title, 11), "muted"), Cell(number(value, 2)), Cell(f"  {remark}" if remark else "", tone))
        lines.append(shown)
    if scores.recommendation is not None:
        lines.append((Cell(""),))
        lines += recommended_lines(scores, width)
    return lines if len(lines) > 1 else []


def measured(key: str, scores: Scores) -> list[tuple[str, float, str, str]]:
    """Title, value, remark and its tone of each measure that a cell has."""
    own, choice = scores.cells.get(key), scores.choice_of(key)
    found = []
    for name, title in SHOWN_SCORES.items():
        value = getattr(own, name, None) if own is not None else None
        if value is None and choice is not None:
            value = getattr(choice, name, None)
        if value is None:
            continue
        remark, tone = "", "muted"
        if name == "nearest" and own is not None:
            remark, tone = (_("a copy"), "error") if own.copied else (_("ok"), "success")
        found.append((_(title), float(value), remark, tone))
    return found


def recommended_lines(scores: Scores, width: int) -> list[tuple[Cell, ...]]:
    """What to take, and what cannot be told apart from it."""
    told = scores.recommendation
    assert told is not None
    lines: list[tuple[Cell, ...]] = [(Cell(_("recommended"), "muted"),)]
    lines += [(Cell(line, "success"),) for line in wrap(choice_words(told.checkpoint, told.strength), width, 2)]
    if told.close and scores.tied:
        names = _(", ").join(choice_words(one.checkpoint, one.strength) for one in scores.tied[:3])
        words = _("too close to call: {names}").format(names=names)
        lines += [(Cell(line, "warning"),) for line in wrap(words, width, 4)]
    return lines


def choice_words(checkpoint: str, strength: str) -> str:
    """A checkpoint at a strength."""
    where = plain(checkpoint, limit=40)
    if not strength:
        return where
    shown = plain(strength, limit=20)
    return _("{file} at {strength}").format(file=where, strength=shown) if where else shown


def full_lines(page: Page, one: Shown, scores: Scores | None, path: Path) -> list[str]:
    """All that is known of a cell, to be read."""
    lines = [*(f"{title} {plain(label)}" for title, label in page.labels()), *place_words(page, one), ""]
    lines.append(_(STATES[one.state]))
    if one.why:
        lines.append(plain(one.why))
    lines += ["", *setting_words(one)]
    for lora in one.cell.loras:
        parts = [plain(lora.path.name), f"{lora.strength:g}"]
        if lora.text is not None:
            parts.append(_("text encoder {strength}").format(strength=f"{lora.text:g}"))
        if lora.blocks:
            parts.append(plain(lora.blocks))
        lines.append("LoRA: " + "  ".join(parts))
    lines += ["", _("prompt: {text}").format(text=plain(one.cell.prompt))]
    if one.cell.negative:
        lines.append(_("negative prompt: {text}").format(text=plain(one.cell.negative)))
    if scores is not None:
        told = measured(one.key, scores)
        lines += ["", *(f"{title} {number(value, 3)} {remark}".rstrip() for title, value, remark, _tone in told)]
        own = scores.cells.get(one.key)
        if own is not None and own.nearest_image:
            lines.append(_("nearest training image: {path}").format(path=plain(own.nearest_image)))
        lines += _why_recommended(scores)
    if one.state == "drawn":
        lines += ["", plain(str(path))]
    return lines


def _why_recommended(scores: Scores) -> list[str]:
    told = scores.recommendation
    lines = [""]
    if told is not None:
        lines.append(_("recommended: {what}").format(what=choice_words(told.checkpoint, told.strength)))
        if told.low is not None and told.high is not None:
            lines.append(_("score {value}, between {low} and {high} 19 times of 20").format(
                value=number(told.score, 3), low=number(told.low, 3), high=number(told.high, 3)
            ))  # fmt: skip
        lines += [plain(reason) for reason in told.reasons]
    return [*lines, *(plain(note) for note in scores.notes)]
