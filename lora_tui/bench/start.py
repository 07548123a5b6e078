"""How long the app takes to its first painted frame in a pseudo-terminal, what it loads and what it weighs.

The app is the real one in a process of its own. It counts as painted when the terminal has received the key
``^q`` of the footer, which is the last line of the screen.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import pty
import re
import select
import statistics
import struct
import tempfile
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lora_tui.bench.common import Measure
from lora_tui.bench.terminal import Terminal
from lora_tui.errors import UserError
from lora_tui.python import python_command
from lora_tui.text.translate import _

FIRST_PAINT_SECONDS = 0.5
HEAVY = ("torch", "diffusers", "transformers", "peft", "numpy")
TIMEOUT = 30.0
PAINTED = b"^q"
FORM_SECONDS = 0.3
FORM_KEY = b"\x1bOS"
FORMS = 3
"""Starts at most for the form: it varies less than they do."""
QUIT = b"\x11"
_ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[ -/]*[@-~]")

PROGRAM = """
import atexit, json, sys
def tell():
    with open(sys.argv[2], "w") as file:
        json.dump(sorted(sys.modules), file)
atexit.register(tell)
from lora_tui.cli.main import run
sys.exit(run([sys.argv[1]]))
"""


@dataclass(frozen=True)
class Start:
    """One start of the app: seconds to the first frame, resident bytes then, and the modules it had loaded."""

    seconds: float
    memory_bytes: int
    modules: frozenset[str]


def build(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--starts", type=int, default=7, help=_("how many starts to measure, after one to warm up"))
    parser.add_argument("--dir", type=Path, help=_("the project to open; else an empty folder"))


def measure(args: argparse.Namespace) -> Iterator[Measure]:
    """Start the app several times and give the medians."""
    with tempfile.TemporaryDirectory(prefix="lora-tui-bench-") as scratch:
        home = Path(scratch)
        project = args.dir or home / "project"
        project.mkdir(exist_ok=True)
        starts = [start_once(project, home) for _number in range(max(args.starts, 1) + 1)][1:]
        form = measure_form(project, home, min(len(starts), FORMS))
    seconds = sorted(start.seconds for start in starts)
    yield Measure(
        _("first paint"),
        statistics.median(seconds),
        "s",
        bar=FIRST_PAINT_SECONDS,
        low=seconds[0],
        high=seconds[-1],
        detail=_("median and range of {count} starts in a terminal of 80x24").format(count=len(seconds)),
    )
    yield form
    yield Measure(_("memory then"), statistics.median(start.memory_bytes for start in starts), "bytes")
    loaded = frozenset().union(*(start.modules for start in starts))
    heavy = [name for name in HEAVY if name in loaded]
    yield Measure(_("heavy libraries loaded"), len(heavy), "count", bar=0, detail=", ".join(heavy))


def measure_form(project: Path, home: Path, times: int) -> Measure:
    """From the key to the parameter form on the terminal, the first time in an app that was just opened."""
    seconds = []
    for _number in range(times):
        with Terminal([str(project)], home, columns=80, rows=24) as app:
            app.wait_for(r"\^q")
            app.wait_until_at_rest()
            seconds.append(app.press(FORM_KEY, "PARAMETERS"))
    detail = _("median and range of {count} starts in a terminal of 80x24").format(count=times)
    middle = statistics.median(seconds)
    return Measure(_("form painted"), middle, "s", FORM_SECONDS, low=min(seconds), high=max(seconds), detail=detail)


def start_once(project: Path, home: Path) -> Start:
    """Open the app on ``project``, wait for its first frame, quit it.

    Raises:
        UserError: it did not paint or did not end; the message has what the terminal received last.
    """
    report = home / "modules.json"
    report.unlink(missing_ok=True)
    command = python_command("-c", PROGRAM, str(project), str(report))
    environment = {**os.environ, "TERM": "xterm-256color", "LORA_TUI_HOME": str(home / "user"), "LANG": "C.UTF-8"}
    begun = time.perf_counter()
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(command[0], command, environment)
    try:
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        _read_until(terminal, PAINTED, begun)
        seconds = time.perf_counter() - begun
        memory = _resident_bytes(pid)
        os.write(terminal, QUIT)
        _read_until(terminal, None, time.perf_counter())
    finally:
        os.close(terminal)
        os.waitpid(pid, 0)
    if not report.is_file():
        raise UserError(_("the app did not end as it should."), code="bench.start")
    return Start(seconds, memory, frozenset(json.loads(report.read_text("utf-8"))))


def _read_until(terminal: int, wanted: bytes | None, begun: float) -> None:
    """Read what the app paints until ``wanted`` is there, or (none) until it closes the terminal."""
    received = b""
    while time.perf_counter() - begun < TIMEOUT:
        if not select.select([terminal], [], [], 0.05)[0]:
            continue
        try:
            data = os.read(terminal, 65536)
        except OSError:
            data = b""
        if not data:
            if wanted is None:
                return
            break
        received = (received + data)[-200_000:]
        if wanted is not None and wanted in _ESCAPES.sub(b"", received):
            return
    last = _ESCAPES.sub(b"", received)[-400:].decode("utf-8", "replace")
    raise UserError(_("the app did not paint: {last}").format(last=last), code="bench.start")


def _resident_bytes(pid: int) -> int:
    pages = Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
