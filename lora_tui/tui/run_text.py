"""What the training screen says about a run, line by line. Numbers keep their width, so that nothing jumps."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rich.cells import cell_len

from lora_tui.runs.facts import Ending, Sample
from lora_tui.runs.machine_series import CARD
from lora_tui.runs.settings_text import RunSettings
from lora_tui.runs.status import RunStatus, awaits_turn
from lora_tui.runs.story import RunStory
from lora_tui.text import N_, _, clock, count, duration, number, percent, plain, rate_text
from lora_tui.tui.cells import Cell, fit, wrap
from lora_tui.tui.curves import OTHER_ROLES, SCALES, Curves, Look, card_of, several
from lora_tui.tui.marks import Marks
from lora_tui.tui.road import MARK_OF_STATE, TONE_OF_MARK, name_within, state_words

Line = tuple[Cell, ...]

ETA_WIDTH = 18
SECOND_FROM = 60
"""Cells of width from which epoch or phase have a bar of their own beside that of the steps."""
SECOND_BAR, SECOND_WORDS = 8, 8
_PHASE_WORDS = {
    "fetching": N_("fetching"),
    "loading": N_("loading"),
    "caching": N_("caching"),
    "sampling": N_("samples"),
    "validating": N_("validat."),
    "measuring": N_("images"),
    "saving": N_("saving"),
}
_EIGHTHS = " ▏▎▍▌▋▊▉"


@dataclass(frozen=True)
class Seen:
    """What the lines are made of: the run as its files tell it, and how it is looked at.

    ``price`` is that of an hour of the machine, 0 where it costs nothing.
    """

    story: RunStory
    curves: Curves
    look: Look
    status: RunStatus | None
    now: float
    marks: Marks
    settings: RunSettings | None = None
    price: float = 0.0
    currency: str = ""

    @property
    def state(self) -> str:
        """The state in one word, by the events first: they are read more often than the rest."""
        if self.status is not None and awaits_turn(self.status):
            return self.status.state
        if self.story.ending is not None:
            words = {"completed": "finished", "failed": "failed", "died": "died"}
            return words.get(self.story.ending.reason, "stopped")
        if self.status is None:
            return "starting"
        if self.status.alive and self.story.phase is not None and self.story.phase.name == "paused":
            return "paused"
        return self.status.state

    @property
    def alive(self) -> bool:
        """Whether requests would be heard."""
        status = self.status
        return status is not None and status.alive and self.story.ending is None and not awaits_turn(status)

    @property
    def step(self) -> float:
        """The step that is looked at."""
        return self.look.at if self.look.at is not None else float(self.story.step)

    @property
    def pace(self) -> float | None:
        """Steps a second: of the last ones, or of the step that is looked at."""
        if self.look.at is None:
            return self.story.it_per_second
        seconds = self.curves.value_at("step_seconds", self.look.at)
        return 1 / seconds if seconds is not None and seconds > 0 and math.isfinite(seconds) else None

    @property
    def newest(self) -> int:
        """The step that the run has come to; while its events are still being read, the status knows better."""
        ending = self.story.ending
        if ending is not None and ending.step and ending.reason in ("completed", "stopped", "stopped_now"):
            return ending.step  # values of a step after it may have come; it was not kept
        told = self.status.step if self.status is not None and not self.story.complete else 0
        return max(self.story.step, told)

    @property
    def total(self) -> int:
        """Steps of the whole run."""
        told = self.status.total_steps if self.status is not None else 0
        return max(self.story.total_steps or told, self.newest)

    @property
    def eta(self) -> float | None:
        """Seconds that are left, the same number that lists and the line on top have; none while it is paused."""
        if not self.alive or self.status is None or self.state == "paused" or self.newest >= self.total:
            return None
        return self.status.eta

    @property
    def took(self) -> float | None:
        """Seconds that the run has taken; of one that is over what lay between its lives does not count."""
        if not self.alive and self.status is not None and self.status.took is not None:
            return self.status.took
        first, last = self.story.first_time, self.story.last_time
        return last - first if first is not None and last is not None else None

    @property
    def epochs(self) -> tuple[int, int]:
        """The epoch that the run is in, and how many there are."""
        status, info = self.status, self.story.info
        epoch = self.story.epoch or (status.epoch if status else 0)
        return epoch, (info.epochs if info else 0) or (status.epochs if status else 0)


def run_line(seen: Seen, width: int) -> Line:
    """Which run, what it is at, and how far it is."""
    story, status = seen.story, seen.status
    mark = MARK_OF_STATE.get(seen.state, "todo")
    name = _("run {number}").format(number=status.number) if status is not None and status.number else ""
    total, (epoch_now, epochs) = seen.total, seen.epochs
    digits = len(count(total))
    step = _("step {step} of {total}").format(step=f"{count(seen.newest):>{digits}}", total=count(total))
    share = f"{percent(seen.newest, total or 1):>4}"
    epoch = _("epoch {epoch}/{epochs}").format(epoch=f"{epoch_now:>{len(str(epochs))}}", epochs=epochs)
    right = f"{step}  {share}  {epoch}" if total else ""  # a trainer that still loads has not said how many
    room = width - cell_len(right) - 1
    left = [
        Cell(getattr(seen.marks, mark) + " ", TONE_OF_MARK.get(mark, "")),
        Cell(name, "strong"),
        Cell("  " + activity(seen)),
    ]
    used = sum(cell_len(cell.text) for cell in left) + 2
    left.append(Cell("  " + name_within(story.run, room - used), "muted"))
    return (*_fitted(left, room, seen.marks.ellipsis), Cell(" "), Cell(right))


def activity(seen: Seen) -> str:
    """What the run is at: its phase while it lives, else its state."""
    phase, status = seen.story.phase, seen.status
    if status is not None and awaits_turn(status) and status.sent is not None:
        return plain(status.sent.words)
    if not seen.alive or phase is None or seen.state == "paused":
        return state_words(seen.state)
    words = {
        "fetching": _("fetching"),
        "loading": _("loading"),
        "caching": _("caching"),
        "training": _("training"),
        "sampling": _("drawing samples"),
        "validating": _("validating"),
        "saving": _("saving"),
        "measuring": _("measuring images"),
    }
    text = words.get(phase.name, plain(phase.name))
    if seen.state == "orphaned" and phase.name == "training":
        return state_words(seen.state)  # nobody watches it, and nothing comes after its end
    if phase.total and phase.name == "sampling":  # its count is of the sampler's steps: the trainer says of which
        return plain(phase.detail, limit=60) or text
    if phase.total and phase.name != "training":
        text += f" {count(phase.done)}/{count(phase.total)}" + (" MB" if phase.name == "fetching" else "")
    return text


def bar_line(seen: Seen, width: int) -> Line:
    """The share of the steps that is done, as a bar, and the time that is left; of an ended run when it was."""
    story = seen.story
    if not seen.alive and story.first_time is not None and story.last_time is not None:
        return _when(seen, story.first_time, story.last_time, width)
    share = _share(seen.newest, seen.total)
    eta, phase = seen.eta, story.phase
    if seen.alive and not seen.newest and phase is not None and phase.total:
        share, text = _share(phase.done, phase.total), f"{count(phase.done)}/{count(phase.total)}"
        if phase.name == "sampling":
            text = percent(phase.done, phase.total)
    elif eta is not None:
        text = _("ETA {time}").format(time=duration(eta))
    else:
        text = ""
    tone = "running" if seen.alive else "muted"
    second = _second_bar(seen) if width >= SECOND_FROM and seen.newest else ()
    room = max(width - ETA_WIDTH - sum(cell_len(cell.text) for cell in second), 4)
    return (*meter(share, room, seen.marks, tone), *second, Cell(f"{fit(text, ETA_WIDTH, align='right')}"))


def _second_bar(seen: Seen) -> Line:
    """How far the phase is that is not training, or else the epoch, in a small bar of its own."""
    phase, info = seen.story.phase, seen.story.info
    if not seen.alive:
        return ()
    if phase is not None and phase.total and phase.name not in ("training", "paused"):
        words, share = _PHASE_WORDS.get(phase.name, "…"), _share(phase.done, phase.total)
    elif info is not None and info.steps_per_epoch and info.epochs > 1:
        done = seen.newest % info.steps_per_epoch
        words, share = N_("epoch"), _share(done, info.steps_per_epoch)
    else:
        return ()
    bar = meter(share, SECOND_BAR, seen.marks, "accent")
    end = Cell("|" if seen.marks.rule == "-" else "▏", "muted")
    return Cell(f"  {fit(_(words), SECOND_WORDS, align='right')} ", "muted"), *bar, end


def _when(seen: Seen, first: float, last: float, width: int) -> Line:
    day, other = clock(first, "%Y-%m-%d"), clock(last, "%Y-%m-%d")
    end = clock(last, "%H:%M" if day == other else "%Y-%m-%d %H:%M")
    words = _("{begin} to {end}").format(begin=f"{day} {clock(first, '%H:%M')}".strip(), end=end) if day else ""
    took = _("took {time}").format(time=duration(last - first if seen.took is None else seen.took))
    room = max(width - cell_len(took), 0)
    return Cell("  " + fit(words, room - 2, ellipsis=seen.marks.ellipsis), "muted"), Cell(took, "muted")


def meter(share: float, width: int, marks: Marks, tone: str) -> tuple[Cell, Cell]:
    """A bar of ``width`` cells, filled by eighths of a cell (whole cells in ASCII)."""
    share = min(max(share, 0.0), 1.0) if math.isfinite(share) else 0.0
    if marks.rule == "-":
        full = round(share * width)
        return Cell("#" * full, tone), Cell("." * (width - full), "muted")
    eighths = int(share * width * 8)
    full, rest = divmod(eighths, 8)
    part = _EIGHTHS[rest] if rest and full < width else ""
    return Cell("█" * full + part, tone), Cell(" " * (width - full - len(part)))


def chart_line(seen: Seen, width: int, *, clipped: bool) -> Line:
    """What the chart shows and how; with the cursor on a step, the values there."""
    look, story = seen.look, seen.story
    first, last = seen.curves.view(look)
    cells = [Cell(f"{look.title}  ", "muted")]
    if look.at is not None:
        cells.append(Cell(f"@{count(round(look.at))}  ", "accent"))
        if not several(look.name):  # their values stand beside their names
            value = seen.curves.value_at(look.name, look.at)
            cells.append(Cell(value_text(None if value is None else value * SCALES.get(look.name, 1.0))))
        if look.name == "loss" and look.weight:
            cells.append(Cell(_("  smooth {value}").format(value=smooth_text(seen))))
    else:
        if look.name == "loss":
            shown = f"{look.weight:g}".lstrip("0") if look.weight else _("off")
            cells.append(Cell(_("smooth {weight}").format(weight=fit(shown, 4)), "muted"))
        cells.append(Cell(_("  log axis") if look.log else "", "muted"))
    if look.name == "lr.unet":
        room = width - sum(cell_len(cell.text) for cell in cells) - 2
        long, short = rate_legend(seen), rate_legend(seen, short=True)
        cells += [Cell(f"  {text}", "muted") for text in (long if cell_len(long) <= room else short,) if text]
    zoom = _("  zoom {level}").format(level=f"1/{2**look.zoom}") if look.zoom else ""
    cells.append(Cell(zoom, "muted"))
    if look.at is not None and (found := seen.curves.happened(look.at, max((last - first) / 100, 0.5))):
        cells.append(Cell("  " + ", ".join(found), "accent"))
    following = look.at is None and look.pan is None and seen.alive
    cells.append(Cell("  " + (_("follow") if following else ""), "muted"))
    room = width - sum(cell_len(cell.text) for cell in cells)
    told = _legend(seen)
    if sum(cell_len(cell.text) for cell in told) > room:
        told = _legend(seen, short=True)
    cells += told
    if not story.complete:
        cells.append(Cell(_("  reading {share}").format(share=f"{story.read_share:4.0%}"), "warning"))
    peaks = _("  highest peaks not shown") if clipped else ""
    if sum(cell_len(cell.text) for cell in cells) + cell_len(peaks) <= width:  # half of it says nothing
        cells.append(Cell(peaks, "muted"))
    return _fitted(cells, width, seen.marks.ellipsis)


def _legend(seen: Seen, *, short: bool = False) -> list[Cell]:
    """Which line is which, each in its colour: ranges of noise, parts of the model, other runs; values if not short."""
    curves, look = seen.curves, seen.look
    cells: list[Cell] = []
    if several(look.name):
        for role, name in curves.parts_of(look.name):
            measured = curves.value_at(name, seen.step)
            told = value_text(None if measured is None else measured * SCALES.get(look.name, 1.0)).strip()
            words = _series_words(look.name, name)
            cells.append(Cell(f" {words}" if short else f"  {words} {told}", role))
    for role, other in zip(OTHER_ROLES, curves.others, strict=False):
        value = value_text(curves.value_of(other, look, seen.step)).strip()
        name = plain(other.name, limit=16)
        cells.append(Cell(f"  {name}" if short else f"  {name} {value}", role))
    return cells


def _series_words(metric: str, name: str) -> str:
    """Which of the series of a metric it is."""
    if metric == "levels":
        return level_words(int(name[-1]))
    return _("GPU {number}").format(number=card_of(name)) if metric in CARD else _part_words(name.partition(".")[2])


def level_words(number: int) -> str:
    """A range of noise levels in percent: the first has the least noise."""
    return ("0-25%", "25-50", "50-75", "75-100")[number]


def _part_words(part: str) -> str:
    return {"unet": _("image model"), "text_encoder": _("text encoder")}.get(part, plain(part, limit=16))


def rate_legend(seen: Seen, *, short: bool = False) -> str:
    """Which of the two lines of the learning rate is which, by the values that they have; empty for one line."""
    image, words = (seen.curves.value_at(f"lr.{name}", seen.step) for name in ("unet", "text_encoder"))
    if words is None:
        return ""
    told = _("{image}, te {text}") if short else _("image model {image}, text encoder {text}")
    return told.format(image=rate_text(image), text=rate_text(words))


def ending_lines(seen: Seen, resume_key: str, width: int) -> list[Line]:
    """How the run ended and what to do now; empty while it lives."""
    if seen.alive or seen.state in ("waiting", "starting"):
        return []
    ending = seen.story.ending or _from_status(seen)
    if ending is None:
        return []
    resume = ""
    if seen.status is not None and seen.status.can_resume:
        states = seen.story.states
        step = count(states[-1].step) if states else "0"
        resume = _("{key} resumes it from step {step}.").format(key=resume_key, step=step)
    at = _("at step {step}").format(step=count(ending.step))
    if ending.reason == "completed":
        file = _name(seen, ending)
        return [(Cell(f"{seen.marks.done} ", "success"), Cell(_("finished {at}").format(at=at)), Cell(file, "strong"))]
    # the event tells what helps a run whose folder is whole; the status has looked at it
    advice = seen.status.advice if seen.status is not None and not seen.status.alive else ending.advice
    if ending.reason in ("stopped", "stopped_now"):
        resume = resume or plain(advice)
        words = _("stopped {at}").format(at=at) + _name(seen, ending) + ". "
        if cell_len(words) + cell_len(resume) > width:
            return [(Cell(words, "strong"),), (Cell("  " + resume),)]
        return [(Cell(words, "strong"), Cell(resume))]
    head = _("died {at}: ") if ending.reason == "died" else _("failed {at}: ")
    said = plain(ending.message) or _("it did not say why.")
    lines: list[Line] = [
        (Cell(f"{seen.marks.failed} ", "error"), Cell(head.format(at=at), "error"), Cell(said, "strong"))
    ]
    remedy = " ".join(part for part in (plain(advice), resume) if part)
    told = wrap(remedy, width - 2, 2, ellipsis=seen.marks.ellipsis) if remedy else []
    return [*lines, *((Cell("  " + line),) for line in told)]


def epoch_text(sample: Sample) -> str:
    """The epoch that a sample belongs to; what was drawn before the first step belongs to none."""
    return _("epoch {n}").format(n=sample.epoch) if sample.step else _("start")


def _name(seen: Seen, ending: Ending) -> str:
    path = ending.path or (seen.story.checkpoints[-1].path if seen.story.checkpoints else None)
    if path is None:
        return ""
    try:
        shown = path.relative_to(seen.story.run.root)
    except ValueError:
        shown = path
    return ": " + plain(str(shown))


def _from_status(seen: Seen) -> Ending | None:
    """The ending as the files beside the events tell it: a trainer that died without a word."""
    status = seen.status
    if status is None or status.alive:
        return None
    reason = {"finished": "completed"}.get(status.state, status.state)
    return Ending(reason, seen.newest, status.ended or 0.0, status.code, status.message, status.advice)


def value_text(value: float | None) -> str:
    """A measured value in six cells."""
    return f"{number(value):>6}"


def smooth_text(seen: Seen) -> str:
    weight = seen.look.weight or 0.99
    return value_text(seen.curves.smoothed_at("loss", weight, seen.step))


def _share(done: float, total: float) -> float:
    """How much is done, 0 to 1, whatever the numbers are."""
    try:
        share = done / total
    except (ZeroDivisionError, OverflowError):
        return 0.0
    return min(max(share, 0.0), 1.0)


def _fitted(cells: list[Cell], width: int, ellipsis: str) -> Line:
    """The cells in exactly ``width``, the end cut or padded."""
    found: list[Cell] = []
    left = max(width, 0)
    for text, tone in cells:
        size = cell_len(text)
        if size > left:
            found.append(Cell(fit(text, left, ellipsis=ellipsis), tone))
            left = 0
            break
        found.append(Cell(text, tone))
        left -= size
    return (*found, Cell(" " * left))
