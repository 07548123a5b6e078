"""The road from pictures to a LoRA as one look at the workspace: each step's mark, and one line about it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len

from lora_tui.runs.settings_text import adapter_parts
from lora_tui.text import _, count, duration, ngettext, number, percent, plain
from lora_tui.tui.cells import Cell
from lora_tui.tui.marks import UNICODE, Marks
from lora_tui.tui.outside import foreign_folder
from lora_tui.tui.screens import SCREENS
from lora_tui.tui.workspace import Workspace

if TYPE_CHECKING:
    from lora_tui.runs.folder import RunFolder
    from lora_tui.runs.status import RunStatus

_STAMP = re.compile(r"\A\d{8}-\d{6}-(?=.)")


@dataclass(frozen=True)
class Step:
    """One step of the road.

    Attributes:
        screen: name of its screen.
        mark: a field of :class:`Marks`: ``done``, ``needs``, ``todo``, ``running``, ``empty``, ``failed``, ``paused``.
        text: what is so, or what belongs there.
    """

    screen: str
    mark: str
    text: str

    @property
    def tone(self) -> str:
        """The tone of the mark."""
        return TONE_OF_MARK.get(self.mark, "")


TONE_OF_MARK = {
    "done": "success",
    "needs": "warning",
    "todo": "muted",
    "running": "running",
    "empty": "warning",
    "failed": "error",
    "paused": "warning",
}

MARK_OF_STATE = {
    "waiting": "paused",
    "starting": "running",
    "running": "running",
    "paused": "paused",
    "orphaned": "running",
    "stopped": "todo",
    "finished": "done",
    "failed": "failed",
    "died": "failed",
}


def run_state(status: RunStatus) -> str:
    """The state of a run as a person reads it; of one that waits in Slurm also why."""
    from lora_tui.runs.status import state_words as words

    return words(status)


def state_words(state: str) -> str:
    """The state of a run in the current language."""
    from lora_tui.runs.status import STATES  # loaded already wherever there is a run to speak of

    return _(STATES[state]) if state in STATES else plain(state)


def name_within(run: RunFolder, width: int) -> str:
    """The name of a run's folder; without the time of its start, which is said elsewhere, where it is too long."""
    name = plain(run.name)
    return name if cell_len(name) <= width else _STAMP.sub("", name)


def dataset_step(workspace: Workspace) -> Step:
    """How the dataset stands."""
    if workspace.images is None:
        if workspace.scanned > 0:
            return Step("dataset", "todo", _("reading images: {count} so far").format(count=count(workspace.scanned)))
        if workspace.project is None and workspace.trouble:
            return Step("dataset", "failed", _("the project cannot be read"))
        if workspace.scanned == 0 or workspace.project is None:
            return Step("dataset", "todo", _("reading images"))
        return Step("dataset", "needs", _("no images could be read"))
    tally = workspace.images.tally
    if not tally.images:
        return Step("dataset", "empty", _("no images yet: put pictures and captions into a folder"))
    images = ngettext("{count} image", "{count} images", tally.images).format(count=count(tally.images))
    folders = ngettext("{count} folder", "{count} folders", tally.folders).format(count=count(tally.folders))
    parts = [images if tally.folders == 1 else _("{images} in {folders}").format(images=images, folders=folders)]
    if foreign := foreign_folder(workspace):
        parts[0] = _("{images} from {folder}").format(images=parts[0], folder=plain(foreign, limit=60))
    low, high = tally.least_repeats, tally.most_repeats
    if (low, high) != (1, 1):
        parts.append(_("repeats {number}").format(number=low if low == high else f"{low}-{high}"))
    if tally.bare:
        parts.append(_("{count} without a caption").format(count=count(tally.bare)))
    parts += gravity_words(tally.errors, tally.warnings, 0)
    return Step("dataset", "needs" if tally.errors or tally.bare else "done", _(", ").join(parts))


def gravity_words(errors: int, warnings: int, notes: int) -> list[str]:
    """How many problems of each gravity there are, those that are none left out: the same words everywhere."""
    found = []
    if errors:
        found.append(ngettext("{count} error", "{count} errors", errors).format(count=count(errors)))
    if warnings:
        found.append(ngettext("{count} warning", "{count} warnings", warnings).format(count=count(warnings)))
    if notes:
        found.append(ngettext("{count} note", "{count} notes", notes).format(count=count(notes)))
    return found


def tags_step(workspace: Workspace) -> Step:
    """How the captions stand."""
    if workspace.images is None or not workspace.images.tally.images:
        return Step("tags", "todo", "")
    tally = workspace.images.tally
    if tally.bare:
        text = ngettext("{count} image without a caption", "{count} images without a caption", tally.bare)
        return Step("tags", "needs", text.format(count=count(tally.bare)))
    return Step("tags", "done", _("every image has a caption"))


