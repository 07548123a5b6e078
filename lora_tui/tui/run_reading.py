"""What is known of a run in whole sentences, for the window that shows in full what the dashboard cuts."""

from __future__ import annotations

from lora_tui.runs.aftermath import after_lines
from lora_tui.text import _, plain
from lora_tui.tui.run_moments import Moments
from lora_tui.tui.run_text import Seen, ending_lines
from lora_tui.tui.wording import sentences

NO_END = 4000
"""Cells that no sentence takes: the window breaks the lines itself."""

LATELY = 30
"""Moments that are told at the end, the newest last."""


def full_lines(seen: Seen, resume_key: str) -> list[str]:
    """How the run ended and what to do, its warnings, where it is, what it was asked to do, and what happened last."""
    lines = ["".join(cell.text for cell in line).strip() for line in ending_lines(seen, resume_key, NO_END)]
    lines += after_lines(seen.status) if seen.status is not None else ()
    if seen.story.warnings:
        lines += ["", _("Warnings")]
        lines += [f"  ! {plain(sentences(notice.message, notice.remedy))}" for notice in seen.story.warnings]
    lines += ["", plain(str(seen.story.run.root))]
    lines += seen.settings.lines if seen.settings is not None else ()
    moments = Moments(seen.story).all()[-LATELY:]
    if moments:
        lines += ["", _("What happened last")]
        lines += ["  " + " ".join((*moment.clock.split(), f"@{moment.step}", moment.text)) for moment in moments]
    return lines[1:] if lines and not lines[0] else lines
