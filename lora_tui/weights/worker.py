"""``python -m lora_tui.weights.worker``: work on LoRA files in a process of its own, for a command that waits for it.

One JSON object with the options comes on standard input; lines of JSON go to standard output, in this order: any number
of ``progress`` and ``warning``, then ``result`` or ``error``. Exit status 0 with a result, 2 with an error that a
person can mend, 1 otherwise.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from typing import Any

from lora_tui.errors import UserError
from lora_tui.orphans import end_with_parent
from lora_tui.text.translate import _, set_language
from lora_tui.weights.work import work

EVERY_SECONDS = 0.1


class Lines:
    """What a worker says, as lines; a signal asks it to stop."""

    def __init__(self) -> None:
        self.stopped = False
        self._phase, self._told = "", 0.0
        self._out = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)  # what a library prints is no line of ours

    def say(self, **line: Any) -> None:
        self._out.write(json.dumps(line) + "\n")
        self._out.flush()

    def progress(self, phase: str, done: int, total: int, detail: str = "") -> None:
        now = time.monotonic()
        if phase != self._phase or done >= total or now - self._told > EVERY_SECONDS:
            self._phase, self._told = phase, now
            self.say(progress=[phase, done, total, detail])

    def warn(self, error: UserError) -> None:
        self.say(warning=error.as_dict())

    def should_stop(self) -> bool:
        return self.stopped


def main() -> int:
    """Do what standard input asks for."""
    lines = Lines()
    end_with_parent()

    def stop(_number: int, _frame: object) -> None:
        lines.stopped = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    set_language()
    try:
        lines.say(result=work(json.load(sys.stdin), lines))
        return 0
    except UserError as error:
        lines.say(error=error.as_dict())
        return 2
    except ImportError as error:
        missing = _("A library is missing: {name}.").format(name=error.name or error)
        lines.say(error=UserError(missing, remedy=_("See: lora-tui doctor"), code="missing.library").as_dict())
        return 2
    except MemoryError:
        lines.say(error=UserError(_("The machine ran out of memory."), code="memory").as_dict())
        return 1
    except BrokenPipeError:
        return 1
    except Exception:
        traceback.print_exc()
        return 1


if __name__ == "__main__":
    sys.exit(main())
