"""What the list of runs shows of the run under its cursor: settings, files, the newest sample, the loss.

Reads from disk and blocks: called in a thread, gives frozen data.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.cells import cell_len

from lora_tui.errors import UserError
from lora_tui.records.best import best_name
from lora_tui.records.rows import Row
from lora_tui.runs.beginning import beginning_of
from lora_tui.runs.folder import RunFolder
from lora_tui.runs.quicker import quicker_words
from lora_tui.runs.record import read_record
from lora_tui.runs.settings_text import described
from lora_tui.runs.status import RunStatus
from lora_tui.runs.story import RunStory
from lora_tui.text import _, bytes_text, clock, count, duration, number, plain
from lora_tui.tui.cells import Cell, fit, flow, wrap
from lora_tui.tui.marks import Marks
from lora_tui.tui.road import MARK_OF_STATE, TONE_OF_MARK, name_within, state_words

CURVE_BYTES = 48 << 20
"""Event files up to this size are read for the curve: half a second of a thread, some 200,000 steps."""

LISTED = 2000
"""Files of a run folder that are listed at most."""

Line = tuple[Cell, ...]


@dataclass(frozen=True)
class RunDetails:
    """One run, looked at closely.

    Attributes:
        settings: the settings that say most, and what became of compiled blocks and CUDA graphs, in pieces that stay
            whole, by the line.
        began: what the time to its first step went into, in such pieces.
        base: its base model, where that is known.
        files: the LoRA files, oldest first, with their sizes in bytes.
        sample: the newest sample image.
        story: its events, none when there are too many to read in passing.
    """

    run: RunFolder
    settings: tuple[tuple[str, ...], ...] = ()
    began: tuple[str, ...] = ()
    base: str = ""
    files: tuple[tuple[Path, int], ...] = ()
    sample: Path | None = None
    story: RunStory | None = None


def read_details(run: RunFolder) -> RunDetails:
    """Look at a run; what cannot be read is left out."""
    story = None
    try:
        if run.events_path.stat().st_size <= CURVE_BYTES:
            story = RunStory(run)
            story.update(2.0)
    except OSError:
        story = None
    settings, base = _settings(run)
    record, files = read_record(run), _files(run.checkpoints_dir, ".safetensors")
    quicker, began = quicker_words(record, brief=True), beginning_of(record)
    settings = (*settings, quicker) if quicker else settings
    return RunDetails(run, settings, began.words if began else (), base, files, _newest(run), story)


def list_files(run: RunFolder) -> list[tuple[Path, str]]:
    """Every file of the run folder with a line about it, the LoRA files first."""
    found: list[tuple[int, str, int]] = []
    for path in sorted(run.root.rglob("*")):
        try:
            if path.is_file():
                place = path.relative_to(run.root)
                found.append((0 if place.parts[0] == "checkpoints" else 1, str(place), path.stat().st_size))
        except OSError:
            continue
        if len(found) >= LISTED:
            break
    return [(run.root / name, f"{bytes_text(size):>9}  {name}") for _order, name, size in sorted(found)]


def lora_lines(path: Path) -> list[str]:
    """What a LoRA file says of itself.

    Raises:
        UserError: it is no LoRA file, or cannot be read.
    """
    from lora_tui.weights.header.loras import lora_info
    from lora_tui.weights.header.told import info_lines

    return [plain(str(path)), "", *(f"{title:<16} {value}" for title, value in info_lines(lora_info(path)))]


def when_text(status: RunStatus, now: float) -> str:
    """When the run began: the time of today, else the day."""
    day = clock(status.started, "%Y-%m-%d") if status.started else ""
    return (clock(status.started, "%H:%M") if day == clock(now, "%Y-%m-%d") else day) or "-"


def detail_lines(status: RunStatus, details: RunDetails | None, marks: Marks, width: int) -> list[Line]:
    """The facts of a run."""
    name_of_mark = MARK_OF_STATE.get(status.state, "todo")
    mark, tone = getattr(marks, name_of_mark), TONE_OF_MARK.get(name_of_mark, "")
    name = _("run {number}").format(number=status.number) if status.number else ""
    room = width - cell_len(mark) - cell_len(name) - 3
    lines: list[Line] = [
        (Cell(f"{mark} ", tone), Cell(name, "strong"), Cell("  " + name_within(status.run, room), "muted")),
        *_state(status, tone, width),
        (Cell(_steps(status)),),
    ]
    if status.loss is not None:
        lines.append((Cell(fit(_("loss"), 10), "muted"), Cell(number(status.loss))))
    at_work = status.sent.words if status.sent is not None and status.sent.words != status.message else ""
    for text, shade in ((at_work, "muted"), (status.message, "" if status.alive else "error"), (status.advice, "")):
        lines += [(Cell(line, shade),) for line in wrap(plain(text), width, 3, ellipsis=marks.ellipsis) if text]
    if details is not None and details.run == status.run:
        for parts in details.settings:
            lines += _flowed(parts, width)
        if details.base:
            lines.append((Cell(fit(details.base, width, cut="middle", ellipsis=marks.ellipsis).rstrip(), "muted"),))
        lines += [*_file_lines(details), *_flowed(details.began, width)]
    return lines


def _flowed(parts: tuple[str, ...], width: int) -> list[Line]:
    return [(Cell(line, "muted"),) for text in flow(parts, width, _(", ")) for line in wrap(text, width, 2)]


def noted_lines(row: Row, marks: Marks, width: int) -> list[Line]:
    """What a person said of a run, and which of its files is the best one."""
    notes = row.notes
    lines: list[Line] = []
    if notes.rating or notes.tags:
        words = plain("  ".join(notes.tags))
        stars = notes.stars + ("  " if notes.stars and words else "")
        lines.append((Cell(stars, "warning"), Cell(fit(words, max(width - cell_len(stars), 1)).rstrip(), "accent")))
    text = plain(notes.note.replace("\n", " / "))
    lines += [(Cell(line),) for line in wrap(text, width, 2, ellipsis=marks.ellipsis) if text]
    if row.sweep:
        lines.append((Cell(fit(_("of the sweep {name}").format(name=plain(row.sweep)), width).rstrip(), "muted"),))
    if row.best_why in ("chosen", "validation"):
        name = best_name(f"@{count(row.best_step)}" if row.best_step else Path(row.best).name, row.best_strength)
        why = (
            _("chosen by you")
            if row.best_why == "chosen"
            else _("validation {loss}").format(loss=number(row.validation))
        )
        lines.append((Cell(_("best {name}").format(name=name), "success"), Cell(f"  {why}", "muted")))
    return lines


def _steps(status: RunStatus) -> str:
    if not status.total_steps:
        return _("no step yet")
    text = _("step {step} of {total}").format(step=count(status.step), total=count(status.total_steps))
    return text + "  " + _("epoch {epoch}/{epochs}").format(epoch=status.epoch, epochs=status.epochs)


def _state(status: RunStatus, tone: str, width: int) -> list[Line]:
    """The state, when it began, and how long it took, in one line or two."""
    state = state_words(status.state)
    parts = [clock(status.started, "%Y-%m-%d %H:%M")] if status.started else []
    if status.took is not None:
        parts.append(_("took {time}").format(time=duration(status.took)))
    first, *more = flow([state, *(part for part in parts if part)], width)
    return [(Cell(state, tone), Cell(first.removeprefix(state), "muted")), *((Cell(text, "muted"),) for text in more)]


def _file_lines(details: RunDetails) -> list[Line]:
    if not details.files:
        return [(Cell(_("no LoRA file yet"), "muted"),)]
    path, size = details.files[-1]
    first = Cell(plain(path.name), "strong"), Cell(f"  {bytes_text(size)}", "muted")
    if len(details.files) == 1:
        return [first]
    return [first, (Cell(_("and {count} before it").format(count=count(len(details.files) - 1)), "muted"),)]


def _settings(run: RunFolder) -> tuple[tuple[tuple[str, ...], ...], str]:
    """What it was asked to do in a few lines, and its base model; or why that cannot be read."""
    from lora_tui.config.load import load_config

    try:
        config = load_config(run.config_path)
    except UserError as error:
        return ((plain(error.message),),), ""
    return described(config).parts, plain(config.model.base)


def _files(folder: Path, suffix: str) -> tuple[tuple[Path, int], ...]:
    try:
        found = [(path.stat().st_mtime_ns, path, path.stat().st_size) for path in folder.glob(f"*{suffix}")]
    except OSError:
        return ()
    return tuple((path, size) for _time, path, size in sorted(found))


def _newest(run: RunFolder) -> Path | None:
    pictures = _files(run.samples_dir, ".png")
    return pictures[-1][0] if pictures else None
