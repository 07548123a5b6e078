"""An alarm of a run, as data: in the event file for the curves, and in ``alarms.json`` for whoever asks quickly.

Events of kind ``alarm`` have the same fields as the entries of the file. The file is the keeper's; what was told in an
earlier life of the run stands in it, too, so that nothing is told twice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lora_tui.files import open_file, write_atomic
from lora_tui.jobs.events import as_count, as_time
from lora_tui.text.translate import N_, _

FILE = "alarms.json"
MOST = 100
"""Alarms of a run that are kept."""
_LONGEST_TEXT = 4000
_LARGEST = 1 << 20

ERROR, WARNING, NOTICE = "error", "warning", "notice"
LEVELS = (ERROR, WARNING, NOTICE)

TITLES = {
    "nan": N_("NaN"),
    "spike": N_("loss spike"),
    "no_fall": N_("loss does not fall"),
    "overfitting": N_("overfitting"),
    "diverging": N_("loss rises"),
    "underfitting": N_("underfitting"),
    "slower": N_("steps take longer"),
    "gpu_idle": N_("GPU idle"),
    "gpu_memory": N_("GPU memory nearly full"),
    "memory": N_("memory nearly full"),
    "disk": N_("disk nearly full"),
    "silent": N_("no sign of life"),
    "budget_short": N_("budget too short"),
    "budget": N_("budget used up"),
    "failed": N_("failed"),
    "died": N_("died"),
}
"""Code of each alarm, and what it is called in a line that is short."""


@dataclass(frozen=True)
class Alarm:
    """One thing that a person should know.

    Attributes:
        code: one of :data:`TITLES`.
        level: one of :data:`LEVELS`, the gravest first.
        message, advice: what is so and what to try, in the language of the run's keeper.
        step: the step at which it was noticed.
        at: the step at which it began, such as the one where validation turned; the same as ``step`` otherwise.
        time: when it was noticed, unix seconds; 0 when unknown.
    """

    code: str
    level: str
    message: str
    advice: str
    step: int = 0
    at: int = 0
    time: float = 0.0

    @property
    def title(self) -> str:
        """What it is, in a few words of the current language."""
        return _(TITLES[self.code]) if self.code in TITLES else self.code[:40]


def read_alarms(run_dir: Path) -> tuple[Alarm, ...]:
    """The alarms of a run, oldest first; none when there were none or the file cannot be read. Never raises."""
    try:
        with open_file(run_dir / FILE) as file:
            value = json.loads(file.read(_LARGEST))
    except (OSError, ValueError, RecursionError):
        return ()
    entries = value.get("alarms") if isinstance(value, dict) else None
    found = (alarm_of(entry) for entry in (entries if isinstance(entries, list) else ())[:MOST])
    return tuple(alarm for alarm in found if alarm is not None)


def write_alarms(run_dir: Path, alarms: Sequence[Alarm]) -> None:
    """Replace the alarms of a run.

    Raises:
        OSError: the folder is gone or cannot be written.
    """
    value = {"alarms": [asdict(alarm) for alarm in alarms[-MOST:]]}
    write_atomic(
        run_dir / FILE, json.dumps(value, ensure_ascii=False).encode("utf-8", "replace") + b"\n", durable=False
    )


def alarm_of(entry: Any) -> Alarm | None:
    """An alarm from an event or an entry of the file, which anybody may have written; none for what is none."""
    if not isinstance(entry, Mapping) or not isinstance(entry.get("code"), str) or not entry["code"]:
        return None
    message, advice = (str(entry.get(name) or "")[:_LONGEST_TEXT] for name in ("message", "advice"))
    step = as_count(entry.get("step"))
    return Alarm(
        code=entry["code"][:80],
        level=entry["level"] if entry.get("level") in LEVELS else WARNING,
        message=message,
        advice=advice,
        step=step,
        at=as_count(entry.get("at")) if entry.get("at") is not None else step,
        time=as_time(entry.get("time", entry.get("t"))) or 0.0,
    )
