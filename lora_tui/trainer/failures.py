"""What went wrong, in words: a code, what happened, and what to do about it."""

from __future__ import annotations

import traceback
from dataclasses import dataclass

from lora_tui.errors import UserError
from lora_tui.jobs import explain as deaths
from lora_tui.text import plain

#: Errors of the run itself that a person can mend; every other one says that the input is wrong.
RUN_FAILURES = frozenset(
    {"nan", "gpu.memory", "memory", "cache.gone", "weights.verify", "image.unreadable", "image.changed", "gone"}
)


class LostProcess(UserError):
    """Another process of the run has ended; ``code`` says why."""


@dataclass(frozen=True)
class Failure:
    """``status`` is the exit status: 2 when the input is wrong, 1 when the run failed."""

    code: str
    message: str
    advice: str
    status: int = 1


def explain(error: BaseException) -> Failure:
    """The failure that ``error`` amounts to; causes are told by the same table that explains a silent death."""
    if isinstance(error, UserError):
        place = f"{error.place}: " if error.place else ""
        status = 1 if error.code in RUN_FAILURES or isinstance(error, LostProcess) else 2
        return Failure(error.code, plain(place + error.message), plain(error.remedy), status)
    text = "".join(traceback.format_exception(error))
    found = deaths.explain(deaths.Death(exit_status=1, signal=None, log=text))
    return Failure(found.code, plain(found.message), plain(found.advice))