def parameters_step(workspace: Workspace, marks: Marks = UNICODE) -> Step:
    """How the configuration stands."""
    dot = f" {marks.dot} "
    config = workspace.config
    if config is None:
        return Step("parameters", "todo", "")
    changed = [_("* not saved")] if workspace.config_changed else []
    head = [
        *changed,
        config.model.family,
        " ".join(adapter_parts(config.network.model_dump())[:2]),
        f"{config.data.resolution} px",
    ]
    planned = workspace.planned
    errors = [finding for finding in planned.findings if finding.severity == "error"] if planned else []
    plan = workspace.plan
    if plan is not None:
        tail = ngettext("{count} epoch", "{count} epochs", plan.epochs).format(count=count(plan.epochs))
        tail += " = " + ngettext("{count} step", "{count} steps", plan.total_steps).format(
            count=count(plan.total_steps)
        )
        if plan.seconds is not None:
            tail += _(", ") + duration(plan.seconds)
        head.append(tail)
    if errors:
        return Step("parameters", "needs", dot.join((*changed, plain(errors[0].message))))
    if planned is not None and planned.error is not None:
        return Step("parameters", "needs", dot.join((*changed, plain(planned.error.message))))
    return Step("parameters", "done" if plan is not None else "todo", dot.join(head))


def training_step(workspace: Workspace) -> Step:
    """How training stands: the living run, else the newest."""
    living = workspace.living
    if living is not None:
        return Step("training", MARK_OF_STATE[living.state], run_line(living))
    if workspace.runs is None:
        return Step("training", "todo", _("reading the runs"))
    if not workspace.runs:
        return Step("training", "todo", _("no run yet"))
    newest = workspace.runs[0]
    return Step("training", MARK_OF_STATE.get(newest.state, "todo"), run_line(newest))


def run_line(status: RunStatus) -> str:
    """One line about a run: where it is and its loss."""
    text = _("run {number} {state}").format(number=status.number, state=run_state(status))
    if status.step:
        text += _(", ") + _("step {step} of {total}").format(
            step=count(status.step), total=count(max(status.total_steps, status.step))
        )
    if status.loss is not None:
        text += _(", ") + _("loss {loss}").format(loss=number(status.loss))
    return text


def header_run(status: RunStatus | None, marks: Marks) -> tuple[tuple[Cell, ...], ...]:
    """The living run for the top line, longest form first."""
    if status is None:
        return ()
    mark = getattr(marks, MARK_OF_STATE.get(status.state, "running"))
    lead = Cell(f"{mark} ", "running")
    name = _("run {number}").format(number=status.number)
    share = f"{percent(status.step, status.total_steps):>4}" if status.total_steps else ""
    words = share or state_words(status.state)
    eta = duration(status.eta) if status.eta is not None else ""
    forms: list[tuple[Cell, ...]] = []
    if eta:
        forms.append((lead, Cell(f"{name} {words}  "), Cell(_("ETA {time}").format(time=eta), "muted")))
        forms.append((lead, Cell(f"{words} "), Cell(eta.split()[0], "muted")))
    forms.append((lead, Cell(f"{name} {words}")))
    forms.append((lead, Cell(words)))
    return tuple(forms)


def road_cells(
    workspace: Workspace, marks: Marks, here: str, key_of: Callable[[str], str]
) -> tuple[tuple[Cell, ...], ...]:
    """The road for the top line: each screen's mark and short name, with its key where there is room for keys.

    ``here`` is the screen in view, ``key_of`` gives the key of an action as a person reads it. Longest form first: with
    the way to the start, without it, the road alone with its keys, and without any key. The screen in view is in each,
    also where it is none of the road.
    """
    long: list[Cell] = []
    road: list[Cell] = []
    short: list[Cell] = []
    start: list[Cell] = []
    for entry in SCREENS:
        key = key_of(entry.action.id)
        name = Cell(_(entry.road or entry.title), "strong" if entry.name == here else "muted")
        step = step_of(entry.name, workspace) if entry.road else None
        mark = [Cell(getattr(marks, step.mark), step.tone)] if step is not None else []
        if entry.name == "home":
            start = [Cell("  "), Cell(f"{key} ", "accent"), name] if key else []
        elif key and (entry.name == here or not entry.machine):
            long += [Cell("  " if long else ""), Cell(f"{key} ", "accent"), *mark, name]
        if mark or (entry.name == here and entry.name != "home"):
            road += [Cell("  " if road else ""), Cell(f"{key} " if key else "", "accent"), *mark, name]
            short += [Cell(" " if short else ""), *mark, name]
    return (*long, *start), tuple(long), tuple(road), tuple(short)


def step_of(screen: str, workspace: Workspace, marks: Marks = UNICODE) -> Step:
    """How the step of a screen stands."""
    if screen == "parameters":
        return parameters_step(workspace, marks)
    return {"dataset": dataset_step, "tags": tags_step, "training": training_step}[screen](workspace)
