"""The numbers beside the chart: what the run learns, what the machine does, what is saved, what it costs."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from typing import Any

from lora_tui.jobs.events import as_count, as_number
from lora_tui.runs.gpu_memory import GpuMemory, gpu_memory_in
from lora_tui.runs.machine_series import cards_in
from lora_tui.text import _, bytes_text, count, duration, plain, rate_text
from lora_tui.tui.cells import Cell, fit
from lora_tui.tui.run_text import Line, Seen, meter, smooth_text, value_text

SHARED_FROM = 0.05
"""Share of a card's memory from which on what others hold of it is worth a line; a desktop holds less."""
DRIFT_FROM = 0.1
"""Share by which the last steps take longer or shorter than those before them before that is said."""
_DRIFT_STEPS = 40


def fact_lines(seen: Seen, width: int, height: int) -> list[Line]:
    """The numbers beside the chart, the most important first."""
    saved = _saved(seen)
    facts = [*_learning(seen), *_machine(seen, width)]
    # At the height of a small terminal, where the files are matters more than the last facts of the machine.
    return [*facts[: max(height - 1, 0)], *saved][:height]


def _learning(seen: Seen) -> list[Line]:
    curves, step = seen.curves, seen.step
    text_rate = curves.value_at("lr.text_encoder", step)
    best = curves.best("validation")
    validation = curves.value_at("validation", step)
    pace = seen.pace
    return [
        _fact(
            _("loss"), value_text(curves.value_at("loss", step)), _("smooth {value}").format(value=smooth_text(seen))
        ),
        _fact(_("val"), value_text(validation), _("best @{step}").format(step=count(best[0])) if best else ""),
        _fact(
            "it/s",
            f"{pace:6.2f}" if pace is not None and pace < 1000 else value_text(pace),
            _drift(seen) or _per_image(seen),
        ),
        _fact("lr", rate_text(curves.value_at("lr.unet", step)), _beside_rate(text_rate, curves.value_at("d", step))),
        _fact(_("grad"), value_text(curves.value_at("grad_norm", step)), _weights(seen)),
    ]


def _beside_rate(text: float | None, found: float | None) -> str:
    """The rate of the text encoder, and the step size that an optimizer has found by itself."""
    told = [_("te {rate}").format(rate=rate_text(text))] if text is not None else []
    return "  ".join([*told, *([f"d {rate_text(found)}"] if found is not None else [])])


def _weights(seen: Seen) -> str:
    """The norm of all trained weights together."""
    known = [seen.curves.value_at(name, seen.step) for name in seen.curves.names_of("weights")]
    norms = [norm for norm in known if norm is not None]
    return _("weights {norm}").format(norm=value_text(math.hypot(*norms)).strip()) if norms else ""


def _drift(seen: Seen) -> str:
    """That the last steps take longer or shorter than those before them did; empty while they do not."""
    series, now = seen.story.series.get("step_seconds"), seen.story.step_seconds
    if series is None or now is None or seen.look.at is not None or len(series) < 2 * _DRIFT_STEPS:
        return ""
    usual = statistics.median(series.last[-512:-_DRIFT_STEPS])
    if not usual > 0 or abs(now / usual - 1) < DRIFT_FROM:
        return ""
    share = f"{abs(now / usual - 1):.0%}"
    return _("{share} slower").format(share=share) if now > usual else _("{share} faster").format(share=share)


def _per_image(seen: Seen) -> str:
    pace, batch = seen.pace, seen.curves.images_per_step()
    images = pace * batch if pace is not None else math.nan
    return _("{number} images/s").format(number=f"{images:.1f}") if batch and math.isfinite(images) else ""


def _machine(seen: Seen, width: int) -> list[Line]:
    resources = seen.story.resources
    lines: list[Line] = []
    own: list[Line] = []
    shares = {share.index: share for share in gpu_memory_in(resources)}
    for gpu in cards_in(resources):
        told, share = _gpu(gpu, seen, width), shares.get(as_count(gpu.get("index")))
        if share is not None and _shared(gpu, share):
            told.insert(1, _own_memory(share))  # beside others on the card it is the number that matters
        elif share is not None:
            own.append(_own_memory(share))  # alone it is nearly that of the card
        lines += told
    if not lines:
        used, total = _number(resources, "ram_used"), _number(resources, "ram_total")
        lines += _memory(_("RAM used"), used, total, seen, width)
        cpu = _number(resources, "cpu_percent")
        if cpu is not None:
            lines.append(_fact("CPU", f"{cpu:5.0f}%", ""))
    wait = seen.story.data_wait
    if wait is not None:
        lines.append(_fact(_("data wait"), f"{wait:6.0%}", _("of a step")))
    return [*lines, *own, *_cost(seen), *_torch_memory(seen)]


