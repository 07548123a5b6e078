"""Lives of a run that are killed at a named moment, and what a resumed run must have in common with an unbroken one."""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lives import events, lora, micro_config, same_tensors, start
from support import until

from lora_tui.config.schema import Config
from lora_tui.runs.folder import RunFolder

Moment = Callable[[RunFolder, int], bool]
"""Whether the life whose events begin at that number has come to this moment."""


def every_phase(base: Path, data: Path, /, **sections: dict[str, Any]) -> Config:
    """Every phase there is: two caches, validation, samples, checkpoints and states every few steps."""
    values: dict[str, dict[str, Any]] = {
        "network": {"text_encoder": False},
        "captions": {"shuffle": True, "variants": 4, "dropout": 0.1},
        "data": {"flip": True, "crop": "subject"},
        "noise": {"timesteps": "style"},
        "learning": {"schedule": "warmup_stable_decay", "warmup_share": 0.2},
        "steps": {"epochs": 3, "gradient_accumulation": 2},
        "saving": {"every_steps": 2, "state_every_steps": 2, "state_every_epochs": 0, "precision": "fp32"},
        "sampling": {"every_steps": 3},
        "validation": {"every_steps": 2},
    }
    for name, changes in sections.items():
        values[name] = {**values.get(name, {}), **changes} if isinstance(changes, dict) else changes
    return micro_config(base, data, **values)


def phase(name: str, detail: str = "") -> Moment:
    """This life has begun the phase."""

    def reached(run: RunFolder, since: int) -> bool:
        begun = [event for event in events(run)[since:] if event["kind"] == "phase"]
        return any(event["phase"] == name and detail in event["detail"] for event in begun)

    return reached


def step(number: int) -> Moment:
    """This life has done the step, or gone beyond it."""

    def reached(run: RunFolder, since: int) -> bool:
        return any(event["kind"] == "step" and event["step"] >= number for event in events(run)[since:])

    return reached


def temporary(folder: str, pattern: str, told: str) -> Moment:
    """A file is being written: its temporary is there. Or it was, too shortly to be seen: the event ``told`` is."""

    def reached(run: RunFolder, since: int) -> bool:
        return any((run.root / folder).glob(pattern)) or any(event["kind"] == told for event in events(run)[since:])

    return reached


MOMENTS: tuple[Moment, ...] = (
    phase("loading", "dataset"),
    phase("caching", "latents"),
    phase("caching", "text embeddings"),
    phase("caching", "sample prompts"),
    phase("sampling"),
    phase("validating"),
    step(1),
    temporary("checkpoints", ".*.tmp", "checkpoint"),
    step(3),
    temporary("state", ".writing-*", "state"),
    phase("saving", "state"),
    step(6),
    phase("saving", "LoRA"),
)
"""Moments in the order in which a run of :func:`every_phase` comes to them."""


def live_through(run: RunFolder, moments: Sequence[Moment], rng: random.Random, home: Path) -> int:
    """Kill a life of the run a random instant after each moment, and let the last one end; how many were killed.

    ``home``: of the program; empty, so that the caching phases have work to do.
    """
    killed = 0
    for moment in moments:
        if _finished_before(run, moment, rng, home, resume=killed > 0):
            break
        killed += 1
    last = start(run, "--resume", LORA_TUI_HOME=str(home))
    assert last.wait(120) == 0, run.log_path.read_text()
    return killed


def _finished_before(run: RunFolder, moment: Moment, rng: random.Random, home: Path, *, resume: bool) -> bool:
    """Start a life and kill it a random instant after ``moment``; true when it finished before."""
    since = len(events(run))
    life = start(run, *(["--resume"] if resume else []), LORA_TUI_HOME=str(home))
    try:
        until(lambda: life.poll() is not None or moment(run, since), 90, every=0.002)
        threading.Event().wait(rng.uniform(0, 0.05))
        if life.poll() is not None:
            assert life.returncode == 0, run.log_path.read_text()
            return True
    finally:
        life.send_signal(signal.SIGKILL)
        life.wait()
    return False


def assert_same_bits(reference: RunFolder, run: RunFolder) -> None:
    """The LoRA files hold the same tensors, and the newest states the same adapter and optimizer, byte for byte."""
    assert same_tensors(lora(reference), lora(run))
    newest = sorted(run.state_dir.iterdir())[-1]
    expected = reference.state_dir / newest.name
    for name in ("adapter.safetensors", "optimizer.safetensors"):
        assert (newest / name).read_bytes() == (expected / name).read_bytes()
