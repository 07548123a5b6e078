"""When a run saves, samples, validates and writes its state: the one rule that plan and trainer share.

Steps are optimizer updates and count from 1; step 0 is the moment before the first update. Pure: it
knows the settings and three numbers, no clock and no file. Nothing here walks through the steps of a run:
ten million cost what ten cost.
"""

from __future__ import annotations

import heapq
import itertools
import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

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


@dataclass(frozen=True)
class Moments(Sequence[int]):
    """The steps of a run after which something happens: ascending, each once, worked out and never written out.

    Attributes:
        periods: steps between two moments, by one rule or two that add up; all above 0.
        total: the last step of the run; no moment lies beyond it.
        first: whether step 0 is one.
        final: whether ``total`` is one, whatever the periods say.
    """

    periods: tuple[int, ...] = ()
    total: int = 0
    first: bool = False
    final: bool = False

    def __len__(self) -> int:
        return self.first + self._until(self.total)

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[int, ...]: ...
    def __getitem__(self, index: int | slice) -> int | tuple[int, ...]:
        places = range(len(self))[index]  # counts from the end, and refuses what is outside
        if isinstance(places, range):
            return tuple(self[place] for place in places)
        if self.first and places == 0:
            return 0
        return 1 + bisect_left(range(1, self.total + 1), places + 1 - self.first, key=self._until)

    def __iter__(self) -> Iterator[int]:
        if self.first:
            yield 0
        rules = [range(period, self.total + 1, period) for period in self.periods]
        if self.final and self.total:
            rules.append(range(self.total, self.total + 1))
        for step, _again in itertools.groupby(heapq.merge(*rules)):
            yield step

    def _until(self, step: int) -> int:
        """How many of the steps from 1 to ``step`` are moments."""
        found = sum(step // period for period in self.periods)
        if len(self.periods) == 2:
            found -= step // math.lcm(*self.periods)
        alone = self.final and all(self.total % period for period in self.periods)
        return found + (alone and 0 < self.total <= step)


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


def moments(config: Config, steps_per_epoch: int, total_steps: int) -> dict[str, Moments]:
    """The steps from 0 to ``total_steps`` at which :func:`due_at` names each kind, without asking it at each."""
    found = {}
    for kind, cadence in cadences(config).items():
        periods = (cadence.every_steps, cadence.every_epochs * steps_per_epoch)
        found[kind] = Moments(
            periods=tuple(period for period in periods if period > 0),
            total=total_steps,
            first=kind in due_at(config, 0, steps_per_epoch, total_steps),
            final=cadence.on or kind in (CHECKPOINT, STATE),
        )
    return found


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
