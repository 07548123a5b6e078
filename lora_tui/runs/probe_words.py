"""What a probe measured, in lines that a command and the form say alike."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from lora_tui.text import N_, _, bytes_text, number, plain

if TYPE_CHECKING:
    from lora_tui.config.plan import RunPlan
    from lora_tui.runs.probe import Probe

PHASES = {
    "loading": N_("loading"),
    "caching": N_("caching"),
    "training": N_("training"),
    "sampling": N_("sampling"),
    "saving": N_("saving"),
}


def phase_word(name: str) -> str:
    """A phase of a probe as a person reads it."""
    return _(PHASES[name]) if name in PHASES else plain(name)


def probe_lines(found: Probe, plan: RunPlan) -> Iterator[str]:
    """What was measured, with the plan's own figure beside it."""
    parts = [f"{phase_word(phase)} {bytes_text(size)}" for phase, size in found.peaks.items()]
    yield _("probe: two steps of {batch} at {width}x{height}; memory at most: {parts}").format(
        batch=found.batch, width=found.size[0], height=found.size[1], parts=", ".join(parts)
    )
    if found.reserved:
        yield _("       torch held {size} of the GPU, gaps counted; {planned} were planned").format(
            size=bytes_text(found.reserved), planned=bytes_text(plan.memory_total)
        )
    times = []
    if found.step_seconds is not None:
        times.append(_("a step {seconds} s").format(seconds=number(found.step_seconds, 2)))
    if found.sample_seconds is not None:
        times.append(_("a sample {seconds} s").format(seconds=number(found.sample_seconds, 1)))
    if times:
        yield "       " + ", ".join(times)