def _cost(seen: Seen) -> list[Line]:
    """What the run has cost so far, and what it will have cost at its end."""
    if not seen.price or seen.took is None:
        return []
    spent = seen.took / 3600 * seen.price
    rest = plain(seen.currency, limit=8)
    if seen.eta is not None:
        rest = _("of {cost} {currency}").format(cost=f"{spent + seen.eta / 3600 * seen.price:.2f}", currency=rest)
    return [_fact(_("cost"), f"{spent:6.2f}", rest.strip())]


def _torch_memory(seen: Seen) -> list[Line]:
    """Memory that tensors take, of what is reserved for them, and what is free of the card; of the process on a CPU."""
    held, kept = (seen.curves.value_at(f"memory_{name}", seen.step) for name in ("allocated", "reserved"))
    if held is None or not math.isfinite(held):
        return []
    if kept is None or not math.isfinite(kept):
        return [_fact(_("process"), f"{held / 1e9:6.1f}", "GB RAM")]
    free = [
        (_number(gpu, "memory_total") or 0.0) - (_number(gpu, "memory_used") or 0.0)
        for gpu in cards_in(seen.story.resources)
    ]
    lines = [_fact(_("tensors"), f"{held / 1e9:6.1f}", _("/ {kept} GB kept").format(kept=f"{kept / 1e9:.1f}"))]
    return [*lines, _fact(_("free"), f"{min(free) / 1e9:6.1f}", "GB VRAM")] if free else lines


def _shared(gpu: Mapping[str, Any], share: GpuMemory) -> bool:
    """Whether others hold memory of the card that is worth a word."""
    used, total = _number(gpu, "memory_used") or 0.0, _number(gpu, "memory_total") or 0.0
    return share.now is not None and used - share.now > SHARED_FROM * total


def _own_memory(share: GpuMemory) -> Line:
    now = f"{share.now / 1e9:6.1f}" if share.now is not None else "-"
    return _fact(_("this run"), now, _("GB VRAM, most {most}").format(most=f"{share.most / 1e9:.1f}"))


def _gpu(gpu: Mapping[str, Any], seen: Seen, width: int) -> list[Line]:
    lines = _memory(_("VRAM"), _number(gpu, "memory_used"), _number(gpu, "memory_total"), seen, width)
    parts = []
    heat, power, use = _number(gpu, "temperature"), _number(gpu, "power"), _number(gpu, "utilization")
    if heat is not None:
        parts.append(f"{heat:3.0f} C")
    if power is not None:
        parts.append(f"{power:4.0f} W")
    if use is not None or parts:
        lines.append(_fact("GPU", f"{use:5.0f}%" if use is not None else "", "  ".join(parts)))
    return lines


def _memory(name: str, used: float | None, total: float | None, seen: Seen, width: int) -> list[Line]:
    if used is None or not total:
        return []
    text = f"{used / 1e9:6.1f}"
    rest = f"/ {total / 1e9:.1f} GB"
    room = width - 10 - 7 - 2 - len(rest) - 2
    line = _fact(name, text, rest)
    if room < 4:
        return [line]
    return [(*line, Cell("  "), *meter(used / total, min(room, 10), seen.marks, "muted"))]


def _saved(seen: Seen) -> list[Line]:
    story = seen.story
    saved = f"@{count(story.checkpoints[-1].step)}" if story.checkpoints else "-"
    state = _("state @{step}").format(step=count(story.states[-1].step)) if story.states else ""
    lines = [_fact(_("saved"), f"{saved:>6}", state)]
    if story.warnings:
        newest = story.warnings[-1]
        lines.append((Cell(f"! {plain(newest.message)}", "warning"),))
    free = _number(story.resources, "disk_free")
    if free is not None:
        lines.append(_fact(_("disk"), f"{bytes_text(free):>6}", _("free")))
    if story.info is not None and story.info.device:
        lines.append(_fact(_("device"), plain(story.info.device, limit=20), ""))
    if story.info is not None and story.info.masked:
        lines.append(_fact(_("masks"), f"{count(story.info.masked):>6}", f"/ {count(story.info.images)}"))
    if seen.took is not None:
        lines.append(_fact(_("elapsed"), duration(seen.took), ""))
    return [*lines, *_settings(seen)]


def _settings(seen: Seen) -> list[Line]:
    """What the run was asked to do; the last of the facts, since it does not change."""
    asked = seen.settings
    if asked is None:
        return []
    named = ((_("adapter"), asked.adapter), (_("optimizer"), asked.optimizer), (_("schedule"), asked.schedule))
    lines: list[Line] = [(Cell(fit(name, 10), "muted"), Cell(f" {text}")) for name, text in named]
    return [*lines, (Cell(asked.base, "muted"),)] if asked.base else lines


def _fact(name: str, value: str, rest: str) -> Line:
    return Cell(f"{fit(name, 10)}", "muted"), Cell(f"{value:>7}"), Cell(f"  {rest}", "muted")


def _number(source: Mapping[str, Any], name: str) -> float | None:
    """A number of the last sample of the machine; none where it has none that can be meant."""
    return as_number(source.get(name))
