"""Files of a run written beside its training: the loop copies what is to be written and goes on, a thread writes it.

Only writing happens in the thread. What is drawn at random, waits for a device, or is said before the file stands,
happens before, in the loop's own order.
"""

from __future__ import annotations

import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from lora_tui.trainer.memory.shortage import has_own_memory

BESIDE_BYTES = 16 << 20
"""Of copies that wait to be written while the training goes on in the same memory, which is that of a CPU.

There larger ones would raise the most that a run takes by as much: they are written before it goes on. Those of a GPU
lie in the computer's memory, whatever they take."""


@dataclass(frozen=True)
class Taken:
    """Something as it was when it was copied.

    Attributes:
        write: writes it, from any thread, and tells where; ``OSError`` where the disk is full, ``UserError`` where it
            does not read back. What was there before is untouched then.
        size: bytes that it holds until it is written.
    """

    write: Callable[[], Path]
    size: int

    @classmethod
    def of(cls, write: Callable[[], Path], tensors: Iterable[Tensor]) -> Taken:
        """What ``write`` writes of ``tensors``."""
        return cls(write, sum(tensor.nbytes for tensor in tensors))


class Writer:
    """Writes in a thread what one moment of the run leaves, in its order; the next moment waits until that is done.

    So there are never copies of two moments in memory. A thread lives only while there is something to write.
    """

    def __init__(self, device: torch.device) -> None:
        """``device``: what trains there goes on."""
        self._own_memory = has_own_memory(device)
        self._changed = threading.Condition()
        self._waiting: deque[Callable[[], Path]] = deque()
        self._busy = False
        self._error: BaseException | None = None
        self._moment = -1
        self._size = 0  # bytes of all that this moment has left

    def begin(self, moment: int) -> None:
        """Something is about to be copied at step ``moment``: wait for what another one left.

        Raises:
            OSError, UserError: that could not be written.
        """
        if moment != self._moment:
            self.settle()
            self._moment, self._size = moment, 0
        self.check()

    def add(self, taken: Taken) -> None:
        """Have ``taken`` written after all that waits already, or not at all where something of that fails.

        Raises:
            OSError, UserError: it had to be waited for and could not be written.
        """
        self._size += taken.size
        with self._changed:
            if self._error is None:
                self._waiting.append(taken.write)
            begins = bool(self._waiting) and not self._busy
            self._busy = self._busy or begins
        if begins:
            try:
                threading.Thread(target=self._write, name="writer").start()
            except RuntimeError:  # the system gives no thread: it is written before the training goes on
                self._write()
        if self._size > BESIDE_BYTES and not self._own_memory:
            self.settle()

    def check(self) -> None:
        """Raise what has gone wrong since it was last asked for, if anything has. Waits for nothing."""
        if self._error is not None:
            with self._changed:
                error, self._error = self._error, None
            if error is not None:
                raise error

    def settle(self) -> None:
        """Wait until everything is on disk.

        Raises:
            OSError, UserError: something of it could not be written.
        """
        self._wait()
        self.check()

    def close(self) -> None:
        """Wait until everything is on disk, at an end for other reasons: what goes wrong now is only noted."""
        self._wait()
        if self._error is not None:
            traceback.print_exception(self._error)
            self._error = None

    def _wait(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._busy)

    def _write(self) -> None:
        while True:
            with self._changed:
                if not self._waiting:
                    self._busy = False
                    self._changed.notify_all()
                    return
                write = self._waiting.popleft()
            try:
                write()
            except BaseException as error:
                with self._changed:
                    self._error = error
                    self._waiting.clear()
            del write  # and with it what it held
