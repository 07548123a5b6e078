"""Following a run as lines: what ``train`` and ``watch`` print while it goes on."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from lora_tui.alarms.alarm import Alarm, alarm_of
from lora_tui.alarms.terminal import announcement
from lora_tui.cli.output import Progress, progress_text
from lora_tui.jobs.events import Event, EventReader, as_count, as_number, as_time
from lora_tui.jobs.job import read_job, trainer_alive
from lora_tui.runs.aftermath import after_lines, command_to_come
from lora_tui.runs.choose import shell_name
from lora_tui.runs.folder import RunFolder
from lora_tui.runs.pace import Pace
from lora_tui.runs.status import RunStatus, inspect, state_word, state_words
from lora_tui.settings import usable_settings
from lora_tui.text.formats import bytes_text, count, duration, number
from lora_tui.text.plain import plain, sentences
from lora_tui.text.translate import N_, _

POLL = 0.25
"""Seconds between looks at the event file."""

RECENTLY = 60.0
"""Seconds after which what happened is history that nobody is rung for."""

PHASES = {
    "fetching": N_("fetching (MB)"),
    "loading": N_("loading"),
    "caching": N_("caching"),
    "training": N_("training"),
    "sampling": N_("sampling"),
    "validating": N_("validating"),
    "saving": N_("saving"),
    "paused": N_("paused"),
}

BRIEF = ("sampling", "validating", "saving")
"""Phases that end with a line of their own, so that their beginning needs none."""

MARKS = {
    "waiting": "…",
    "starting": "·",
    "running": "●",
    "paused": "‖",
    "orphaned": "●",
    "stopped": "■",
    "finished": "✓",
    "failed": "×",
    "died": "×",
}
ASCII_MARKS = {**dict.fromkeys(MARKS, "*"), "starting": ".", "paused": "=", "stopped": "-", "finished": "+"}
ASCII_MARKS.update(failed="x", died="x", waiting=".")


@dataclass
class _Place:
    """How far the events that were read so far have come."""

    step: int = 0
    total: int = 0
    loss: float | None = None
    phase: str = ""
    pace: Pace = field(default_factory=Pace)


def follow(run: RunFolder, screen: Progress, *, history: bool = False) -> RunStatus:
    """Show a run's events until it ends; return how it ended. ``history`` begins at its first event.

    Without it the alarms that are up already are told first.
    """
    status, words = inspect(run), ""
    start = 0 if history or not run.events_path.exists() else run.events_path.stat().st_size
    reader = EventReader(run.events_path, start=start)
    place = _Place() if history else _Place(status.step, status.total_steps, status.loss, status.phase)
    checked = 0.0
    for alarm in () if history or not status.alive else status.alarms:
        screen.line(alarm_line(alarm))
    while True:
        for event in reader.poll():
            line = _take(event, place)
            if line:
                screen.line(line)
            _announce(event, run, screen)
        _show(screen, place, status)
        if status.sent is not None and status.sent.words.partition(",")[0] != words:
            words = status.sent.words.partition(",")[0]
            screen.line(status.sent.words)
        if not reader.at_end:
            continue
        if time.monotonic() - checked >= 1.0:
            checked = time.monotonic()
            status = inspect(run)
            if not status.alive and not trainer_alive(run.root, read_job(run.root)):
                break
        time.sleep(POLL)
    for event in reader.poll():
        line = _take(event, place)
        if line:
            screen.line(line)
        _announce(event, run, screen)
    status = inspect(run)
    _show(screen, place, status)
    return status


def wait_for_end(run: RunFolder, screen: Progress, label: str) -> RunStatus:
    """Wait until the trainer's process is gone, showing what it is at."""
    while True:
        status = inspect(run)
        if not status.alive and not trainer_alive(run.root, read_job(run.root)):
            return status
        screen.update(status.phase_done, status.phase_total, phase_word(status.phase) or label, guess=False)
        time.sleep(POLL)


def status_line(status: RunStatus) -> str:
    """A run in one short line, for the status bar of tmux."""
    parts = [f"{mark(status.state)} {plain(status.run.name.split('-', 2)[-1], limit=24)}"]
    if status.state == "running" and status.phase not in ("", "training"):
        parts.append(phase_word(status.phase))
    elif status.state != "running":
        parts.append(state_words(status))
    if status.total_steps:
        parts.append(f"{status.share:.0%}")
        parts.append(f"{count(status.step)}/{count(status.total_steps)}")
    if status.loss is not None:
        parts.append(_("loss {value}").format(value=number(status.loss, 3)))
    if status.alive and status.step_seconds:
        parts.append(_("{rate} it/s").format(rate=number(1 / status.step_seconds, 2)))
    if status.eta is not None:
        parts.append(_("ETA {time}").format(time=duration(status.eta)))
    if status.alarms:
        newest, more = status.alarms[-1], len(status.alarms) - 1
        parts.append(f"! {plain(newest.title)}" + (f" +{more}" if more else ""))
    return " ".join(parts)


