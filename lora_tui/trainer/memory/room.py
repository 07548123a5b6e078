"""Keeping more activations where the first updates of a run leave room for it, which spares computing them again.

What the updates take at most is measured with the share of blocks that was asked for, then with a smaller one. What is
kept grows by the same for each block, so two measures tell the smallest share that fits. Should a larger update come
after all, the way down stays open: see :mod:`lora_tui.trainer.memory.ladder`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from lora_tui.trainer.memory.peak import peak_of
from lora_tui.trainer.ranks import Ranks

WHO = "room"
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
    return Use(peak_of(device.index).most(WHO).allocated, there)


def forget(device: torch.device) -> None:
    """Measure anew."""
    if device.type == "cuda":
        peak_of(device.index).forget(WHO)


@dataclass
class Room:
    """The way from the share of blocks that was ``asked`` for to the smallest one that fits; one way only.

    Where several processes share each update, one that fits all of them: the first decides by what all of them took.

    Attributes:
        searching: whether there is anything left to find out.
    """

    device: torch.device
    asked: float
    searching: bool = True
    _wanted: bool = field(init=False)  # by the settings, which all processes have alike
    _uses: list[Use] = field(default_factory=list, init=False)  # of each process in the last update
    _most: dict[float, list[int]] = field(default_factory=dict, init=False)  # by share, of each process
    _updates: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._wanted = self.searching

    def begin(self) -> None:
        """An update begins."""
        if self.searching:
            forget(self.device)

    def meet(self, ranks: Ranks, *, short: bool) -> bool:
        """An update is done or broke off, ``short`` of memory: whether it was in any process, and what each took."""
        if not self._wanted:
            return ranks.any(short)
        use = use_of(self.device) if self.searching else None
        slots = [0] * (2 * ranks.count)
        if use is not None:
            slots[2 * ranks.number : 2 * ranks.number + 2] = use.most, use.there
        ran_out, searching, *told = ranks.totals([short, ranks.is_first and self.searching, *slots])
        self.searching = searching > 0  # the others measure as long as the first one looks for something
        self._uses = [Use(most, there) for most, there in zip(told[::2], told[1::2], strict=True)]
        return ran_out > 0

    def next_share(self, share: float) -> float | None:
        """All have met after an update with this ``share`` of blocks computed again; the one to go on with.

        None for the same.
        """
        if not self.searching:
            return None
        if not all(use.there for use in self._uses):  # nobody counts
            self.searching = False
            return None
        before = self._most.get(share, [0] * len(self._uses))
        self._most[share] = [max(use.most, most) for use, most in zip(self._uses, before, strict=True)]
        self._updates += 1
        if self._updates < UPDATES:
            return None
        if share == self.asked:
            return self._less(share)
        grown = [now - then for now, then in zip(self._most[share], self._most[self.asked], strict=True)]
        if min(grown) <= 0 and self._updates < PATIENCE:  # the largest batches are yet to come
            return None
        self.searching = False
        each = [max(more, 0) / (self.asked - share) for more in grown]
        fits = [one for one in SHARES if one <= share and self._fits(share, [more * (share - one) for more in each])]
        return fits[0] if fits else self.asked

    def _less(self, share: float) -> float | None:
        """The share to compare with: the next smaller one."""
        smaller = [one for one in SHARES if one < share]
        self.searching = bool(smaller) and self._fits(share, [0.0] * len(self._uses))
        self._updates = 0
        return smaller[-1] if self.searching else None

    def _fits(self, share: float, more: Sequence[float]) -> bool:
        """Whether what each process took at most with ``share``, and so much more, has room everywhere."""
        taken = zip(self._most[share], more, self._uses, strict=True)
        return all(most + besides <= FILLED * use.there for most, besides, use in taken)
