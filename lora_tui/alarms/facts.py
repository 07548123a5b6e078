"""What advice needs to know of a run: its settings, read without the schema, and what its events told of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lora_tui.jobs.events import Event, as_count, as_number
from lora_tui.runs.facts import words
from lora_tui.toml_files import read_toml


@dataclass(frozen=True)
class RunFacts:
    """Of one run; 0 and empty where nothing is known.

    ``checkpoints`` are the LoRA files that were saved, as (step, place in the run folder), oldest first.
    """

    name: str = ""
    images: int = 0
    rank: int = 0
    rate: float = 0.0
    batch: int = 0
    regularised: bool = False
    validates: bool = False
    cached: bool = True
    total: int = 0
    checkpoints: tuple[tuple[int, str], ...] = ()

    def after(self, event: Event) -> RunFacts:
        """What is known after one more event."""
        kind = event.get("kind")
        if kind == "run":
            validates = as_count(event.get("validation_images")) > 0
            total = as_count(event.get("total_steps"))
            return replace(self, images=as_count(event.get("images")), validates=validates, total=total)
        if kind == "checkpoint" and words(event, "path"):
            return replace(
                self, checkpoints=(*self.checkpoints[-1000:], (as_count(event.get("step")), words(event, "path")))
            )
        if kind == "resumed":
            step = as_count(event.get("step"))
            return replace(self, checkpoints=tuple(one for one in self.checkpoints if one[0] <= step))
        return self

    def saved_by(self, step: int) -> str:
        """The newest LoRA file of a step up to ``step``; empty where there is none."""
        return next((path for saved, path in reversed(self.checkpoints) if 0 < saved <= step), "")


def read_config(run_dir: Path) -> Mapping[str, Any]:
    """The tables of the run's configuration; empty where it cannot be read, for the keeper lives without it."""
    try:
        return read_toml(run_dir / "config.toml")
    except (OSError, ValueError):
        return {}


def facts_of(config: Mapping[str, Any], name: str) -> RunFacts:
    """The facts that a configuration tells."""
    rate = as_number(_table(config, "learning").get("unet_lr"))
    folders = config.get("datasets")
    regularised = any(
        isinstance(one, Mapping) and one.get("regularisation") is True
        for one in (folders if isinstance(folders, list) else ())
    )
    return RunFacts(
        name=name,
        rank=as_count(_table(config, "network").get("rank"), 1 << 20),
        rate=rate if rate is not None and math.isfinite(rate) and rate > 0 else 0.0,
        batch=as_count(_table(config, "steps").get("batch_size"), 1 << 20),
        regularised=regularised,
        cached=_table(config, "memory").get("cache_latents") is not False,
    )


def text_of(config: Mapping[str, Any], section: str, name: str) -> str:
    """A setting that is a text; empty for anything else."""
    value = _table(config, section).get(name)
    return value if isinstance(value, str) else ""


def _table(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = config.get(name)
    return value if isinstance(value, Mapping) else {}
