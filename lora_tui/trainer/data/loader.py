"""Batches prepared ahead of the step by threads, in the plan's order, epoch after epoch."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import torch

from lora_tui.dataset.batches import Batch, DataPlan
from lora_tui.errors import UserError
from lora_tui.text import _
from lora_tui.trainer.data.prepared import Prepared
from lora_tui.trainer.memory.shortage import is_shortage

AHEAD = 3  # batches prepared beyond the one in use, and one more for each further thread: covers a slow read


class Loader:
    """Prepared batches in the plan's order from any place in it, in pinned memory for CUDA.

    Where several processes share the plan, those that fall to this one.
    """

    def __init__(
        self,
        prepare: Callable[[int, Batch], Prepared],
        plan: DataPlan,
        device: torch.device,
        *,
        workers: int = 1,
        share: tuple[int, int] = (0, 1),
    ) -> None:
        """``prepare`` makes the tensors of a batch of an epoch (from 0); ``workers`` threads call it.

        ``share``: the number of this process, from 0, and how many there are; each needs a batch in every epoch.
        """
        self._prepare = prepare
        self._plan = plan
        self._device = device
        self._workers = workers
        self._share = share
        self._waited = 0.0

    def batches(self, epoch: int, start: int) -> Generator[Prepared, None, None]:
        """Every batch from index ``start`` of ``epoch`` on, without end; close it to let the threads go.

        Raises:
            Exception: what preparing a batch raised, at the place where that batch would have come.
        """
        places = self._places(epoch, start)
        with ThreadPoolExecutor(self._workers, "loader", initializer=self._enter) as pool:
            ahead: deque[Future[Prepared]] = deque()
            try:
                while True:
                    while len(ahead) < AHEAD + self._workers:
                        ahead.append(pool.submit(self._ready, *next(places)))
                    began = time.perf_counter()
                    prepared = _result(ahead.popleft())
                    self._waited += time.perf_counter() - began
                    yield prepared
            finally:
                pool.shutdown(wait=False, cancel_futures=True)  # those at work are waited for when the pool is left

    def now(self, epoch: int, batch: Batch) -> Prepared:
        """One ``batch`` of an ``epoch`` by itself, made in the caller's thread.

        Raises:
            Exception: as :meth:`batches` does.
        """
        return self._ready(epoch, batch)

    def take_waited(self) -> float:
        """Seconds that the consumer stood still for data since the last call."""
        waited, self._waited = self._waited, 0.0
        return waited

    def _places(self, epoch: int, start: int) -> Iterator[tuple[int, Batch]]:
        own, processes = self._share
        while True:
            for batch in self._plan.epoch(epoch)[start:]:
                if self._plan.taker(batch, processes) == own:
                    yield epoch, batch
            epoch, start = epoch + 1, 0

    def _enter(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.set_device(self._device)  # a thread of its own begins on the first GPU

    def _ready(self, epoch: int, batch: Batch) -> Prepared:
        return self._prepare(epoch, batch).pinned(self._device)


def _result(ready: Future[Prepared]) -> Prepared:
    """What was prepared.

    Raises:
        UserError: the machine's own memory ran out, which no step can make up for.
    """
    try:
        return ready.result()
    except Exception as error:
        if not is_shortage(error):
            raise
        raise UserError(
            _("the machine's memory ran out while images and captions were made ready."),
            remedy=_("Close other programs, or take a machine with more memory; then resume."),
            code="memory",
        ) from error
