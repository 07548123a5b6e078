"""Another process of a run, as the first one has it: handed what to train, listened to, let go.

Either way there is one line to it. What goes down the line is the handover, and that it is open says that the first
process lives; what comes up is one line of JSON that says why it failed, and its end is the end of the process.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
from pathlib import Path
from typing import Protocol

from lora_tui.files import open_append
from lora_tui.jobs.explain import Death, Explanation, explain, read_tail
from lora_tui.jobs.job import environment
from lora_tui.jobs.resources import oom_kills
from lora_tui.python import python_command
from lora_tui.text import _

_MOST = 1 << 16  # bytes of a last word
_KEEPALIVE = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 6))  # seconds, seconds, times


class Member(Protocol):
    """Another process; ``number`` of it, from 1."""

    number: int

    def hand_over(self, data: bytes) -> None:
        """Send what it needs; that it is gone is told by :meth:`last_word`."""
        ...

    def last_word(self) -> bytes:
        """Wait for its end; what it said before."""
        ...

    def silent_end(self) -> Explanation:
        """Why it may have ended without a word."""
        ...

    def release(self) -> None:
        """Tell it that it is not needed any more; it ends by itself."""
        ...

    def end(self, seconds: float) -> None:
        """Wait so long for that, then see to it."""
        ...


class Child:
    """One that the first process started on this machine, with a log of its own."""

    def __init__(self, number: int, log: Path) -> None:
        self.number = number
        self._log = log
        self._kills = oom_kills()
        with open_append(log) as file:
            self._offset = file.tell()
            self._process = subprocess.Popen(
                python_command("-m", "lora_tui.trainer.follower"),
                bufsize=0,  # nothing waits for the other process when its end of the pipe is closed
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                env=environment(),
            )

    def hand_over(self, data: bytes) -> None:
        assert self._process.stdin
        with contextlib.suppress(OSError, ValueError):  # it is gone, or not needed any more
            rest = memoryview(data)
            while rest:
                rest = rest[self._process.stdin.write(rest) :]

    def last_word(self) -> bytes:
        assert self._process.stdout
        word = self._process.stdout.read()
        self._process.wait()
        return word

    def silent_end(self) -> Explanation:
        status = self._process.returncode
        death = Death(
            exit_status=status if status >= 0 else None,
            signal=-status if status < 0 else None,
            log=read_tail(self._log, self._offset),
            oom_kills=oom_kills() - self._kills,
        )
        return explain(death)

    def release(self) -> None:
        with contextlib.suppress(OSError):
            if self._process.stdin:
                self._process.stdin.close()

    def end(self, seconds: float) -> None:
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Guest:
    """One that a launcher started, which came to the first process by a connection."""

    def __init__(self, number: int, link: socket.socket) -> None:
        self.number = number
        self._link = link
        self._word = b""
        self._gone = threading.Event()
        threading.Thread(target=self._listen, name=f"guest {number}", daemon=True).start()

    def hand_over(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            self._link.sendall(data)

    def last_word(self) -> bytes:
        self._gone.wait()
        return self._word

    def silent_end(self) -> Explanation:
        advice = _("What the launcher printed tells why; resume the run.")
        return Explanation("process.lost", _("it gave no reason."), advice)

    def release(self) -> None:
        with contextlib.suppress(OSError):
            self._link.shutdown(socket.SHUT_WR)

    def end(self, seconds: float) -> None:
        self._gone.wait(seconds)
        with contextlib.suppress(OSError):
            self._link.shutdown(socket.SHUT_RDWR)

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while (part := self._link.recv(1 << 12)) and len(self._word) < _MOST:
                self._word += part
        self._gone.set()


def hold(link: socket.socket) -> None:
    """Have the kernels at both ends notice within two minutes when the other machine is gone without a word."""
    link.settimeout(None)
    link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        if hasattr(socket, name):
            link.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
