"""Trainer processes without the seconds of loading libraries: one process has loaded them, and each life forks off it.

A life is a process of its own all the same, begins in ``lora_tui.trainer.__main__.main`` and can be killed in any way.
The process that they fork from has one thread and has computed nothing, so nothing is copied in the middle of a deed.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
from functools import cache
from pathlib import Path
from typing import Any

EVERY = 0.01  # seconds between looks at a life that is waited for


class Nursery:
    """The process that lives fork off; it ends with this one and takes them along."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"},
        )
        self._lock = threading.Lock()

    def ask(self, **request: Any) -> Any:
        """Its answer."""
        with self._lock:
            assert self._process.stdin and self._process.stdout
            print(json.dumps(request), file=self._process.stdin, flush=True)
            return json.loads(self._process.stdout.readline())


@cache
def nursery() -> Nursery:
    """The one of this process, begun when it is first needed."""
    return Nursery()


class Life:
    """One process of a trainer; as much of :class:`subprocess.Popen` as tests need."""

    def __init__(self, arguments: list[str], log: Path, environment: dict[str, str]) -> None:
        self.returncode: int | None = None
        self.pid: int = nursery().ask(arguments=arguments, log=str(log), environment=environment)

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = nursery().ask(poll=self.pid)
        return self.returncode

    def wait(self, timeout: float = 120.0) -> int:
        """Raises: subprocess.TimeoutExpired: it lives on."""
        end = time.monotonic() + timeout
        pause = threading.Event()
        while (status := self.poll()) is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired("the trainer", timeout)
            pause.wait(EVERY)
        return status

    def send_signal(self, number: int) -> None:
        if self.poll() is None:  # until it is polled, a dead one keeps its number
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def serve() -> bool:
    """Answer until nobody asks any more; true in a life that forked off."""
    lives: set[int] = set()
    for line in sys.stdin:
        request = json.loads(line)
        if "poll" in request:
            found, status = os.waitpid(request["poll"], os.WNOHANG)
            lives.discard(found)
            answer = os.waitstatus_to_exitcode(status) if found else None
        else:
            answer = os.fork()
            if answer == 0:
                _become(**request)
                return True
            lives.add(answer)
        print(json.dumps(answer), flush=True)
    for pid in lives:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return False


def _become(arguments: list[str], log: str, environment: dict[str, str]) -> None:
    """Be a trainer that was started with ``arguments`` and writes to ``log``."""
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[1:] = arguments
    with Path(os.devnull).open() as nothing, Path(log).open("ab") as file:
        os.dup2(nothing.fileno(), 0)
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)


def _load() -> None:
    """Everything that a life would load."""
    import lora_tui.families.chroma.model
    import lora_tui.families.flux.model
    import lora_tui.families.flux2.model
    import lora_tui.families.qwen.model
    import lora_tui.families.sd2.model
    import lora_tui.families.sd3.model
    import lora_tui.families.sd15.model
    import lora_tui.families.sdxl.model
    import lora_tui.families.zimage.model
    import lora_tui.trainer.adapters.lora
    import lora_tui.trainer.life  # noqa: F401


if __name__ == "__main__":
    gc.disable()  # until a life begins, as the trainer itself does
    _load()
    gc.freeze()
    from lora_tui.trainer.__main__ import main

    if serve():
        sys.exit(main())
