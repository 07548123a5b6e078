"""When a run saves, samples, validates and writes its state: the one rule that plan and trainer share.

Steps are optimizer updates and count from 1; step 0 is the moment before the first update. Pure: it
knows the settings and three numbers, no clock and no file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lora_tui.config.schema import Config

CHECKPOINT = "checkpoint"
SAMPLE = "sample"
VALIDATION = "validation"
STATE = "state"


@dataclass(frozen=True)
class Cadence:
    """Every so many epochs and every so many steps; 0 turns that half off."""

    every_epochs: int = 0
    every_steps: int = 0

    @property
    def on(self) -> bool:
        """Whether either half asks for anything."""
        return self.every_epochs > 0 or self.every_steps > 0

    def falls_on(self, step: int, steps_per_epoch: int) -> bool:
        """Whether ``step`` (from 1) is one that either half names; epochs count at their last step."""
        if self.every_steps > 0 and step % self.every_steps == 0:
            return True
        if self.every_epochs <= 0 or steps_per_epoch <= 0 or step % steps_per_epoch:
            return False
        return (step // steps_per_epoch) % self.every_epochs == 0


def cadences(config: Config) -> dict[str, Cadence]:
    """The cadence of each kind of event, with what cannot happen at all (no prompts, no validation) off."""
    off = Cadence()
    sampling, validation, saving = config.sampling, config.validation, config.saving
    return {
        CHECKPOINT: Cadence(saving.every_epochs, saving.every_steps),
        SAMPLE: Cadence(sampling.every_epochs, sampling.every_steps) if config.samples else off,
        VALIDATION: Cadence(validation.every_epochs, validation.every_steps) if validation.mode != "off" else off,
        STATE: Cadence(saving.state_every_epochs, saving.state_every_steps),
    }


def due_at(config: Config, step: int, steps_per_epoch: int, total_steps: int) -> frozenset[str]:
    """What happens after ``step``: any of ``checkpoint``, ``sample``, ``validation``, ``state``.

    Step 0 draws samples when ``sampling.at_start`` asks for them, and validates when validation is on, so
    that there is something to compare with. The last step always has checkpoint and state, and sample and
    validation when their cadence is on at all. Whether there are images to validate on is the data plan's
    to say, not this function's.
    """
    wanted = cadences(config)
    if step <= 0:
        first = {SAMPLE} if config.sampling.at_start and config.samples else set()
        return frozenset(first | ({VALIDATION} if wanted[VALIDATION].on else set()))
    due = {kind for kind, cadence in wanted.items() if cadence.falls_on(step, steps_per_epoch)}
    if step >= total_steps:
        due |= {CHECKPOINT, STATE}
        due |= {kind for kind in (SAMPLE, VALIDATION) if wanted[kind].on}
    return frozenset(due)
