"""Telling that memory ran out, how much is left, and giving back what nothing uses."""

from __future__ import annotations

import errno
import gc
import re
import time

import psutil
import torch

#: What libraries say instead of raising torch's own error: CUDA's helpers, pinned memory, a CPU without room.
_WORDS = re.compile(
    r"out of memory|(cublas|cudnn|cusolver)_status_alloc_failed|can't allocate memory|cannot allocate memory",
    re.IGNORECASE,
)


def is_shortage(error: BaseException) -> bool:
    """Whether ``error`` says that memory ran out, of a GPU or of the machine."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and bool(_WORDS.search(str(error)))


def give_back(device: torch.device) -> None:
    """Let go of what nothing refers to any more, and give cached memory back to the device."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def has_own_memory(device: torch.device) -> bool:
    """Whether what lies in the computer's memory takes none of the device's."""
    return device.type != "cpu"


class _Machine:
    """The bytes that the machine has left, asked for at most every so many seconds: an answer takes a tenth of a ms."""

    _FRESH = 0.1

    def __init__(self) -> None:
        self._asked, self._found = 0.0, 0

    def available(self) -> int:
        """Bytes, at most a tenth of a second old."""
        if time.monotonic() - self._asked >= self._FRESH:
            self._asked, self._found = time.monotonic(), int(psutil.virtual_memory().available)
        return self._found


_of_the_machine = _Machine()


def has_room(device: torch.device, needed: int, held: int = 0) -> bool:
    """Whether so many bytes could still be had: from the driver and torch's cache, or from the machine.

    ``held``: bytes of that cache that are not for everything. Waits for nothing. Torch is only asked where the driver
    has not enough, as its answer takes longer.
    """
    if device.type != "cuda":
        return _of_the_machine.available() >= needed
    missing = needed - torch.cuda.mem_get_info(device)[0]
    if missing <= 0:
        return True
    stats = torch.cuda.memory_stats(device)
    return int(stats["reserved_bytes.all.current"] - stats["allocated_bytes.all.current"]) - held >= missing