def status_lines(status: RunStatus) -> list[str]:
    """A run in a few lines: where it stands, when it ends or why it ended, what to do."""
    lines = [f"{plain(status.run.name)}  {state_words(status)}"]
    if status.sent is not None and status.sent.words and status.state != "waiting":
        lines.append(status.sent.words)
    if status.total_steps or status.step:
        lines.append(progress_text(_("step"), status.step, status.total_steps, eta=status.eta))
    if status.phase and status.phase != "training":
        detail = status.phase_detail
        lines.append(progress_text(phase_word(status.phase), status.phase_done, status.phase_total, detail))
    if status.loss is not None:
        lines.append(_("loss {value}").format(value=number(status.loss)))
    lines += [alarm_line(alarm) for alarm in status.alarms if alarm.code not in ("failed", "died")]
    lines += ending_lines(status)
    return lines


def alarm_line(alarm: Alarm) -> str:
    """An alarm in one line: what is so, and what to try."""
    text = sentences(plain(alarm.message, limit=600), plain(alarm.advice, limit=600))
    return _("ALARM {title}: {text}").format(title=plain(alarm.title), text=text)


def ending_lines(status: RunStatus) -> list[str]:
    """Why a run ended, and what to do; nothing while it lives."""
    lines = []
    if status.message and status.message != state_words(status):
        lines.append(plain(status.message, limit=600))
    if status.advice:
        lines.append(plain(status.advice, limit=600))
    lines += after_lines(status)
    if status.can_resume:
        lines.append(resume_hint(status.run))
    if status.orphaned:
        lines.append(_("Its keeper was killed; the training goes on without heartbeat, alarms and GPU samples."))
        if command := command_to_come(status.run):
            told = _("Nobody will run the command after its end: {command}")
            lines.append(told.format(command=plain(command, limit=200)))
    for name in status.damaged:
        lines.append(_("{file} is damaged: what it should tell is unknown.").format(file=name))
    if status.newer:
        lines.append(_("It was made by a newer version of lora-tui and can only be looked at."))
    return lines


def resume_hint(run: RunFolder) -> str:
    """How to go on with a run, to be typed where the person stands."""
    return _("Go on with it: lora-tui runs resume {run}").format(run=shell_name(run))


def status_json(status: RunStatus) -> dict[str, Any]:
    """A run's state for scripts."""
    names = (
        *("number", "state", "step", "total_steps", "epoch", "epochs", "phase", "phase_done", "phase_total"),
        *("phase_detail", "loss"),
        *(
            "step_seconds",
            "started",
            "ended",
            "took",
            "eta",
            "code",
            "message",
            "advice",
            "can_resume",
            "newer",
            "attempt",
        ),
        *("orphaned", "damaged"),
    )
    values: dict[str, Any] = {"run": status.run.root, "name": status.run.name, "alive": status.alive}
    values.update({name: getattr(status, name) for name in names})
    values["pid"] = status.pid or None
    sent = status.sent
    values["slurm"] = {"job": sent.job or None, "words": sent.words, "held": sent.held} if sent is not None else None
    values["alarms"] = [{**asdict(alarm), "title": alarm.title} for alarm in status.alarms]
    return values


def mark(state: str) -> str:
    """The sign of a state, as far as stdout's encoding has it."""
    sign = MARKS.get(state, "?")
    try:
        sign.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return ASCII_MARKS.get(state, "?")
    return sign


def phase_word(name: str) -> str:
    """A phase as a person reads it."""
    return _(PHASES[name]) if name in PHASES else plain(name)


def _take(event: Event, place: _Place) -> str:
    """Note what an event says; return a lasting line if it deserves one."""
    kind = event.get("kind")
    if kind == "step":
        _take_step(event, place)
        return ""
    if kind == "run":
        place.total = _whole(event, "total_steps") or place.total
    elif kind == "resumed":
        place.step = _whole(event, "step")
        place.pace = Pace()
    elif kind == "phase":
        _take_phase(event, place)
    text = _line(event, place)
    when = as_time(event.get("t"))
    clock = time.strftime("%H:%M:%S", time.localtime(when)) if when is not None else ""
    return f"{clock}  {text}".strip() if text else ""


