"""Keeping more activations where the first updates of a run leave room for it, which spares computing them again.

What the updates take at most is measured with the share of blocks that was asked for, then with a smaller one. What is
kept grows by the same for each block, so two measures tell the smallest share that fits. Should a larger update come
after all, the way down stays open: see :mod:`lora_tui.trainer.memory.ladder`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

UPDATES = 4
"""Measured with each share: the optimizer takes its memory in the first, and not every batch is the largest."""
PATIENCE = 60
"""Updates after which a share that seems to take no more than a larger one is believed to do so."""
FILLED = 0.9
"""The share of the device that may be taken: others use it, too, and between tensors there are gaps."""
SHARES = (0.0, 0.25, 0.5, 0.75)
"""Of blocks that are computed again, to choose from."""


@dataclass(frozen=True)
class Use:
    """Bytes of a device: the most that tensors took, and what they could have."""

    most: int
    there: int


def use_of(device: torch.device) -> Use | None:
    """Since :func:`forget`; none where nobody counts, as on a CPU."""
    if device.type != "cuda":
        return None
    there = torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)
    return Use(torch.cuda.max_memory_allocated(device), there)


def forget(device: torch.device) -> None:
    """Measure anew."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


@dataclass
class Room:
    """The way from the share of blocks that was ``asked`` for to the smallest one that fits; one way only.

    Attributes:
        searching: whether there is anything left to find out.
    """

    device: torch.device
    asked: float
    searching: bool = True
    _most: dict[float, int] = field(default_factory=dict, init=False)
    _updates: int = field(default=0, init=False)

    def begin(self) -> None:
        """An update begins."""
        if self.searching:
            forget(self.device)

    def next_share(self, share: float) -> float | None:
        """An update with this ``share`` of blocks computed again is done; the one to go on with, none for the same."""
        if not self.searching:
            return None
        use = use_of(self.device)
        if use is None:
            self.searching = False
            return None
        self._most[share] = max(use.most, self._most.get(share, 0))
        self._updates += 1
        if self._updates < UPDATES:
            return None
        allowed = FILLED * use.there
        if share == self.asked:
            return self._less(share, allowed)
        grown = self._most[share] - self._most[self.asked]
        if grown <= 0 and self._updates < PATIENCE:  # the largest batches are yet to come
            return None
        self.searching = False
        each = max(grown, 0) / (self.asked - share)
        fits = [one for one in SHARES if one <= share and self._most[share] + each * (share - one) <= allowed]
        return fits[0] if fits else self.asked

    def _less(self, share: float, allowed: float) -> float | None:
        """The share to compare with: the next smaller one."""
        smaller = [one for one in SHARES if one < share]
        self.searching = bool(smaller) and self._most[share] <= allowed
        self._updates = 0
        return smaller[-1] if self.searching else None
