"""The most that tensors took on a GPU since somebody last asked: torch counts once for all, here each counts by itself.

Imports torch only when it is asked: those who watch a process from its start come before it.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Most:
    """Bytes at most: of tensors, and of what torch held for them, with gaps between."""

    allocated: int = 0
    reserved: int = 0

    def or_more(self, other: Most) -> Most:
        """The larger of each."""
        return Most(max(self.allocated, other.allocated), max(self.reserved, other.reserved))


@dataclass
class Peak:
    """One GPU's. Who measures is known by a name, and what one forgets the others still know. Safe between threads."""

    device: int
    _ever: Most = field(default_factory=Most, init=False)  # what torch has forgotten since the process began
    _before: dict[str, Most] = field(default_factory=dict, init=False)  # the same, since each of them last forgot
    _guard: threading.Lock = field(default_factory=threading.Lock, init=False)

    def most(self, who: str) -> Most:
        """Since ``who`` last forgot; since the start of the process where it never did."""
        with self._guard:
            return _counted(self.device).or_more(self._before.get(who, self._ever))

    def forget(self, who: str) -> Most:
        """Have ``who`` measure anew from now on; what it was until now."""
        with self._guard:
            counted = _counted(self.device)
            found = counted.or_more(self._before.get(who, self._ever))
            self._ever = counted.or_more(self._ever)
            self._before = {other: counted.or_more(before) for other, before in self._before.items()}
            self._before[who] = Most()
            _begin_anew(self.device)
            return found


_peaks: dict[int, Peak] = {}


def peak_of(device: int | None = None) -> Peak:
    """That of the GPU with this number; none is the current one."""
    import torch

    number = torch.cuda.current_device() if device is None else device
    return _peaks.setdefault(number, Peak(number))


def _counted(device: int) -> Most:
    import torch

    told = torch.cuda.memory_stats(device)  # asked once: it costs a tenth of a millisecond
    return Most(int(told.get("allocated_bytes.all.peak", 0)), int(told.get("reserved_bytes.all.peak", 0)))


def _begin_anew(device: int) -> None:
    import torch

    torch.cuda.reset_peak_memory_stats(device)
