"""The end of a run, as facts for whoever is told of it: notices, the record, and the command that is run after it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lora_tui.alarms.alarm import ERROR, NOTICE, Alarm, read_alarms
from lora_tui.jobs.events import as_number
from lora_tui.runs.folder import RunFolder
from lora_tui.runs.record import read_record
from lora_tui.runs.status import RunStatus, inspect, state_word
from lora_tui.text.formats import count, duration, number
from lora_tui.text.plain import plain
from lora_tui.text.translate import _


@dataclass(frozen=True)
class Ending:
    """How a run ended.

    Attributes:
        status: the run as it stands.
        reason: ``completed``, ``asked`` (somebody stopped it), ``budget``, ``failed`` or ``died``.
        seconds: that all its lives took; ``cost`` of them at the price that its record has, none without one.
        lora: its newest LoRA file, none when it wrote none.
    """

    status: RunStatus
    reason: str
    seconds: float
    cost: float | None
    currency: str
    lora: Path | None

    @property
    def words(self) -> str:
        """How it ended, in one line."""
        status = self.status
        told = _("{state} at step {step} of {total} after {time}").format(
            state=state_word(status.state),
            step=count(status.step),
            total=count(status.total_steps) if status.total_steps else "-",
            time=duration(self.seconds),
        )
        if status.loss is not None:
            told += _(", ") + _("loss {value}").format(value=number(status.loss))
        if self.cost is not None:
            told += _(", ") + _("cost {cost}").format(cost=f"{self.cost:.2f} {plain(self.currency)}".strip())
        return told + "."


def ending_of(run_dir: Path, *, by_budget: bool) -> Ending:
    """How the run in ``run_dir`` ended; ``by_budget``: it was asked to stop because of that."""
    run = RunFolder(run_dir)
    status, record = inspect(run), read_record(run)
    reasons = {"finished": "completed", "stopped": "budget" if by_budget else "asked", "failed": "failed"}
    seconds = status.took or 0.0
    price = as_number(record.get("price_per_hour")) or 0.0
    currency = record.get("currency")
    return Ending(
        status=status,
        reason=reasons.get(status.state, "died"),
        seconds=seconds,
        cost=seconds / 3600 * price if 0 < price < 1e9 else None,
        currency=currency[:20] if isinstance(currency, str) else "",
        lora=_newest(run),
    )


def alarm_at_end(ending: Ending, when: float) -> Alarm:
    """What is told of the end: why a run failed or died; that one is done is a notice, too, and no alarm of the run."""
    status = ending.status
    if status.state in ("failed", "died"):
        message = plain(status.message) or _("It did not say why.")
        return Alarm(status.state, ERROR, message, plain(status.advice), status.step, status.step, when)
    advice = plain(str(ending.lora)) if ending.lora is not None else ""
    return Alarm(status.state, NOTICE, ending.words, advice, status.step, status.step, when)


def variables(ending: Ending) -> dict[str, str]:
    """The facts of the end as environment variables; what is unknown is empty."""
    status = ending.status
    values = {
        "RUN": str(status.run.root),
        "NAME": status.run.name,
        "NUMBER": str(status.number or ""),
        "STATE": status.state,
        "REASON": ending.reason,
        "CODE": status.code,
        "MESSAGE": status.message,
        "STEP": str(status.step),
        "TOTAL_STEPS": str(status.total_steps or ""),
        "LOSS": "" if status.loss is None else f"{status.loss:.6g}",
        "SECONDS": f"{ending.seconds:.0f}",
        "COST": "" if ending.cost is None else f"{ending.cost:.2f}",
        "CURRENCY": ending.currency,
        "LORA": str(ending.lora or ""),
        "ALARMS": ",".join(alarm.code for alarm in read_alarms(status.run.root)),
    }
    places = ("RUN", "LORA")  # they are used, not read: as they are
    return {f"LORA_TUI_{name}": value if name in places else plain(value) for name, value in values.items()}


def _newest(run: RunFolder) -> Path | None:
    try:
        found = [
            path for path in run.checkpoints_dir.iterdir() if path.suffix == ".safetensors" and path.name[0] != "."
        ]
        return max(found, key=lambda path: path.stat().st_mtime_ns, default=None)
    except OSError:
        return None
