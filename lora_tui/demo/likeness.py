"""What a demo's LoRA has learned, in numbers: asked for from a process of its own that has torch. Light."""

from __future__ import annotations

import json
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lora_tui.errors import UserError
from lora_tui.jobs.job import environment
from lora_tui.python import python_command
from lora_tui.text import _, plain


@dataclass(frozen=True)
class Spread:
    """A value measured with several seeds: ``mean``, standard deviation (``spread``) and the values by seed."""

    mean: float
    spread: float
    seeds: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0, tuple(values))


@dataclass(frozen=True)
class Change:
    """Likeness at strengths 0 and 1 for the same prompts and seeds, and what the LoRA makes of it.

    Attributes:
        margin: likeness at 1 less that at 0, seed by seed.
        pixels: mean absolute difference of the two pictures, as a share of the full range.
    """

    at_0: Spread
    at_1: Spread
    margin: Spread
    pixels: float

    @property
    def margin_over_spread(self) -> float:
        """How far the rise stands out of what the seed alone changes."""
        return self.margin.mean / self.margin.spread if self.margin.spread else float("inf")


@dataclass(frozen=True)
class Learned:
    """Likeness to the training images, 0 like any picture of the world and 1 like one of them.

    Attributes:
        aspect: what was compared, ``subject`` or ``style``.
        trigger: with the trigger word.
        plain: without it; what changes there is the LoRA's bleed.
        pictures: how many were drawn.
        seconds: the whole measurement.
        sheet: the pictures side by side.
    """

    aspect: str
    trigger: Change
    plain: Change
    pictures: int
    seconds: float
    sheet: Path

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "aspect": self.aspect,
            "with_trigger": _change_json(self.trigger),
            "without_trigger": _change_json(self.plain),
            "bleed": {"likeness_change": self.plain.margin.mean, "pixel_difference": self.plain.pixels},
            "pictures": self.pictures,
            "seconds": self.seconds,
            "sheet": self.sheet,
        }


def measure(run: Path, lora: Path) -> Learned:
    """Draw with and without the LoRA of a demo's run, and compare; takes less than a minute on two CPU cores.

    Raises:
        UserError: the process that draws has failed.
    """
    command = python_command("-m", "lora_tui.demo.measure", str(run), str(lora))
    own = {**environment(), "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}
    done = subprocess.run(command, env=own, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [_("no message")])[-1]
        raise UserError(
            _("Likeness could not be measured: {reason}.").format(reason=plain(last, limit=300).rstrip(".")),
            place=plain(str(lora)),
            remedy=_("lora-tui doctor looks at the installation."),
            code="demo.likeness",
        )
    return parse(json.loads(done.stdout.splitlines()[-1]))


def parse(told: dict[str, Any]) -> Learned:
    """What :mod:`lora_tui.demo.measure` printed."""
    changes = {name: _change(told[name]) for name in ("trigger", "plain")}
    return Learned(
        told["aspect"], pictures=told["pictures"], seconds=told["seconds"], sheet=Path(told["sheet"]), **changes
    )


def _change(told: dict[str, Any]) -> Change:
    at_0, at_1 = told["at_0"], told["at_1"]
    margins = [after - before for before, after in zip(at_0, at_1, strict=True)]
    return Change(Spread.of(at_0), Spread.of(at_1), Spread.of(margins), told["pixels"])


def _change_json(change: Change) -> dict[str, Any]:
    return {
        "strength_0": asdict(change.at_0),
        "strength_1": asdict(change.at_1),
        "margin": asdict(change.margin),
        "margin_over_spread": change.margin_over_spread,
        "pixel_difference": change.pixels,
    }
