"""Numbers of a step on their way from the device to the events file, without the step waiting for them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

BEHIND = 4
"""Steps that may be on their way before the oldest is waited for.

That many keep the device busy whatever is done between two of them. With more, steps that take few launches (CUDA
graphs) would be counted, timed and asked to stop long before the device comes to them."""


@dataclass
class _Pending:
    values: Tensor  # [loss, norm, skipped, own rate, more ...] on the CPU once ``ready`` says so
    ready: Any  # a CUDA event, or none where the copy is already done
    begun: Any  # moments: events of the device, or seconds of the clock
    done: Any
    fields: dict[str, Any]


@dataclass(frozen=True)
class StepNumbers:
    """A step's numbers, arrived."""

    loss: float
    grad_norm: float
    skipped: bool
    fields: dict[str, Any]
    own_rate: float = 1.0  # what the rates are to be multiplied with, where the optimizer finds a step size itself
    more: tuple[float, ...] = ()  # the values that went along
    seconds: float = field(default=0.0, compare=False)  # on the device since the step before, or the last lap


class Drain:
    """Collects each step's tensors and hands the numbers on, in order, once they have arrived.

    How long a step took is told by the device, which comes to it later than it is asked for.
    """

    def __init__(self, device: torch.device, deliver: Callable[[StepNumbers], None]) -> None:
        self._cuda = device.type == "cuda"
        self._deliver = deliver
        self._pending: deque[_Pending] = deque()
        self.lap()

    def lap(self) -> None:
        """The next step begins now; without it, each where the one before it ended."""
        self._since = self._now()

    def _now(self) -> Any:
        if not self._cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True, blocking=True)  # a wait takes no core from those who load batches
        event.record()
        return event

    def push(
        self,
        loss: Tensor,
        norm: Tensor,
        skipped: Tensor,
        fields: dict[str, Any],
        own_rate: Tensor | float | None = None,
        more: Sequence[Tensor] = (),
    ) -> None:
        """Start the way of one step's numbers; ``fields`` and ``more`` vectors go with them."""
        known = own_rate if isinstance(own_rate, Tensor) else loss.new_full((), 1.0 if own_rate is None else own_rate)
        own = torch.stack([one.detach().float() for one in (loss, norm, skipped, known)])
        values = torch.cat([own, *(vector.detach().float() for vector in more)]) if more else own
        if self._cuda:
            host = torch.empty(len(values), dtype=torch.float32, pin_memory=True)
            host.copy_(values, non_blocking=True)
            values = host
        begun, self._since = self._since, self._now()
        ready = self._since if self._cuda else None
        self._pending.append(_Pending(values, ready, begun, self._since, fields))
        self.collect()

    def collect(self, *, wait: bool = False) -> None:
        """Deliver what has arrived; ``wait`` delivers everything."""
        while self._pending:
            first = self._pending[0]
            if first.ready is not None and not first.ready.query():
                if not wait and len(self._pending) <= BEHIND:
                    return
                first.ready.synchronize()
            self._pending.popleft()
            loss, norm, skipped, own_rate, *more = first.values.tolist()
            seconds = first.begun.elapsed_time(first.done) / 1000 if self._cuda else first.done - first.begun
            self._deliver(StepNumbers(loss, norm, skipped > 0, first.fields, own_rate, tuple(more), seconds))
