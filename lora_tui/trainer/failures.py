"""What went wrong, in words: a code, what happened, and what to do about it."""

from __future__ import annotations

import errno
from dataclasses import dataclass

import torch

from lora_tui.errors import UserError
from lora_tui.text import _, plain


@dataclass(frozen=True)
class Failure:
    """``status`` is the exit status: 2 when the input is wrong, 1 when the run failed."""

    code: str
    message: str
    advice: str
    status: int = 1


def explain(error: BaseException) -> Failure:
    """The failure that ``error`` amounts to."""
    if isinstance(error, UserError):
        place = f"{error.place}: " if error.place else ""
        return Failure(error.code, plain(place + error.message), plain(error.remedy), status=2)
    if isinstance(error, torch.cuda.OutOfMemoryError):
        return Failure(
            "memory.gpu",
            _("the GPU ran out of memory."),
            _("Turn gradient checkpointing on, lower the batch size or resolution, or train without the text encoder."),
        )
    if isinstance(error, MemoryError):
        return Failure(
            "memory.host", _("the machine ran out of memory."), _("Close other programs or use a smaller batch.")
        )
    if isinstance(error, OSError):
        return _of_system(error)
    last = plain(str(error).strip().splitlines()[-1] if str(error).strip() else "", limit=300)
    return Failure(
        "crash",
        f"{type(error).__name__}: {last}" if last else type(error).__name__,
        _("The whole story is in trainer.log of the run. What was saved before is whole; resume continues from there."),
    )


def _of_system(error: OSError) -> Failure:
    place = plain(str(error.filename)) + ": " if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Failure(
            "disk.full",
            place + _("the disk is full."),
            _("Free some space and resume the run; the files saved before are whole."),
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return Failure("disk.readonly", place + _("it cannot be written."), _("Make it writable and resume the run."))
    return Failure("system", f"{place}{error.strerror or error}.", _("See trainer.log of the run."))
