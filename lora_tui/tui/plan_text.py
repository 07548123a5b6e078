"""The plan of a run in a few lines: steps, time, files, memory, money; and what a check found, in one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from rich.cells import cell_len

from lora_tui.config.findings import Finding
from lora_tui.config.plan import RunPlan
from lora_tui.jobs.resources import device_memory
from lora_tui.text import _, bytes_text, count, duration, ngettext, plain
from lora_tui.tui.cells import Cell, fit, flow, wrap
from lora_tui.tui.marks import Marks
from lora_tui.tui.road import gravity_words
from lora_tui.tui.wording import sentences
from lora_tui.tui.workspace import Workspace

LEAD = 6
"""Cells of the word PLAN and the space after it; the lines below are as far in."""

LARGE_TEXTS = 100_000_000
"""Bytes of kept text embeddings that are worth a word."""

Line = tuple[Cell, ...]


@dataclass(frozen=True)
class Room:
    """What there is for a run: bytes free on the disk of its folder, and memory of its device; none: not known."""

    disk: int | None = None
    memory: int | None = None


@cache
def memory_of(device: str) -> int | None:
    """The memory of a device, looked at once: it does not change while the app is open."""
    return device_memory(device)


def plan_lines(
    workspace: Workspace, width: int, height: int, *, room: Room | None = None, ellipsis: str = "…"
) -> list[Line]:
    """The plan in at most ``height`` lines of ``width`` cells, the steps first; or what stands in its way.

    What does not fit into them is left out whole, the parts of the memory first; what a run lacks is not.
    """
    planned = workspace.planned
    plan = planned.plan if planned else None
    if plan is None:
        return [_led(wrap(why_not(workspace), width - LEAD, 2, ellipsis=ellipsis)[0], "muted")]
    steps = wrap(plan.arithmetic, width - LEAD, 2 if height > 2 else 1, ellipsis=ellipsis)
    lines = [_led(steps[0], "strong"), *(_indented(text, "strong") for text in steps[1:])]
    told = sorted(_told(plan, workspace, room or Room()), key=lambda cell: cell.tone != "warning")
    left = height - len(lines)
    flowed = _flow(told, width - LEAD)
    while len(flowed) > left:
        told.pop()
        flowed = _flow(told, width - LEAD)
    memory = _flow(_memory_parts(plan), width - LEAD)
    flowed += memory if len(flowed) + len(memory) <= left else []
    return [*lines, *((Cell(" " * LEAD), *cells) for cells in flowed)]


def plan_reading(workspace: Workspace, room: Room) -> list[str]:
    """All of the plan, nothing cut, a line each."""
    plan = workspace.plan
    if plan is None:
        return [_("The plan"), f"  {why_not(workspace)}"]
    memory = "  ".join(cell.text for cell in _memory_parts(plan))
    told = [cell.text for cell in _told(plan, workspace, room)]
    lines = [_("The plan"), *(f"  {text}" for text in (plan.arithmetic, *told, memory))]
    advice = advice_of(workspace.planned.findings) if workspace.planned else []
    if advice:
        lines += ["", _("Advice"), *(f"  {plain(sentences(one.message, one.remedy))}" for one in advice)]
    return lines


def advice_of(findings: Sequence[Finding]) -> list[Finding]:
    """What experience says of a run, as told from what a check finds wrong."""
    return [finding for finding in findings if finding.code.startswith("advice.")]


def _flow(parts: Sequence[Cell], width: int) -> list[list[Cell]]:
    """Lines of at most ``width`` cells with as many whole parts each as fit."""
    lines: list[list[Cell]] = []
    used = 0
    for part in parts:
        size = cell_len(part.text)
        if lines and used + 2 + size <= width:
            lines[-1] += [Cell("  "), part]
            used += 2 + size
        else:
            lines.append([part])
            used = size
    return lines


def _told(plan: RunPlan, workspace: Workspace, room: Room) -> list[Cell]:
    """Time, files, disk, memory, money, samples: what is wanted first comes first."""
    money = _money(plan, workspace)
    parts = [Cell(text) for text in _time_and_files(plan)]
    parts.append(_needed(_("disk {size}"), _("{needed} of {free}"), plan.disk_total, room.disk))
    parts.append(_needed(_("memory {size}"), _("{needed} of {there}"), plan.memory_total, room.memory))
    if money:
        parts.append(Cell(money))
    if plan.prompts:
        parts.append(Cell(_("samples {count}").format(count=count(plan.samples))))
    if (texts := plan.disk_bytes.get("texts", 0)) >= LARGE_TEXTS:
        parts.append(Cell(_("text embeddings {size}").format(size=bytes_text(texts))))
    return parts


def _needed(words: str, share: str, needed: int, there: int | None) -> Cell:
    """How much is needed of what there is, with a warning where it does not fit."""
    size = bytes_text(needed)
    if there is None:
        return Cell(words.format(size=size))
    text = words.format(size=share.format(needed=size, free=bytes_text(there), there=bytes_text(there)))
    return Cell(_("{room}: does not fit").format(room=text), "warning") if needed > there else Cell(text)


def bucket_lines(plan: RunPlan) -> list[Line]:
    """The sizes in use with their images and batches, largest groups first."""
    lines: list[Line] = [(Cell(_("BUCKETS"), "muted"),)]
    for bucket in sorted(plan.buckets, key=lambda bucket: -bucket.images):
        size = f"{bucket.width}x{bucket.height}"
        images = ngettext("{count} image", "{count} images", bucket.images).format(count=count(bucket.images))
        batches = ngettext("{count} batch", "{count} batches", bucket.batches).format(count=count(bucket.batches))
        lines.append(
            (Cell(f"{size:>9}  {fit(images, 12, align='right')}  "), Cell(fit(batches, 12, align="right"), "muted"))
        )
    return lines


def moment_lines(plan: RunPlan) -> list[Line]:
    """When the run saves, draws, validates and writes its state."""
    moments = (
        (_("LoRA files"), plan.checkpoints),
        (_("samples"), plan.sample_steps if plan.prompts else ()),
        (_("validation"), plan.validation_steps),
        (_("states"), plan.state_steps),
    )
    lines: list[Line] = [(Cell(_("AT STEP"), "muted"),)]
    for name, steps in moments:
        lines.append((Cell(fit(name, 12), "muted"), Cell(_steps_text(steps))))
    return lines


def finding_line(findings: Sequence[Finding], key: str, marks: Marks, all_key: str) -> Line:
    """How many errors and warnings there are, the first of them, and the key that goes to it; else the first advice.

    ``all_key`` shows all that is said.
    """
    serious = [finding for finding in findings if finding.severity != "note"]
    advice = advice_of(findings)
    if not serious and advice:
        head = Cell(f"{marks.of_severity('note')} {_('advice')} ", "accent")
        return (head, Cell(f"({all_key})  ", "muted"), Cell(plain(sentences(advice[0].message, advice[0].remedy))))
    if not serious:
        return (Cell(_("nothing speaks against this run"), "success"),) if findings is not None else ()
    errors = sum(finding.severity == "error" for finding in serious)
    warnings = len(serious) - errors
    heads = gravity_words(errors, warnings, 0)
    first = serious[0]
    tone = "error" if errors else "warning"
    words = plain(sentences(first.message, first.remedy))
    sign = marks.of_severity("error" if errors else "warning")
    keys = _("({key} next, {all_key} all)").format(key=key, all_key=all_key)
    return (Cell(f"{sign} {_(', ').join(heads)} ", tone), Cell(f"{keys}  ", "muted"), Cell(words))


def start_question(plan: RunPlan, workspace: Workspace, room: Room | None = None) -> tuple[str, str]:
    """What to ask before a run starts: the question, and what it will cost."""
    steps = ngettext("{count} step", "{count} steps", plan.total_steps).format(count=count(plan.total_steps))
    told = [cell.text for cell in _told(plan, workspace, room or Room())]
    details = [plan.arithmetic, *flow(told, 66), *flow([cell.text for cell in _memory_parts(plan)], 66)]
    details += [
        wrap(plain(finding.message), 66, 2)[0]
        for finding in (workspace.planned.findings if workspace.planned else ())
        if finding.code == "datasets.problems"
    ]
    return _("Start a training of {steps}?").format(steps=steps), "\n".join(details)


def _led(text: str, tone: str = "") -> Line:
    return (Cell(fit(_("PLAN"), LEAD), "muted"), Cell(text, tone))


def _indented(text: str, tone: str = "") -> Line:
    return (Cell(" " * LEAD), Cell(text, tone))


def why_not(workspace: Workspace) -> str:
    """Why there is no plan, or not yet."""
    planned = workspace.planned
    if planned is not None and planned.error is not None:
        return plain(str(planned.error))
    if workspace.scanned > 0:
        return _("reading images: {count} so far").format(count=count(workspace.scanned))
    if workspace.scanned == 0:
        return _("reading images")
    if workspace.config is not None and not workspace.config.datasets:
        return _("no dataset yet: add a folder of images under Dataset")
    if workspace.images is not None and not workspace.images.scan.images:
        return _("no images in the dataset folders yet")
    return _("the steps follow from the images; none could be read") if planned else _("planning")


def _time_and_files(plan: RunPlan) -> list[str]:
    if plan.seconds is None or not plan.step_seconds:
        parts = [_("time: the first run here will tell")]
    else:
        pace = f"{1 / plan.step_seconds:.2f} it/s"
        source = f", {plain(plan.source, limit=24)}" if plan.source else ""
        told = _("time roughly {time}") if plan.rough else _("time about {time}")
        parts = [told.format(time=duration(plan.seconds)) + f" ({pace}{source})"]
    saves = ngettext("{count} LoRA file of {size}", "{count} LoRA files of {size}", len(plan.checkpoints))
    return [*parts, saves.format(count=count(len(plan.checkpoints)), size=bytes_text(plan.lora_bytes))]


def _memory_parts(plan: RunPlan) -> list[Cell]:
    """What the memory is for; what is trained (values, gradients, averages) as one."""
    parts = dict(plan.memory_bytes)
    trained = sum(parts.pop(name, 0) for name in ("adapter", "gradients", "optimizer"))
    names = {"process": _("torch itself"), "weights": _("weights"), "activations": _("activations")}
    said = [(names.get(name, name), size) for name, size in parts.items()]
    said.append((_("adapter and optimizer"), trained))
    return [Cell(_("memory for"), "muted"), *(Cell(f"{name} {bytes_text(size)}") for name, size in said)]


def _money(plan: RunPlan, workspace: Workspace) -> str:
    project = workspace.project
    if plan.cost is None or project is None:
        return ""
    price = f"{float(project.price_per_hour):.2f} {plain(project.currency)}".strip()
    return _("cost about {cost} at {price} an hour").format(cost=f"{plan.cost:.2f}", price=price)


def _steps_text(steps: Sequence[int]) -> str:
    if not steps:
        return _("never")
    if len(steps) <= 4:
        return ", ".join(count(step) for step in steps)
    return f"{', '.join(count(step) for step in steps[:2])} .. {count(steps[-1])} ({count(len(steps))})"
