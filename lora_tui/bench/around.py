"""What a run takes besides its steps: coming to the first one, and saving."""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from lora_tui.bench.common import Measure, timed
from lora_tui.errors import UserError
from lora_tui.python import python_command
from lora_tui.runs.beginning import Beginning, beginning_of
from lora_tui.runs.record import read_record
from lora_tui.text.translate import _

if TYPE_CHECKING:
    from lora_tui.bench.loops import Loop, Setup

START_BAR = 15.0
"""Seconds from the start of the trainer's process to the end of its first step, on a small model."""
STARTS = 3
SAVES = 5


def saving(loop: Loop) -> list[tuple[float, float]]:
    """Of some saves of ours: seconds that they keep the loop waiting, and those until everything is on disk."""
    assert loop.save is not None and loop.saved is not None
    found = []
    for _save in range(SAVES):
        loop.work(1)
        kept = timed(loop.save)
        found.append((kept, kept + timed(loop.saved)))
    return found


def starts(setup: Setup) -> list[Beginning]:
    """What the trainer says of some starts on ``setup``, each in a process and with caches of its own.

    Raises:
        UserError: one failed.
    """
    from lora_tui.bench.loops import waiting_run

    found = []
    for _start in range(STARTS):
        run = waiting_run(setup)
        command = python_command("-m", "lora_tui.trainer", str(run.root))
        # gone after each: a packed base in all of them would fill a disk
        with tempfile.TemporaryDirectory(dir=setup.folder, ignore_cleanup_errors=True) as home:
            environment = {**os.environ, "LORA_TUI_HOME": home}
            done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        told = beginning_of(read_record(run))
        if done.returncode or told is None:
            last = done.stderr.strip().splitlines()
            raise UserError(last[-1] if last else "", place="bench train", code="bench.failed")
        found.append(told)
    return found


def measures(
    saves: Sequence[tuple[float, float]], found: Sequence[Beginning], *, small: bool = True
) -> Iterator[Measure]:
    """The medians of both; without starts, of the saves alone. ``small``: the model is one."""
    kept, whole = (statistics.median(times) * 1000 for times in zip(*saves, strict=True))
    told = _("LoRA file and state, which are on disk after {time} ms").format(time=f"{whole:.1f}")
    yield Measure(_("time that a save keeps the training waiting"), kept, "ms", detail=told)
    if not found:
        return
    middle = sorted(found, key=lambda start: start.seconds)[len(found) // 2]
    detail = _(", ").join(middle.words[1:])
    bar = START_BAR if small else None
    yield Measure(_("start to the end of the first step"), middle.seconds, "s", bar=bar, detail=detail)
