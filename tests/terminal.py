"""A real terminal for tests: the program in tmux, its keys pressed, its screen read, its end observed."""

from __future__ import annotations

import itertools
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from support import until

_numbers = itertools.count(1)

LORA_TUI = (sys.executable, "-m", "lora_tui")
ROOT = Path(__file__).resolve().parent.parent


class Terminal:
    """One tmux server with one window, of its own socket and without anybody's configuration.

    The program runs under a shell that stays, so that what it leaves behind can be looked at.
    """

    def __init__(self, home: Path, env: Mapping[str, str] | None = None) -> None:
        """``home`` becomes ``LORA_TUI_HOME``; ``env`` is added to a minimal environment."""
        self._socket = f"lora-tui-test-{os.getpid()}-{next(_numbers)}"
        self._env = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "LC_ALL": "C.UTF-8",
            "TERM": "tmux-256color",
            "COLORTERM": "truecolor",
            "TEXTUAL_ANIMATIONS": "none",
            "PYTHONPATH": str(ROOT),
            "LORA_TUI_HOME": str(home),
            **(env or {}),
        }

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self, cmd: Sequence[str], size: tuple[int, int] = (80, 24)) -> Terminal:
        """Run ``cmd`` in a window of ``size`` (columns, lines)."""
        assignments = " ".join(f"{name}={shlex.quote(value)}" for name, value in self._env.items())
        script = f'{shlex.join(cmd)}; ended=$?; echo; echo "[ended $ended]"; exec sleep 1000'
        program = f"exec env -i {assignments} sh -c {shlex.quote(script)}"
        width, height = (str(number) for number in size)
        self._tmux("new-session", "-d", "-x", width, "-y", height, "-s", "t", program)
        for option, value in (("status", "off"), ("escape-time", "0"), ("default-terminal", "tmux-256color")):
            self._tmux("set-option", "-g", option, value)
        return self

    def send(self, *keys: str) -> None:
        """Press keys by tmux's names: ``Enter``, ``F2``, ``C-p``, ``Escape``, or single characters."""
        self._tmux("send-keys", "-t", "t", *keys)

    def type(self, text: str) -> None:
        """Type text as it is."""
        self._tmux("send-keys", "-t", "t", "-l", text)

    def paste(self, text: str) -> None:
        """Paste text, bracketed when the program asked for that."""
        self._tmux("set-buffer", text)
        self._tmux("paste-buffer", "-p", "-t", "t")

    def resize(self, width: int, height: int) -> None:
        """Give the window another size."""
        self._tmux("resize-window", "-t", "t", "-x", str(width), "-y", str(height))

    def screen(self) -> str:
        """What is on the screen, as text."""
        return self._tmux("capture-pane", "-p", "-t", "t")

    def styled(self) -> str:
        """What is on the screen, with its escape sequences."""
        return self._tmux("capture-pane", "-e", "-p", "-t", "t")

    def wait_for(self, text: str, seconds: float = 40.0) -> str:
        """The screen once it shows ``text``; fails with the last screen."""
        return self._wait(text, True, seconds)

    def wait_gone(self, text: str, seconds: float = 40.0) -> str:
        """The screen once it shows ``text`` no more; fails with the last screen."""
        return self._wait(text, False, seconds)

    def flags(self) -> tuple[bool, bool, bool]:
        """Alternate screen in use, mouse reported, cursor shown."""
        answer = self._tmux("display-message", "-p", "-t", "t", "#{alternate_on} #{mouse_any_flag} #{cursor_flag}")
        alternate, mouse, cursor = answer.split()
        return alternate == "1", mouse == "1", cursor == "1"

    def pid(self) -> int:
        """The program's process."""
        shell = int(self._tmux("display-message", "-p", "-t", "t", "#{pane_pid}"))
        children = Path(f"/proc/{shell}/task/{shell}/children").read_text().split()
        return int(children[0])

    def kill(self, number: signal.Signals) -> None:
        """Send the program a signal."""
        os.kill(self.pid(), number)

    def hang_up(self) -> None:
        """Take the terminal away."""
        self._tmux("kill-server", check=False)

    def status(self, seconds: float = 40.0) -> int:
        """The program's exit status, once it has ended."""
        screen = self.wait_for("[ended ", seconds)
        return int(screen.rpartition("[ended ")[2].partition("]")[0])

    def close(self) -> None:
        """End the server and all in it."""
        self._tmux("kill-server", check=False)

    def _wait(self, text: str, there: bool, seconds: float) -> str:
        shown = ""

        def look() -> bool:
            nonlocal shown
            shown = self.screen()
            return (text in shown) is there

        try:
            until(look, seconds)
        except AssertionError:
            wanted = "never showed" if there else "never lost"
            raise AssertionError(f"the screen {wanted} {text!r}; last:\n{shown}") from None
        return shown

    def _tmux(self, *args: str, check: bool = True) -> str:
        done = subprocess.run(
            ["tmux", "-L", self._socket, "-f", "/dev/null", *args], capture_output=True, text=True, check=False
        )
        if check and done.returncode:
            raise AssertionError(f"tmux {args[0]}: {done.stderr.strip()}")
        return done.stdout
