"""The real app in a pseudo-terminal of its own: what it paints, what it sends, and what it costs."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from lora_tui.errors import UserError
from lora_tui.python import python_command
from lora_tui.text.plain import plain
from lora_tui.text.translate import _

_ESCAPES = re.compile(rb"\x1b(\[[0-9;?<>=]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[()][A-Z0-9]|[=>78])")
_MOVES = re.compile(rb"\x1b\[[0-9;]*H")
"""To another place: what is painted there does not go on with the word before."""
_KEPT = 400_000
"""Bytes of output that are looked through for what is waited for."""


class Terminal:
    """A program on a terminal of ``columns`` by ``rows``; use as a context manager, which ends it."""

    def __init__(self, arguments: Sequence[str], home: Path, *, columns: int = 120, rows: int = 36) -> None:
        self.received = 0
        self.closed = False
        self.begun = time.perf_counter()
        self._output = b""
        command = python_command("-m", "lora_tui", *arguments)
        variables = {"TERM": "xterm-256color", "LORA_TUI_HOME": str(home), "LORA_TUI_LANG": "en", "LANG": "C.UTF-8"}
        environment = {name: value for name, value in os.environ.items() if name not in ("TMUX", "NO_COLOR")}
        self.pid, self._descriptor = pty.fork()
        if self.pid == 0:
            os.execve(command[0], command, {**environment, **variables})
        fcntl.ioctl(self._descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, seconds: float) -> None:
        """Take in what it paints for this long."""
        end = time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0 and not self.closed:
            self._received(min(left, 0.02))

    def wait_for(self, pattern: str, timeout: float = 30.0) -> float:
        """Seconds from the start until text that matches ``pattern`` was painted.

        Raises:
            UserError: it was not painted in time.
        """
        while time.perf_counter() - self.begun < timeout and not self.closed:
            self.read(0.02)
            if re.search(pattern, self.text(), re.DOTALL):
                return time.perf_counter() - self.begun
        last = plain(self.text()[-400:])
        raise UserError(_("The app did not paint what was waited for: {text}").format(text=last), code="bench.paint")

    def send(self, keys: bytes) -> None:
        """Send keys, and wait for nothing."""
        os.write(self._descriptor, keys)

    def press(self, key: bytes, pattern: str, timeout: float = 10.0) -> float:
        """Seconds from a key to the moment when text that matches ``pattern`` was painted behind it, or anything.

        Raises:
            UserError: nothing of that kind was painted in time.
        """
        wanted, seen, begun = re.compile(pattern), b"", time.perf_counter()
        self.send(key)
        while time.perf_counter() - begun < timeout and not self.closed:
            if not (data := self._received(0.02)):
                continue
            seen += data
            if wanted.search(_ESCAPES.sub(b"", _MOVES.sub(b"\n", seen)).decode("utf-8", "replace")):
                return time.perf_counter() - begun
        last = plain(self.text()[-400:])
        raise UserError(_("The app did not paint what was waited for: {text}").format(text=last), code="bench.paint")

    def take(self, most: int) -> bytes:
        """What it has painted that nobody took yet, at most so many bytes."""
        return self._received(0.0, most)

    def _received(self, seconds: float, most: int = 65536) -> bytes:
        """What it paints within this long, as soon as there is something."""
        if not select.select([self._descriptor], [], [], seconds)[0]:
            return b""
        try:
            data = os.read(self._descriptor, most)
        except OSError:
            self.closed = True
            return b""
        self.received += len(data)
        self._output = (self._output + data)[-_KEPT:]
        return data

    def wait_until_at_rest(self, timeout: float = 60.0) -> float:
        """Seconds from the start until it and what it started used less than a fifth of a core for half a second."""
        while time.perf_counter() - self.begun < timeout:
            before, at = self._seconds_of_all(), time.perf_counter()
            self.read(0.5)
            if abs(self._seconds_of_all() - before) < 0.1:  # less than before where a process of its own has ended
                return at - self.begun
        return time.perf_counter() - self.begun

    def _seconds_of_all(self) -> float:
        """Processor time of the app and of its processes that live."""
        waiting, total = [self.pid], 0.0
        while waiting:
            pid = waiting.pop()
            with contextlib.suppress(OSError):  # it has ended
                total += _cpu_seconds(pid)
                for children in Path(f"/proc/{pid}/task").glob("*/children"):
                    waiting += map(int, children.read_text().split())
        return total

    def text(self) -> str:
        """The end of what it painted, without escape sequences."""
        return _ESCAPES.sub(b"", self._output).decode("utf-8", "replace")

    def cpu_seconds(self) -> float:
        """Processor time that it has used, in its own code and in the system."""
        return _cpu_seconds(self.pid)

    def peak_memory(self) -> int:
        """Bytes of memory at its highest."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        return 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.kill(self.pid, signal.SIGTERM)
        end = time.perf_counter() + 5
        while os.waitpid(self.pid, os.WNOHANG)[0] == 0:
            self.read(0.05)
            if time.perf_counter() > end:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                break
        os.close(self._descriptor)


def _cpu_seconds(pid: int) -> float:
    """Processor time that a process has used, in its own code and in the system; OSError when there is none."""
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
