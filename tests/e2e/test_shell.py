"""The app in a real terminal: it starts, obeys, and leaves the terminal as it was, whatever ends it."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from support import until
from terminal import LORA_TUI, Terminal

pytestmark = pytest.mark.e2e

CLEAN = (False, False, True)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "hat-girl" / "4_hat"
    folder.mkdir(parents=True)
    for number in range(3):
        Image.new("RGB", (96, 64), (200, 40 * number, 90)).save(folder / f"{number:04d}.png")
        (folder / f"{number:04d}.txt").write_text("hatgirl, hat", encoding="utf-8")
    return tmp_path / "hat-girl"


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def make(**env: str) -> Terminal:
        home = tmp_path / "home"
        home.mkdir(exist_ok=True)
        opened.append(Terminal(home, env))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def ended_by(t: Terminal, number: signal.Signals) -> None:
    """A signal ends the app, and its terminal is as it was."""
    t.kill(number)
    assert t.status() == 128 + number
    assert t.flags() == CLEAN


def test_starts_shows_the_road_follows_the_window_and_leaves_the_terminal_as_it_was(
    terminal: Callable[..., Terminal], project: Path
) -> None:
    t = terminal().start([*LORA_TUI, str(project)])
    screen = t.wait_for("3 images, repeats 4")
    assert "hat-girl" in screen.splitlines()[0]
    assert t.flags()[0]
    t.send("F2")
    t.wait_for("0002.png")
    t.resize(140, 40)
    t.wait_for("bucket")
    t.resize(50, 12)
    t.wait_for("at least 60x15")
    t.resize(80, 24)
    screen = t.wait_for("0000.png")
    assert "at least" not in screen
    assert all(len(line) <= 80 for line in screen.splitlines())
    t.send("C-q")
    assert t.status() == 0
    assert t.flags() == CLEAN


def test_a_signal_ends_it_with_the_terminal_restored(terminal: Callable[..., Terminal], project: Path) -> None:
    """SIGTERM here; the tests of plain signs, of greys and of names send the others."""
    t = terminal().start([*LORA_TUI, str(project)])
    t.wait_for("3 images")
    ended_by(t, signal.SIGTERM)


def test_ends_when_its_terminal_is_gone(terminal: Callable[..., Terminal], project: Path) -> None:
    t = terminal().start([*LORA_TUI, str(project)])
    t.wait_for("3 images")
    pid = t.pid()
    t.hang_up()
    until(lambda: not Path(f"/proc/{pid}").exists(), 15)


def test_ends_when_its_terminal_is_gone_and_nobody_says_so(terminal: Callable[..., Terminal], project: Path) -> None:
    """Under nohup no SIGHUP arrives: the end of input has to be noticed."""
    program = [sys.executable, "-c", IGNORING_HANGUP, str(project)]
    t = terminal().start(program)
    t.wait_for("3 images")
    pid = t.pid()
    t.hang_up()
    until(lambda: not Path(f"/proc/{pid}").exists(), 15)


IGNORING_HANGUP = """
import signal, sys
from pathlib import Path
from lora_tui.tui import terminal
from lora_tui.tui.app import run_app
terminal.ENDING_SIGNALS = ()
signal.signal(signal.SIGHUP, signal.SIG_IGN)
sys.exit(run_app(Path(sys.argv[1])))
"""

CRASHING = """
import sys
from pathlib import Path
from lora_tui.tui.app import LoraTuiApp, run_app
def action_keys(self):
    raise RuntimeError("[/nonsense] of a test")
