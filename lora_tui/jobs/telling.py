"""How a process that goes to the background tells the one that started it how that went: by a pipe, once.

A full disk takes no word of it, as a file would.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import Any


class Teller:
    """The mouth of the pipe that :func:`lora_tui.jobs.launch.listen` hears; -1 where nobody listens."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def failed(self, reason: str) -> None:
        """The process cannot go on."""
        with contextlib.suppress(OSError):
            print(reason, file=sys.stderr, flush=True)
        self.tell({"failed": reason})

    def tell(self, message: dict[str, Any]) -> None:
        """Say something; what is said later is not heard any more."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with contextlib.suppress(OSError):  # nobody listens any more
                os.write(descriptor, json.dumps(message).encode() + b"\n")
            os.close(descriptor)