def _take_step(event: Event, place: _Place) -> None:
    place.step = _whole(event, "step") or place.step
    place.loss = as_number(event.get("loss"))
    when, seconds = as_time(event.get("t")) or 0.0, as_number(event.get("step_seconds"))
    place.pace.steps(when, when, [] if seconds is None else [seconds], [])


def _take_phase(event: Event, place: _Place) -> None:
    when = as_time(event.get("t")) or 0.0
    if event.get("phase") == "paused":
        place.pace.paused(when)
    else:
        place.pace.resumed(when)


def _line(event: Event, place: _Place) -> str:
    step = count(_whole(event, "step") or place.step)
    kind = event.get("kind")
    if kind == "phase":
        name = str(event.get("phase", ""))
        changed, place.phase = name != place.phase, name
        expected = name in BRIEF or (name == "training" and place.step > 0)
        return phase_word(name) if changed and not expected else ""
    if kind == "validation":
        return _("validation loss {value} at step {step}").format(value=number(as_number(event.get("loss"))), step=step)
    if kind == "sample":
        return _("sample {path}").format(path=_text(event, "path"))
    if kind == "checkpoint":
        size = bytes_text(as_number(event.get("bytes")))
        return _("saved {path} ({size}) at step {step}").format(path=_text(event, "path"), size=size, step=step)
    if kind == "state":
        return _("state saved at step {step}").format(step=step)
    if kind == "warning":
        return _("warning: {message} {remedy}").format(message=_text(event, "message"), remedy=_text(event, "remedy"))
    if kind == "alarm":
        alarm = alarm_of(event)
        return alarm_line(alarm) if alarm is not None else ""
    if kind == "control":
        return _("{request}: {status} {detail}").format(
            **{name: _text(event, name) for name in ("request", "status", "detail")}
        )
    if kind == "slurm":
        tell = _SLURM_EVENTS.get(_text(event, "what"))
        return tell(event) if tell is not None else ""
    if kind == "resumed":
        return _("resumed at step {step}").format(step=step)
    return ""


_SLURM_EVENTS: Mapping[str, Callable[[Event], str]] = {
    "begun": lambda event: _("Slurm job {job} begins on {nodes}").format(
        job=_text(event, "job"), nodes=_text(event, "nodes")
    ),
    "signal": lambda event: _("Slurm says that its time is nearly over: it saves and ends"),
    "requeued": lambda event: _("saved; goes back to wait in Slurm, job {job}").format(job=_text(event, "job")),
}
"""What happened in Slurm -> a line."""


def _announce(event: Event, run: RunFolder, screen: Progress) -> None:
    """Ring for what somebody should know who does not look at this terminal: alarms, and the end."""
    kind, when = event.get("kind"), as_time(event.get("t")) or 0.0
    if kind not in ("alarm", "failed", "finished") or time.time() - when > RECENTLY:
        return
    alarm = alarm_of(event) if kind == "alarm" else None
    done = "finished" if event.get("reason", "completed") == "completed" else "stopped"
    what = alarm.title if alarm is not None else state_word("failed" if kind == "failed" else done)
    text = _text(event, "message") or plain(run.name)
    screen.signal(announcement(f"{plain(run.name)}: {what}", text, usable_settings()[0], os.environ))


def _show(screen: Progress, place: _Place, status: RunStatus) -> None:
    """The line that changes."""
    if status.state == "waiting":
        screen.update(0, 0, label=state_words(status), guess=False)
    elif place.step or place.phase in ("", "training"):
        detail = _("loss {value}").format(value=number(place.loss)) if place.loss is not None else ""
        rate = place.pace.per_second
        if rate:
            detail += "  " + _("{rate} it/s").format(rate=number(rate, 2))
        left = place.pace.left(place.total - place.step) if place.total > place.step else None
        eta = (left or status.eta) if status.eta is not None else None  # none while it is paused, or over
        screen.update(place.step, place.total, detail, eta, label=_("step"), guess=False)
    else:
        screen.update(0, 0, label=phase_word(place.phase))


def _whole(event: Event, name: str) -> int:
    return as_count(event.get(name))


def _text(event: Event, name: str) -> str:
    value = event.get(name)
    return plain(value, limit=500) if isinstance(value, str) else ""