LoraTuiApp.action_keys = action_keys
sys.exit(run_app(Path(sys.argv[1])))
"""


def test_an_error_of_its_own_ends_in_two_lines_a_file_and_a_status(
    terminal: Callable[..., Terminal], project: Path, tmp_path: Path
) -> None:
    t = terminal().start([sys.executable, "-c", CRASHING, str(project)], (100, 24))
    t.wait_for("3 images")
    t.send("?")
    assert t.status() == 1
    screen = t.screen()
    assert "RuntimeError: [/nonsense] of a test" in screen
    assert "Traceback" not in screen
    assert t.flags() == CLEAN
    (crash,) = (tmp_path / "home" / "state" / "crashes").iterdir()
    assert "Traceback" in crash.read_text(encoding="utf-8")


def test_sleeps_and_comes_back(terminal: Callable[..., Terminal], project: Path) -> None:
    command = " ".join([*LORA_TUI, str(project)])
    t = terminal(PS1="prompt> ").start(["sh", "-i"])
    t.wait_for("prompt>")
    t.type(command)
    t.send("Enter")
    t.wait_for("3 images")
    t.send("C-z")
    t.wait_for("prompt>")
    assert not t.flags()[0]
    t.type("fg")
    t.send("Enter")
    t.wait_for("3 images")
    t.send("C-q")
    t.wait_gone("3 images")
    assert t.flags() == CLEAN


def test_being_woken_while_it_draws_does_not_hold_it(terminal: Callable[..., Terminal], project: Path) -> None:
    """A signal can come while output is handed over: what answers it must not wait for the same lock."""
    t = terminal().start([*LORA_TUI, str(project)])
    t.wait_for("3 images")
    pid = t.pid()
    for screen in itertools.islice(itertools.cycle(["F2", "F5"]), 20):
        t.send(screen)
        for _signal in range(40):
            os.kill(pid, signal.SIGCONT)

    def pressed_and_shown() -> bool:
        """Keys that came before it had taken the terminal again are lost, as they are for every program."""
        t.send("F2")
        return "0002.png" in t.screen()

    until(pressed_and_shown, 40, every=0.2)
    t.send("C-q")
    assert t.status() == 0
    assert t.flags() == CLEAN


@pytest.mark.parametrize("term", ["dumb", "unknown"])
def test_refuses_a_terminal_that_cannot_draw(terminal: Callable[..., Terminal], project: Path, term: str) -> None:
    t = terminal(TERM=term).start([*LORA_TUI, str(project)])
    assert t.status() == 2
    assert f"TERM is {term}" in t.screen()


@pytest.mark.parametrize("stream", ["stdin", "stdout", "stderr"])
def test_refuses_when_it_is_not_on_a_terminal(project: Path, stream: str) -> None:
    """On a pseudo-terminal but for one stream."""
    master, slave = os.openpty()
    streams = {"stdin": slave, "stdout": slave, "stderr": slave}
    kept = subprocess.DEVNULL if stream == "stdin" else subprocess.PIPE
    done = subprocess.run([*LORA_TUI, str(project)], timeout=30, check=False, **(streams | {stream: kept}))
    os.close(slave)
    said = os.read(master, 4000) if stream != "stderr" else done.stderr
    os.close(master)
    assert done.returncode == 2
    assert b"needs a terminal" in said


def test_ascii_mode_draws_nothing_else(terminal: Callable[..., Terminal], project: Path, tmp_path: Path) -> None:
    config = tmp_path / "home" / "config"
    config.mkdir(parents=True)
    (config / "settings.toml").write_text("ascii = true\n")
    t = terminal().start([*LORA_TUI, str(project)])
    t.wait_for("3 images")
    for key, shown in (("F2", "0000.png"), ("?", "search keys"), ("Escape", "0000.png"), ("C-p", "Commands")):
        t.send(key)
        assert t.wait_for(shown).isascii()
    ended_by(t, signal.SIGINT)


def test_no_color_is_grey(terminal: Callable[..., Terminal], project: Path) -> None:
    t = terminal(NO_COLOR="1").start([*LORA_TUI, str(project)])
    t.wait_for("3 images")
    import re

    for red, green, blue in re.findall(r"[34]8;2;(\d+);(\d+);(\d+)", t.styled()):
        assert max(int(red), int(green), int(blue)) - min(int(red), int(green), int(blue)) <= 1
    ended_by(t, signal.SIGQUIT)


def test_hostile_names_are_shown_and_not_obeyed(terminal: Callable[..., Terminal], project: Path) -> None:
    folder = project / "4_hat"
    for name in ("[∕b][red]x", "\x1b[31mred\x1b]0;title\x07", "帽子女孩" * 12, "e\u0301\u202egnp.evil"):
        Image.new("RGB", (64, 64)).save(folder / f"{name}.png")
        (folder / f"{name}.txt").write_text("[/x] tag, \x1b[2J\x1b]0;pwned\x07", encoding="utf-8")
    t = terminal().start([*LORA_TUI, str(project)])
    t.wait_for("7 images")
    t.send("F2")
    screen = t.wait_for("[∕b][red]x")
    assert "␛[31mred" in screen
    t.send("G")
    until(lambda: "帽子" in t.screen())
    for _press in range(3):
        t.send("k")
    t.wait_for("[/x] tag, ␛[2J")
    assert len(t.screen().splitlines()) == 24
    ended_by(t, signal.SIGHUP)


def test_a_terminal_that_takes_no_output_cannot_keep_it(project: Path) -> None:
    """Nobody reads the other side: the queue to the terminal fills, drawing blocks, and a signal still ends it."""
    master, slave = os.openpty()
    app = subprocess.Popen([*LORA_TUI, str(project)], stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    os.close(slave)
    shown = bytearray()

    def painted() -> bool:
        shown.extend(os.read(master, 65536))
        return b"3 images" in shown

    presses = itertools.count()

    def pressed_enough() -> bool:
        """One more screen to draw: a megabyte in all, where the kernel keeps some kilobytes and the app 30 frames."""
        number = next(presses)
        os.write(master, b"q" if number % 2 else b"\x1bOQ")
        return number >= 90

    try:
        until(painted)
        until(pressed_enough, every=0.05)
        app.send_signal(signal.SIGTERM)
        assert app.wait(20) == 128 + signal.SIGTERM
    finally:
        app.kill()
        os.close(master)
