"""Files of a run written beside its training: the loop copies what is to be written and goes on, a thread writes it.

Only writing happens in the thread, and waiting for the copies. What is drawn at random, or is said before the file
stands, happens before, in the loop's own order. Where memory runs out in the thread, the loop writes that and what
comes after it by itself, once.
"""

from __future__ import annotations

import gc
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from lora_tui.trainer.copies import copies_of
from lora_tui.trainer.memory.shortage import has_own_memory, is_shortage

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
    def of(
        cls, write: Callable[[], Path], tensors: Iterable[Tensor], wait: Callable[[], object] = lambda: None
    ) -> Taken:
        """What ``write`` writes of ``tensors``, which hold what they should after ``wait``."""

        def ready() -> Path:
            wait()
            return write()

        return cls(ready, sum(tensor.nbytes for tensor in tensors))


class Writer:
    """Writes in a thread what one moment of the run leaves, in its order; the next moment waits until that is done.

    So there are never copies of two moments in memory. A thread lives only while there is something to write.

    Attributes:
        copies: makes what is to be written.
    """

    def __init__(self, device: torch.device, short: Callable[[], object] = lambda: None) -> None:
        """``device``: what trains there goes on. ``short``: called by the loop where memory ran out in the thread."""
        self.copies = copies_of(device)
        self._short = short
        self._own_memory = has_own_memory(device)
        self._changed = threading.Condition()
        self._waiting: deque[Callable[[], Path]] = deque()
        self._left: deque[Callable[[], Path]] = deque()  # by a thread in which memory ran out
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
            self.copies.begin()
        self.check()

    def add(self, taken: Taken) -> None:
        """Have ``taken`` written after all that waits already, or not at all where something of that fails.

        Raises:
            OSError, UserError: it had to be waited for and could not be written.
        """
        self._size += taken.size
        with self._changed:
            if self._error is None:
                (self._left or self._waiting).append(taken.write)
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
        """Raise what has gone wrong since it was last asked for, if anything has; write what memory ran out for.

        Else it waits for nothing.
        """
        if self._error is not None:
            with self._changed:
                error, self._error = self._error, None
            if error is not None:
                raise error
        if self._left:
            self._write_left()

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
        try:
            self.check()
        except Exception as error:
            traceback.print_exception(error)

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
            if self._ran_short(write):
                with self._changed:
                    self._left = deque([write, *self._waiting])
                    self._waiting.clear()
            del write  # and with it what it held

    def _ran_short(self, write: Callable[[], Path]) -> bool:
        """Write, and note what goes wrong; whether memory ran out, whose error is gone then with all that it held."""
        try:
            write()
        except BaseException as error:
            if is_shortage(error):
                return True
            with self._changed:
                self._error = error
                self._waiting.clear()
        return False

    def _write_left(self) -> None:
        """Write, in the loop's own time, what memory ran out for; nothing of it after what fails once more."""
        with self._changed:
            left, self._left = self._left, deque()
        gc.collect()
        self._short()
        while left:
            left.popleft()()
